//! An input as a source of choices. Where it ends, every choice is the first one, so that short inputs are plain.

/// What is left of an input.
#[derive(Debug, Clone)]
pub struct Entropy<'a>(&'a [u8]);

impl<'a> Entropy<'a> {
    /// All of it.
    pub fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Eight bytes.
    pub fn word(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// A number below `end`, which is at most 65,536 and not 0.
    pub fn below(&mut self, end: usize) -> usize {
        let high = if end > 256 { self.byte() } else { 0 };
        usize::from(u16::from_be_bytes([high, self.byte()])) % end
    }

    /// One of several.
    pub fn of<'t, T>(&mut self, all: &'t [T]) -> &'t T {
        &all[self.below(all.len())]
    }

    /// Whether one of 256 ways out of so many was taken.
    pub fn one_in_256(&mut self, ways: u8) -> bool {
        self.byte() > u8::MAX - ways
    }

    /// At most so many bytes.
    pub fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// All that is left.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// Changes bytes as the input says: up to three of them are set, left out, put in, or all behind one are.
pub fn edited(mut bytes: Vec<u8>, entropy: &mut Entropy<'_>) -> Vec<u8> {
    for _ in 0..entropy.below(4) {
        let (at, value, what) = (entropy.below(1 << 16), entropy.byte(), entropy.below(6));
        let at = at % (bytes.len() + 1);
        match what {
            0 if at < bytes.len() => bytes[at] = value,
            1 if at < bytes.len() => bytes[at] ^= 1 << (value % 8),
            2 if at < bytes.len() => {
                bytes.remove(at);
            }
            3 => bytes.insert(at, value),
            4 => bytes.truncate(at),
            _ => {
                let more = bytes[at..].to_vec();
                bytes.extend(more);
            }
        }
    }
    bytes
}

//! In which order do the sides of a comparison run?

/// The sides once for each round, every other time in reverse: neither always runs on the fresher disk.
pub fn turns<T: Copy>(rounds: usize, sides: &[T]) -> Vec<T> {
    let turn = |round: usize| {
        let turn: Vec<T> = if round.is_multiple_of(2) { sides.to_vec() } else { sides.iter().rev().copied().collect() };
        turn
    };
    (0..rounds).flat_map(turn).collect()
}

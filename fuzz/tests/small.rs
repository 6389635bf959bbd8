//! Each target with its corpus, with changes of that, and with inputs at random: the same ones each time, fewer than
//! libFuzzer takes in a second. The memory of an input is counted for the whole process, so there is one test at a time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use photometa::MAX_REQUEST_BYTES;
use photometa_fuzz::entropy::{Entropy, edited};
use photometa_fuzz::memory::peak;
use photometa_fuzz::message::RPCS;
use photometa_fuzz::stack::Stack;
use photometa_fuzz::{TARGETS, rpc};

static ALONE: Mutex<()> = Mutex::new(());

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most + 1);
        (0..length).map(|_| self.next().to_le_bytes()[3]).collect()
    }
}

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// The corpus of a target, and inputs that once broke it.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = folder(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| (file.clone(), fs::read(file).unwrap())).collect()
}

/// Runs a target with so many inputs besides the corpus.
fn run(name: &str, inputs: usize) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let known = corpus(name);
    assert!(!known.is_empty());
    let mut random = Random(0x5eed);
    let changed = |random: &mut Random| {
        let (_, one) = &known[random.below(known.len())];
        edited(one.clone(), &mut Entropy::new(&random.bytes(16)))
    };
    let of_corpus = known.iter().map(|(file, input)| (file.display().to_string(), input.clone()));
    let others = (0..inputs).map(|number| {
        let input = if number % 2 == 0 { changed(&mut random) } else { random.bytes(400) };
        (format!("input {number}"), input)
    });
    for (name, input) in of_corpus.chain(others) {
        let outcome = std::panic::catch_unwind(|| (target.run)(&input));
        assert!(outcome.is_ok(), "{}: {name}: {input:?}", target.name);
    }
}

#[test]
fn requests_are_refused_or_reach_the_database() {
    run("rpc", 4000);
}

#[test]
fn metadata_and_frames_are_refused_or_answered() {
    run("web", 4000);
}

#[test]
fn page_tokens_are_of_use_only_where_they_came_from() {
    run("page", 20_000);
}

#[test]
fn credentials_are_refused_unless_they_were_signed() {
    run("token", 10_000);
}

#[test]
fn free_json_comes_back_as_it_was() {
    run("json", 20_000);
}

#[test]
fn coco_files_are_refused_or_sent_as_the_server_takes_them() {
    run("coco", 2000);
}

#[test]
fn positions_ids_times_and_boxes_come_back_as_they_were() {
    run("values", 50_000);
}

/// Without it the inputs of an RPC may all be refused at its first check. The first byte of an input is the number of its
/// RPC, which changes when the contract gains another: `just corpus` writes what has become of no use.
#[test]
fn corpus_has_an_input_of_every_rpc_that_gets_past_every_check() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    #[expect(clippy::disallowed_methods, reason = "asks for the corpus to be written")]
    let writes = std::env::var_os("PHOTOMETA_TEST_WRITES_CORPUS").is_some();
    let mut missing = Vec::new();
    for (number, (path, rpc)) in RPCS.iter().enumerate() {
        let file = folder("rpc").join(format!("valid-{}", rpc.name()));
        let known = fs::read(&file).unwrap_or_default();
        if rpc::answered(&known) == (path.as_str(), true) {
            continue;
        }
        match valid(number, &known).filter(|_| writes) {
            Some(input) => fs::write(file, input).unwrap(),
            None => missing.push(path),
        }
    }
    assert!(missing.is_empty(), "no input of fuzz/corpus/rpc is right for {missing:?}: run `just corpus`");
}

/// An input that is right for an RPC: what was right before its number changed, or one found at random.
fn valid(number: usize, known: &[u8]) -> Option<Vec<u8>> {
    let mut random = Random(7);
    let number = u8::try_from(number).unwrap();
    let before = [&[number], known.get(1..).unwrap_or_default()].concat();
    let made = (0..20_000).map(|_| [&[number, 0, 0, 0], random.bytes(120).as_slice()].concat());
    std::iter::once(before).chain(made).find(|input| rpc::answered(input).1)
}

#[test]
fn a_large_request_of_tiny_items_is_refused_before_it_takes_memory() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let stack = Stack::default();
    for rpc in [
        "DetectionService/BatchCreateDetections",
        "DetectionService/IngestDetections",
        "PhotoService/BatchCreatePhotos",
        "FeedbackService/BatchCreateFeedback",
    ] {
        // Field 1, of no bytes.
        let message = [0x0a, 0].repeat(MAX_REQUEST_BYTES / 2);

        let (answer, held) = peak(|| stack.call(&format!("/photometa.v1.{rpc}"), 0, &message));

        assert_eq!(answer.reason(), "MESSAGE_TOO_LARGE", "{rpc}");
        // The request itself, in what sends it and in what takes it, and no more than that again.
        assert!(held < 8 * MAX_REQUEST_BYTES, "{rpc}: {held} bytes were held");
    }
}

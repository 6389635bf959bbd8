//! Lets libFuzzer drive a target, whose name is in `PHOTOMETA_FUZZ_TARGET`. `fuzz/run` builds and starts it.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use photometa_fuzz::{TARGETS, Target};

#[expect(clippy::disallowed_methods, reason = "libFuzzer reads the arguments")]
static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("PHOTOMETA_FUZZ_TARGET").unwrap_or_default();
    *TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("there is no target {name:?}"))
});

fuzz_target!(|data: &[u8]| (TARGET.run)(data));

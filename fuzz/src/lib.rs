//! What photometa does with bytes that nobody meant to send. A target is a function of any bytes that panics when a
//! property does not hold. `cargo test` runs each with the corpus and with inputs at random, always the same ones;
//! `fuzz/run` lets libFuzzer look for more. docs/fuzzing.md says what holds and what was found.

pub mod coco;
pub mod entropy;
pub mod json;
pub mod memory;
pub mod message;
pub mod page;
pub mod rpc;
pub mod stack;
pub mod token;
pub mod values;
pub mod web;

/// Something that takes any bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and that of its folder in the corpus.
    pub name: &'static str,
    /// Checks one input.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 7] = [
    Target { name: "rpc", run: rpc::rpc },
    Target { name: "web", run: web::web },
    Target { name: "page", run: page::page },
    Target { name: "token", run: token::token },
    Target { name: "json", run: json::json },
    Target { name: "coco", run: coco::coco },
    Target { name: "values", run: values::values },
];

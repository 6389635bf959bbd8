//! docs/security.md names the tests that fail when what it says no longer holds.

use std::fs;

use crate::layout::files;

#[test]
fn every_test_that_the_document_on_security_names_is_there() {
    let document = include_str!("../../docs/security.md");
    let rows = document.lines().filter(|line| line.starts_with('|'));
    let words = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
    let is_a_test = |word: &&str| {
        word.matches('_').count() >= 3
            && word.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
    };
    let named: Vec<&str> = words.filter(is_a_test).collect();
    let sources: Vec<String> =
        ["src", "tests"].into_iter().flat_map(files).filter_map(|file| fs::read_to_string(file).ok()).collect();

    let missing: Vec<&&str> = named
        .iter()
        .filter(|name| {
            let function = format!("fn {name}(");
            let places = sources.iter().filter_map(|source| source.split_once(&function));
            // Behind its attribute, and nothing else.
            !places.into_iter().any(|(before, _)| {
                let attributes = before.rsplit("\n\n").next().unwrap_or_default();
                attributes.contains("test]") || attributes.contains("tokio::test(")
            })
        })
        .collect();

    assert!(missing.is_empty(), "{missing:?}");
    assert!(named.len() > 50, "{}", named.len());
}

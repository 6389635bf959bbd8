//! What a benchmark writes into a page, between two marks.

use std::fs;
use std::path::Path;

use super::Failure;

/// Writes a text between the marks of a name.
///
/// # Errors
/// When the file or a mark is missing.
pub fn update(file: &Path, name: &str, text: &str) -> Result<(), Failure> {
    let (begin, end) = (format!("<!-- begin generated {name} -->"), format!("<!-- end generated {name} -->"));
    let page = fs::read_to_string(file)?;
    let missing = || format!("{} has no {begin} … {end}", file.display());
    let (before, rest) = page.split_once(&begin).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
    Ok(fs::write(file, format!("{before}{begin}\n{text}{end}{after}"))?)
}

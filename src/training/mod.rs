//! Training data: what people and models say, in the forms that training programs read. An export is of one moment: it
//! shows what stood then, whatever happens while it runs, and goes on after it broke off.

mod coco;
mod convert;
mod form;
mod labels;
mod lines;
mod model;
mod query;
mod ranges;
mod reader;
mod split;
mod stream;

pub(crate) use convert::{categories, export, page_of, shown};
pub(crate) use labels::{list, register};
pub(crate) use stream::Exporter;

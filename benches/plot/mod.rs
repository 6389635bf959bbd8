//! Pictures of results. Written by hand: a drawing crate would bring half a dozen packages for some rectangles and lines.

pub mod bars;
pub mod canvas;
pub mod chart;

//! Statistics of detections: how many, how sure, how fast and how right, by time and group. They are counted from
//! the detections that are there now, not from the history. The buckets of time are cut here, in the zone that the
//! caller names, and PostgreSQL gets them as instants: nobody else knows of time zones.

mod calendar;
mod convert;
mod model;
mod query;

pub(super) use convert::{answer, read};
pub(super) use query::cells;

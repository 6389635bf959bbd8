//! Types of detections, as people type them.

use clap::ValueEnum;

use crate::pb;

/// What the labels are of.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Kind {
    Damage,
    Material,
    Volume,
}

impl From<Kind> for pb::DetectionType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Damage => Self::Damage,
            Kind::Material => Self::Material,
            Kind::Volume => Self::Volume,
        }
    }
}

//! Which versions of the schema does this program know?

/// One version of the schema.
#[derive(Debug, Clone, Copy)]
pub struct Version {
    /// `V0001__tenancy`.
    pub name: &'static str,
    /// What it does.
    pub up: &'static str,
    /// What undoes it.
    pub down: &'static str,
}

macro_rules! versions {
    ($($number:literal $title:literal),+ $(,)?) => {
        &[$(Version {
            name: concat!("V", $number, "__", $title),
            up: include_str!(concat!("../../../migrations/V", $number, "__", $title, ".sql")),
            down: include_str!(concat!("../../../migrations/undo/U", $number, "__", $title, ".sql")),
        }),+]
    };
}

/// Every version, oldest first; the position, counted from 1, is its number.
pub const VERSIONS: &[Version] = versions![
    "0001" "tenancy",
    "0002" "photos",
    "0003" "detections",
    "0004" "tags",
    "0005" "feedback",
    "0006" "least_privilege",
    "0007" "event_columns",
    "0008" "json_checks",
    "0009" "json_checks_validated",
    "0010" "search",
    "0011" "answers",
];

/// The version this program was written for.
pub fn newest() -> u32 {
    u32::try_from(VERSIONS.len()).unwrap_or(u32::MAX)
}

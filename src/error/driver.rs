//! What the driver's errors say of the database.

use tokio_postgres::error::SqlState;

/// Why the server is of no use, if that is what the error says: it gave no answer at all (closed, refused, timed out), or
/// it is not ready, full, ending, or takes no writes. What does not encode is our bug.
pub fn lost(error: &tokio_postgres::Error) -> Option<String> {
    let Some(database) = error.as_db_error() else {
        let silent = error.is_closed()
            || std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
        return silent.then(|| error.to_string());
    };
    let state = database.code();
    // Connection exceptions, insufficient resources, operator intervention, a standby that took over reading.
    let lost = ["08", "53", "57"].contains(&&state.code()[..2]) || *state == SqlState::READ_ONLY_SQL_TRANSACTION;
    lost.then(|| database.message().to_owned())
}

/// Whether the same transaction may succeed when it is run again.
pub(super) fn is_race(state: &SqlState) -> bool {
    [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED, SqlState::FOREIGN_KEY_VIOLATION]
        .contains(state)
}

//! pgbench runs the service's transaction: its script is made of the service's own statement.

use std::time::Duration;

use super::content::{MODEL, PHOTOS, PROCESSING_TIME_MS, photo_id};
use super::rows::{DETECTION_TYPE, ORGANIZATION, Results, confidence, context, insert};
use super::server::Server;
use super::{Failure, pgbench};

/// How the transaction's statements travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One round trip for each of its seven statements.
    Plain,
    /// All in one round trip: the least that the transaction can cost a client.
    Pipelined,
}

/// An id in order of time, as the service's UUIDv7 are: random ones would scatter over the index.
const ID: &str = "encode(overlay(uuid_send(gen_random_uuid())
    placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6), 'hex')::uuid";

fn script(form: Form) -> Result<String, Failure> {
    let first = photo_id(1).to_string();
    let (prefix, _) = first.rsplit_once('-').ok_or("an id without dashes")?;
    let params = [
        format!("'{ORGANIZATION}'::uuid"),
        format!("array[{ID}]"),
        format!("array[('{prefix}-' || lpad(to_hex(:photo::int), 12, '0'))::uuid]"),
        format!("array['{DETECTION_TYPE}']"),
        format!("array['{MODEL}']"),
        "array[null]".to_owned(),
        format!("array['{}']", serde_json::to_string(&Results::new())?),
        format!("array[{}]", confidence()),
        format!("array[{PROCESSING_TIME_MS}]"),
        "array[uuid_send(gen_random_uuid())]".to_owned(),
        "now()".to_owned(),
    ];
    // The last first, so that $1 is not found in $10.
    let numbered = params.iter().enumerate().rev();
    let insert =
        numbered.fold(insert().to_owned(), |text, (index, value)| text.replace(&format!("${}", index + 1), value));
    let context = context().join(";\n");
    let transaction = format!("begin;\n{context};\n{insert};\ncommit;\n");
    // The ids of the photos count from 1.
    let choice = format!("\\set photo random(1, {PHOTOS})\n");
    Ok(match form {
        Form::Plain => format!("{choice}{transaction}"),
        Form::Pipelined => format!("{choice}\\startpipeline\n{transaction}\\endpipeline\n"),
    })
}

/// Runs the transaction from so many clients; answers how many were committed per second.
///
/// # Errors
/// When pgbench is missing or fails.
pub async fn rate(server: &Server, form: Form, clients: usize, duration: Duration) -> Result<f64, Failure> {
    let file = server.folder().join(format!("{form:?}.sql"));
    std::fs::write(&file, script(form)?)?;
    let output = pgbench::run(server, &[file], clients, duration, &[]).await?;
    let rate = output.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    rate.ok_or_else(|| format!("pgbench named no rate: {output}").into())
}

//! Every integration test, in one binary: a real server on a free port, a database of its own for each test, in
//! one PostgreSQL that the first test starts. Two organizations are always there.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod cluster;
mod harness;
mod random;
mod replica;
mod round_trip;
mod rpcs;
mod standby;
mod wire;
mod world;

mod address_file;
mod auth;
mod backlog;
mod backup;
mod bad_input;
mod chaos;
mod common_suite;
mod constraints;
mod database_tls;
mod detection;
mod doctor;
mod door;
mod explain;
mod feedback;
mod group;
mod health;
mod hostile;
mod ingest;
mod isolation;
mod json_schema;
mod killed;
mod layout;
mod limits;
mod listing;
mod migrations;
mod once;
mod paging;
mod pgbouncer;
mod photo;
mod plan;
mod positions;
mod program;
mod provisioning;
mod reads;
mod rolling;
mod rpc_docs;
mod schema;
mod security;
mod settings;
mod shutdown;
mod smoke;
mod spoilt;
mod startup;
mod statements;
mod stats;
mod tag;
mod telemetry;
mod tenancy;
mod timescale;
mod tls;
mod training;
mod trouble;
mod web;

//! Suites that need real servers. `cargo x test --services` starts those that a suite's first line names after `Needs:`,
//! and `cargo x test` leaves the suites out; how to start a server by hand is in docs/services.md.

mod harness;
mod kafka;
mod kafka_formats;
mod keys;
mod lake;
mod postgres;
mod mongodb;
mod mysql;
mod pulsar;
mod rest;
mod registry;
mod spark;

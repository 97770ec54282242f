//! Suites that need real servers. `cargo x test --services` starts those that a suite's first line names after `Needs:`,
//! and `cargo x test` leaves the suites out; how to start a server by hand is in docs/services.md.

mod harness;
mod kafka;
mod kafka3;
mod kafka_broker;
mod kafka_formats;
mod kafka_torture;
mod keys;
mod lake;
mod mongodb;
mod mysql;
mod mysql_log;
mod mysql_network;
mod mysql_tables;
mod mysql_torture;
mod postgres;
mod postgres_slots;
mod postgres_stream;
mod postgres_tables;
mod postgres_torture;
mod pulsar;
mod registry;
mod rest;
mod spark;

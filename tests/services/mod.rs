//! Suites that need real servers. `cargo x test --services` starts those that a suite's first line names after `Needs:`,
//! and `cargo x test` leaves the suites out; how to start a server by hand is in docs/services.md.

mod harness;
mod keys;
mod lake;
mod registry;
mod spark;

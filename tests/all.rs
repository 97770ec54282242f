//! Journeys: whole projects through the real binary, each with what must come out of it; and SQL files.
//!
//! One binary, because linking is what takes long. It links no engine: `lavra` is started as a user starts it.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "everything here is a test: it reads the clock and the environment, and stops at what it did not expect"
)]

mod harness;
mod journeys;
mod people;
mod python;
mod rest_api;
mod services;
mod sql;

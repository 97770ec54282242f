//! A journey is a project, what is done with it, and what must come out.

mod bad_files;
mod bad_places;
mod canary;
mod check;
mod commands;
mod detection;
mod exposure;
mod happy;
mod keys;
mod kill;
mod late;
mod masks;
mod policies;
mod privacy;
mod privacy_report;
mod readers;
mod replaced;
mod running;
mod selecting;
mod subject;
mod sums;
mod upkeep;
mod writing;

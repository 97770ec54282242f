//! A journey is a project, what is done with it, and what must come out.

mod bad_files;
mod bad_places;
mod canary;
mod check;
mod commands;
mod happy;
mod kill;
mod late;
mod policies;
mod privacy;
mod readers;
mod replaced;
mod running;
mod selecting;
mod subject;
mod writing;

//! What is promised about data, and to whom: contracts as files, schemas of events, and a record of what was opened.

pub mod audit;
pub mod odcs;
pub mod registry;

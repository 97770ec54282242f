//! What is promised about data, and to whom: contracts as files, and a record of what was opened.

pub mod audit;
pub mod odcs;

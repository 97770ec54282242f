//! What is promised about data, and to whom: contracts as files.

pub mod odcs;

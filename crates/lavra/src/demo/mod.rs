//! What the demo needs: a company's files, the project that refines them, and charts of the answers.

pub mod answers;
pub mod chart;
pub mod generate;
pub mod project;
pub mod search;

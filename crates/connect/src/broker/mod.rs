//! Homes of logs: embedded in this process, Kafka, Pulsar. Each holds to `kernel::laws::broker`.

pub mod embedded;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "kafka")]
mod rows;

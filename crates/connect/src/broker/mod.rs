//! Homes of logs: embedded in this process, Kafka, Pulsar. Each holds to `kernel::laws::broker`.

pub mod embedded;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "pulsar")]
pub mod pulsar;
#[cfg(any(feature = "kafka", feature = "pulsar"))]
mod rows;

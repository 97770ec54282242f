//! What a source is opened with, read.

use super::address::{Address, address};
use super::client::Client;
use super::options::{Options, by_default};
use crate::spec::Opening;
use kernel::Entity;
use kernel::error::Result;
use std::time::Duration;

pub struct Setup {
    pub source: String,
    project: String,
    pub options: Options,
    pub address: Address,
    pub entity: Entity,
}

impl Setup {
    pub fn read(opening: &Opening) -> Result<Self> {
        let options = Options::read(&opening.source, &opening.options)?;
        let address = address(&opening.source, &options.connection, &opening.base)?;
        let (source, project) = (opening.source.clone(), opening.project.clone());
        Ok(Self { source, project, options, address, entity: opening.entity.clone() })
    }

    pub async fn connect(&self) -> Result<Client> {
        Client::connect(&self.address, self.patience()).await
    }

    /// How long a server may say nothing.
    pub fn patience(&self) -> Duration {
        Duration::from_millis(self.options.timeout_ms)
    }

    pub fn slot(&self) -> String {
        self.named(&self.options.slot)
    }

    pub fn publication(&self) -> String {
        self.named(&self.options.publication)
    }

    fn named(&self, given: &Option<String>) -> String {
        given.clone().unwrap_or_else(|| by_default(&self.project, &self.address.database, &self.source))
    }
}

//! The connection on which changes come.

use super::publication::dropped;
use super::slot::{A_MOMENT, IN_USE};
use crate::postgres::client::{code_of, stream_fault};
use crate::postgres::setup::Setup;
use kernel::error::{Error, Kind, Result};
use pgwire_replication::{Lsn, PgWireError, ReplicationClient, ReplicationEvent};
use std::time::Duration;

/// A replication connection; it ends with this value.
pub struct Link {
    client: ReplicationClient,
    publication: String,
    patience: Duration,
}

/// A process that died holds its slot until the server notices.
const HELD_TRIES: u32 = 150;

/// How long the server may take to hear of what is durable when nothing else goes on.
const TOLD_TRIES: u32 = 20;

impl Link {
    /// Begins to stream behind `from`, which is durable.
    pub async fn open(setup: &Setup, from: u64) -> Result<Self> {
        let (slot, publication) = (setup.slot(), setup.publication());
        let what = format!("follow the replication slot `{slot}`");
        let config = setup.address.replication(&slot, &publication, from);
        let mut tries = 0;
        loop {
            let starting = async {
                let mut client = ReplicationClient::connect(config.clone()).await?;
                client.wait_started().await.map(|()| client)
            };
            let late = |_| Error::new(Kind::Unreachable, &what, "no answer in time");
            match tokio::time::timeout(setup.patience(), starting).await.map_err(late)? {
                Ok(client) => return Ok(Self { client, publication, patience: setup.patience() }),
                Err(PgWireError::Server(said)) if code_of(&said) == IN_USE && tries < HELD_TRIES => {
                    tries += 1;
                    tokio::time::sleep(A_MOMENT).await;
                }
                Err(error) => return Err(failed(&what, &publication, &error)),
            }
        }
    }

    /// The next event. Who drops this call has taken nothing.
    pub async fn next(&mut self) -> Result<ReplicationEvent> {
        const WHAT: &str = "follow changes";
        let late = |_| Error::new(Kind::Unreachable, WHAT, "the server says nothing (`timeout_ms`)");
        match tokio::time::timeout(self.patience, self.client.recv()).await.map_err(late)? {
            Ok(Some(event)) => Ok(event),
            Ok(None) => Err(Error::new(Kind::Unreachable, WHAT, "the server ended the stream")),
            Err(error) => Err(failed(WHAT, &self.publication, &error)),
        }
    }

    /// Everything before `upto` is durable: the server may forget it. `waits` until it has been told.
    pub async fn settle(&self, upto: u64, waits: bool) {
        self.client.update_applied_lsn(Lsn(upto));
        let metrics = self.client.metrics();
        let mut tries = 0;
        while waits && tries < TOLD_TRIES && metrics.last_applied_lsn() < Lsn(upto) && self.client.is_running() {
            tries += 1;
            tokio::time::sleep(A_MOMENT / 4).await;
        }
    }
}

/// The server looks for the publication as it was at each place of its log.
fn failed(what: &str, publication: &str, error: &PgWireError) -> Error {
    match error {
        PgWireError::Server(said) if code_of(said) == UNDEFINED => dropped(publication),
        other => stream_fault(what, other),
    }
}

/// The server's code for an object that is not there.
const UNDEFINED: &str = "42704";

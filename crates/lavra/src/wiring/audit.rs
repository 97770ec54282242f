//! The record of what was opened, in the project's own ledger; it is opened when something is to be written into it.

use async_trait::async_trait;
use govern::audit::AuditChain;
use kernel::audit::Audit;
use kernel::clock::Clock;
use kernel::engine::Session;
use kernel::error::{Error, Result};
use kernel::keys::KeyProvider;
use orchestrate::SqliteLedger;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::OnceCell;

/// The project's ledger, in its state's folder: the audit, schemas, who has what.
pub(super) const LEDGER: &str = "ledger.sqlite";

pub struct ProjectAudit {
    file: PathBuf,
    keys: Arc<dyn KeyProvider>,
    clock: Arc<dyn Clock>,
    chain: OnceCell<AuditChain>,
}

impl ProjectAudit {
    /// The audit of the project whose state is in this folder.
    pub fn new(state: &Path, keys: Arc<dyn KeyProvider>, clock: Arc<dyn Clock>) -> Self {
        Self { file: state.join(LEDGER), keys, clock, chain: OnceCell::new() }
    }

    pub async fn ledger(&self) -> Result<SqliteLedger> {
        SqliteLedger::open(self.file.clone()).await
    }

    pub async fn chain(&self) -> Result<&AuditChain> {
        let open = || async {
            let keys = self.keys.clone();
            let seal = Arc::new(move |text: &[u8]| privacy::keys::seal(&*keys, text));
            Ok::<_, Error>(AuditChain::new(Arc::new(self.ledger().await?), self.clock.clone(), seal))
        };
        self.chain.get_or_try_init(open).await
    }
}

#[async_trait]
impl Audit for ProjectAudit {
    async fn begin(&self, session: &Session, sql: &str, grants: &[String]) -> Result<u64> {
        self.chain().await?.begin(session, sql, grants).await
    }

    async fn end(&self, number: u64, rows: u64, whole: bool) -> Result<()> {
        self.chain().await?.end(number, rows, whole).await
    }
}

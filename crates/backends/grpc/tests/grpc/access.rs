//! Who is let in, to what, and what those who are not learn: nothing.

mod certificates;
mod insecure;
mod not_admitted;
mod replaced;
mod rights;
mod scope;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use std::sync::Arc;

use gleaner_core::{
    ChangeFeed, Cursor, Draft, Filter, GrainId, Head, Position, Pushed, ReplicationLog, Writer,
};
use gleaner_grpc::access::{Access, Right, Rights, Secret};
use gleaner_grpc::{GrpcLog, GrpcLogConfig, Leader};
use gleaner_memory::MemoryLog;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::raw::{self, Client, proto};
use crate::said::Said;

/// Long beyond anything that is waited for.
const LONG: Duration = Duration::from_secs(60);

fn id(grain_type: &str, key: &str) -> GrainId {
    GrainId::new(grain_type, key).unwrap()
}

fn full(grain: &GrainId, sequence: u64, payload: &'static str) -> gleaner_core::Entry {
    Draft::full(
        grain.clone(),
        Cursor::new(1, sequence),
        Writer::new(7),
        payload,
    )
    .seal()
}

/// Somebody with a token.
struct Holder {
    name: &'static str,
    secret: Secret,
    rights: Rights,
    scope: Vec<Filter>,
    expires: Option<SystemTime>,
}

impl Holder {
    fn of(name: &'static str, rights: impl IntoIterator<Item = Right>) -> Self {
        Self {
            name,
            secret: Secret::draw().unwrap(),
            rights: Rights::of(rights),
            scope: Vec::new(),
            expires: None,
        }
    }

    fn within(mut self, scope: impl IntoIterator<Item = Filter>) -> Self {
        self.scope = scope.into_iter().collect();
        self
    }

    fn until(mut self, at: SystemTime) -> Self {
        self.expires = Some(at);
        self
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.secret.expose())
    }

    fn line(&self) -> String {
        let line = self
            .secret
            .line(self.name, self.rights, &self.scope, self.expires);
        line.unwrap()
    }
}

/// A leader over planes and a ship, with a file of tokens, and all that is said there.
struct Place {
    folder: TempDir,
    log: MemoryLog,
    leader: Leader,
    said: Said,
    secrets: Vec<String>,
}

impl Place {
    async fn with(holders: &[&Holder]) -> Self {
        let said = Said::listen();
        let folder = tempfile::tempdir().unwrap();
        admit(&folder.path().join("tokens"), holders);
        let log = MemoryLog::new();
        for grain in [
            id("aircraft", "N14228"),
            id("aircraft", "N2"),
            id("ship", "mary"),
            id("ship", "N1"),
        ] {
            log.append(full(&grain, 1, "first")).await.unwrap();
            log.append(full(&grain, 2, "second")).await.unwrap();
        }
        let access = Access::file(folder.path().join("tokens")).unwrap();
        let leader = Leader::builder(Arc::new(log.clone()))
            .access(access)
            // There is no TLS here.
            .insecure(true)
            .bind("127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        let mut place = Self {
            folder,
            log,
            leader,
            said,
            secrets: Vec::new(),
        };
        for holder in holders {
            place.knows(&holder.secret);
        }
        place
    }

    /// From now on this secret is one that nothing may say.
    fn knows(&mut self, secret: &Secret) {
        let hex = secret.hash().map(|byte| format!("{byte:02x}")).concat();
        // The hash as bytes would be printed, too.
        let bytes = format!("{:?}", secret.hash());
        let own = secret.expose().trim_start_matches("gleaner_").to_owned();
        self.secrets.extend([own, hex, bytes]);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn raw(&self, authorization: Option<&str>) -> Client {
        raw::client(self.leader.local_addr(), authorization).await
    }

    async fn raw_of(&self, holder: &Holder) -> Client {
        self.raw(Some(&holder.bearer())).await
    }

    fn config(&self) -> GrpcLogConfig {
        GrpcLog::builder(format!("grpc://{}", self.leader.local_addr())).insecure(true)
    }

    fn log_of(&self, holder: &Holder) -> GrpcLog {
        self.config().token(holder.secret.clone()).open().unwrap()
    }

    /// What the log holds, to see that nothing was done to it.
    async fn content(&self) -> Vec<(GrainId, Head, usize)> {
        let page = self.log.list_heads(&Filter::all(), None, 99).await.unwrap();
        let mut content = Vec::new();
        for (grain, head) in page.heads {
            let budget = gleaner_core::Budget::UNBOUNDED;
            let history = self.log.read_from(&grain, Cursor::ZERO, budget).await;
            content.push((grain, head, history.unwrap().entries.len()));
        }
        content
    }

    /// The end of the feed, as one who may have it is told.
    async fn position(&self, filter: &Filter) -> proto::Position {
        let position = self.log.feed().unwrap().start(filter).await.unwrap();
        let identity = position.identity().clone();
        let counters = position.counters(&identity, filter, "test").unwrap();
        proto::Position {
            identity: Some(proto::Identity {
                log: identity.log.as_bytes().to_vec().into(),
                history: identity.history.clone(),
            }),
            counters: counters.to_vec(),
        }
    }

    /// Nothing that was said tells a secret or its hash.
    fn kept_its_secrets(&self) {
        let all = self.said.all();
        assert!(!self.secrets.is_empty());
        for secret in &self.secrets {
            let line = all.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "a secret was told");
        }
    }
}

/// What a log sends unasked, with its stream begun at a position.
async fn heard(log: &GrpcLog, since: &Position, filter: &Filter) -> Pushed {
    let waits = async {
        loop {
            log.wait(since, LONG).await;
            sleep(Duration::from_millis(10)).await;
        }
    };
    let pushed = async {
        tokio::select! {
            pushed = log.pushed(filter) => pushed,
            () = waits => unreachable!(),
        }
    };
    timeout(LONG, pushed).await.unwrap()
}

/// Replaces a token file as it should be: as a whole.
fn admit(path: &Path, holders: &[&Holder]) {
    let lines: Vec<String> = holders.iter().map(|holder| holder.line()).collect();
    replace(path, &(lines.join("\n") + "\n"));
}

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

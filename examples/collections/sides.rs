//! Leader and follower, each a process of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use crate::console::{self, Node};
use crate::database::{Database, grain};
use crate::engine::Engine;
use crate::following::Following;
use crate::{Result, cli, serve};

/// The one database that this program serves.
const NAME: &str = "main";

/// What a leader says once it is listening, before the URL.
pub(crate) const SERVING: &str = "serving ";
/// What a follower says once it is there.
pub(crate) const FOLLOWING: &str = "following ";

/// `collections leader`.
pub(crate) async fn leader(options: cli::Leader) -> Result<()> {
    let folder = Folder::of(options.data.as_deref())?;
    let path = folder.path().join("log.db");
    let text = path.to_str().ok_or("the folder's name is no UTF-8")?;
    let log = gleaner::open(&format!("sqlite:{text}")).await?;
    let database = Database::open(log.clone(), &grain(NAME)?).await?;
    let leader = serve::serve(log, &options).await?;
    println!("{SERVING}{}", serve::url(&leader, &options));
    let node = Node::Leader(database);
    console::run(&node).await?;
    leader.shutdown().await;
    node.close().await
}

/// `collections follower`.
pub(crate) async fn follower(options: cli::Follower) -> Result<()> {
    let folder = Folder::of(options.data.as_deref())?;
    let engine = Engine::open(folder.path().join("engine.db")).await?;
    let log = Arc::new(serve::connect(&options)?);
    let following = Following::start(log, engine, grain(NAME)?, &options.leader).await?;
    println!("{FOLLOWING}{}", options.leader);
    let node = Node::Follower(following);
    console::run(&node).await?;
    node.close().await
}

/// A folder that was asked for, or a fresh temporary one that is removed in the end.
enum Folder {
    Kept(PathBuf),
    Temporary(TempDir),
}

impl Folder {
    fn of(asked: Option<&Path>) -> Result<Self> {
        match asked {
            None => Ok(Self::Temporary(tempfile::tempdir()?)),
            Some(path) => {
                std::fs::create_dir_all(path)?;
                Ok(Self::Kept(path.to_owned()))
            }
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

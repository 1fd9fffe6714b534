//! [`PowerDisk`]: a disk in memory whose power can fail.
//!
//! It keeps apart what the operating system shows and what would be left without power, and gives
//! nothing away: of bytes and names that were not synced, dice decide how many are left.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::Disk;

/// The disk. Clones are one disk, so that it outlives the log that is on it.
#[derive(Debug, Clone)]
pub(crate) struct PowerDisk {
    state: Arc<Mutex<State>>,
}

/// What the log asks of a disk, to make one of it fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Read,
    Create,
    Append,
    Sync,
    Rename,
    SyncDir,
}

#[derive(Debug)]
struct State {
    dice: u64,
    files: Vec<Content>,
    /// The names that are shown, and the files that have them.
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Since the folder was last synced, in order.
    unsynced: Vec<Naming>,
    locked: bool,
    /// Counts power losses: a file or lock of an earlier time is of no use.
    boot: u64,
    /// How many operations the power lasts; none: for ever.
    power: Option<u64>,
    refused: Option<Op>,
    /// How many operations were asked for.
    asked: u64,
}

#[derive(Debug, Clone)]
enum Naming {
    Creates(String, usize),
    Renames(String, String),
}

#[derive(Debug, Default)]
struct Content {
    shown: Vec<u8>,
    durable: Vec<u8>,
    /// Emptied by `create` and not synced since.
    emptied: bool,
    /// From here on a failed sync has lost the bytes, as far as the second number: they are shown,
    /// and no later sync makes them durable.
    lost: Vec<(usize, usize)>,
}

/// An open file.
#[derive(Debug)]
pub(crate) struct PowerFile {
    at: usize,
    boot: u64,
}

/// Gives the folder back.
#[derive(Debug)]
pub(crate) struct PowerLock {
    state: Arc<Mutex<State>>,
    boot: u64,
}

impl Drop for PowerLock {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        if state.boot == self.boot {
            state.locked = false;
        }
    }
}

impl PowerDisk {
    /// An empty disk; the seed decides all that is left to chance.
    pub(crate) fn new(seed: u64) -> Self {
        let state = State {
            dice: seed,
            files: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            unsynced: Vec::new(),
            locked: false,
            boot: 0,
            power: None,
            refused: None,
            asked: 0,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// The power fails in the midst of an operation, after this many whole ones; all later ones fail
    /// until [`Self::lose_power`] has said what is left.
    pub(crate) fn fail_power_after(&self, operations: u64) {
        self.state.lock().power = Some(operations);
    }

    /// The power is gone and comes back: what was not synced is lost, or a part of it, and whatever
    /// was open is closed.
    pub(crate) fn lose_power(&self) {
        self.state.lock().lose_power();
    }

    /// The next operation of this kind fails, and may have done a part.
    #[cfg(test)]
    pub(crate) fn refuse(&self, op: Op) {
        self.state.lock().refused = Some(op);
    }

    /// How many operations were asked for since the last time that this was asked.
    #[cfg(test)]
    pub(crate) fn asked(&self) -> u64 {
        std::mem::take(&mut self.state.lock().asked)
    }

    /// The bytes that are shown under a name.
    #[cfg(test)]
    pub(crate) fn shown(&self, name: &str) -> Vec<u8> {
        self.read(name).unwrap().unwrap()
    }

    /// Puts durable bytes under a name.
    #[cfg(test)]
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let mut file = self.create(name).unwrap();
        self.append(&mut file, bytes).unwrap();
        self.sync(&file).unwrap();
        self.sync_dir().unwrap();
    }

    /// Writes bytes behind a file as a process does that is killed before it syncs.
    #[cfg(test)]
    pub(crate) fn put_unsynced(&self, name: &str, bytes: &[u8]) {
        let at = self.state.lock().names[name];
        self.state.lock().files[at].shown.extend_from_slice(bytes);
    }
}

impl State {
    /// Whether an operation is done whole. If not, a coin says whether it was done nevertheless.
    fn begin(&mut self, op: Op) -> Result<(), bool> {
        self.asked += 1;
        match &mut self.power {
            Some(0) => {
                // It fails in this operation; after that nothing is done any more.
                self.power = Some(u64::MAX);
                return Err(self.roll(2) == 0);
            }
            Some(u64::MAX) => return Err(false),
            Some(left) => *left -= 1,
            None => {}
        }
        if self.refused == Some(op) {
            self.refused = None;
            return Err(self.roll(2) == 0);
        }
        Ok(())
    }

    /// A number below `sides`, from the seed (the splitmix64 sequence).
    fn roll(&mut self, sides: usize) -> usize {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut drawn = self.dice;
        drawn = (drawn ^ (drawn >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        drawn = (drawn ^ (drawn >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let drawn = usize::try_from((drawn ^ (drawn >> 31)) >> 33).unwrap_or_default();
        drawn.checked_rem(sides).unwrap_or_default()
    }

    fn lose_power(&mut self) {
        let kept = self.roll(self.unsynced.len() + 1);
        let unsynced = std::mem::take(&mut self.unsynced);
        for naming in unsynced.into_iter().take(kept) {
            naming.apply(&mut self.durable_names);
        }
        self.names = self.durable_names.clone();
        let mut files = std::mem::take(&mut self.files);
        for file in &mut files {
            self.tear(file);
        }
        self.files = files;
        self.boot += 1;
        self.locked = false;
        self.power = None;
    }

    fn tear(&mut self, file: &mut Content) {
        let whole = file.shown.len();
        let mut left = if file.emptied && self.roll(2) == 0 {
            std::mem::take(&mut file.durable)
        } else {
            let safe = if file.emptied { 0 } else { file.durable.len() };
            let end = safe + self.roll(whole.saturating_sub(safe) + 1);
            // The length may have become durable before the bytes: zeros are read then.
            let long = end + self.roll(2) * self.roll(whole.saturating_sub(end) + 1);
            file.lose();
            file.shown.truncate(end);
            file.shown.resize(long, 0);
            std::mem::take(&mut file.shown)
        };
        file.shown.clone_from(&left);
        file.durable = std::mem::take(&mut left);
        file.emptied = false;
        file.lost.clear();
    }

    fn file(&mut self, file: &PowerFile) -> io::Result<&mut Content> {
        if file.boot != self.boot {
            return Err(io::Error::other(
                "the file was open before the power failed",
            ));
        }
        self.files.get_mut(file.at).ok_or_else(no_power)
    }
}

impl Content {
    /// Zeros where a failed sync has lost the bytes.
    fn lose(&mut self) {
        for (from, to) in &self.lost {
            if let Some(lost) = self.shown.get_mut(*from..*to) {
                lost.fill(0);
            }
        }
    }

    fn sync(&mut self) {
        let shown = self.shown.clone();
        self.lose();
        self.durable = std::mem::replace(&mut self.shown, shown);
        self.emptied = false;
    }
}

impl Naming {
    fn apply(self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Creates(name, at) => {
                names.insert(name, at);
            }
            Self::Renames(from, to) => {
                if let Some(at) = names.remove(&from) {
                    names.insert(to, at);
                }
            }
        }
    }
}

fn no_power() -> io::Error {
    io::Error::other("the power or the disk has failed")
}

impl Disk for PowerDisk {
    type File = PowerFile;
    type Lock = PowerLock;

    fn lock(&self) -> io::Result<PowerLock> {
        let mut state = self.state.lock();
        if std::mem::replace(&mut state.locked, true) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(PowerLock {
            state: Arc::clone(&self.state),
            boot: state.boot,
        })
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let mut state = self.state.lock();
        state.begin(Op::Read).map_err(|_| no_power())?;
        let at = state.names.get(name);
        let file = at.and_then(|at| state.files.get(*at));
        Ok(file.map(|file| file.shown.clone()))
    }

    fn create(&self, name: &str) -> io::Result<PowerFile> {
        let mut state = self.state.lock();
        let done = state.begin(Op::Create);
        if done == Err(false) {
            return Err(no_power());
        }
        let there = state.names.get(name).copied();
        let at = there.unwrap_or(state.files.len());
        if let Some(file) = state.files.get_mut(at) {
            file.shown.clear();
            file.lost.clear();
            file.emptied = true;
        } else {
            state.files.push(Content::default());
            let naming = Naming::Creates(name.to_owned(), at);
            naming.clone().apply(&mut state.names);
            state.unsynced.push(naming);
        }
        let boot = state.boot;
        done.map(|()| PowerFile { at, boot })
            .map_err(|_| no_power())
    }

    fn append(&self, file: &mut PowerFile, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        let done = state.begin(Op::Append);
        let written = match done {
            Ok(()) => bytes.len(),
            Err(_) => state.roll(bytes.len() + 1),
        };
        let content = state.file(file)?;
        content.shown.extend(bytes.iter().take(written));
        done.map_err(|_| no_power())
    }

    fn sync(&self, file: &PowerFile) -> io::Result<()> {
        let mut state = self.state.lock();
        let done = state.begin(Op::Sync);
        let content = state.file(file)?;
        if done == Err(false) {
            content
                .lost
                .push((content.durable.len(), content.shown.len()));
        } else {
            content.sync();
        }
        done.map_err(|_| no_power())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        let done = state.begin(Op::Rename);
        if done != Err(false) {
            let naming = Naming::Renames(from.to_owned(), to.to_owned());
            naming.clone().apply(&mut state.names);
            state.unsynced.push(naming);
        }
        done.map_err(|_| no_power())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        let done = state.begin(Op::SyncDir);
        if done != Err(false) {
            state.durable_names = state.names.clone();
            state.unsynced.clear();
        }
        done.map_err(|_| no_power())
    }
}

//! [`Tables`] and [`Known`]: names that are sent once a stream.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use gleaner_core::{GrainId, Source, Writer};

use super::Malformed;

/// The most names of one sort in a stream, some 16,000 of at most 512 bytes. Far more types than a system
/// has; a sender whose table is full begins a new stream.
pub(crate) const MOST: usize = 1 << 14;

/// What was sent of one sort, by its place.
#[derive(Debug)]
struct Sent<K> {
    places: HashMap<K, u32, FixedState>,
    /// Entries in a row mostly name the same.
    last: Option<(K, u32)>,
}

impl<K> Default for Sent<K> {
    fn default() -> Self {
        Self {
            places: HashMap::default(),
            last: None,
        }
    }
}

/// The sender's side of a stream's tables.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    types: Sent<Arc<str>>,
    sources: Sent<Source>,
    writers: Sent<Writer>,
}

impl Tables {
    /// The place of a type, which is added to `new` the first time.
    pub(crate) fn grain_type(&mut self, name: &str, new: &mut Vec<String>) -> u32 {
        if let Some((last, place)) = &self.types.last
            && **last == *name
        {
            return *place;
        }
        let (key, place) = if let Some((key, place)) = self.types.places.get_key_value(name) {
            (key.clone(), *place)
        } else {
            new.push(name.to_owned());
            let (key, place) = (Arc::from(name), next(self.types.places.len()));
            self.types.places.insert(Arc::clone(&key), place);
            (key, place)
        };
        self.types.last = Some((key, place));
        place
    }

    pub(crate) fn source(&mut self, source: &Source, new: &mut Vec<String>) -> u32 {
        place(&mut self.sources, source, |name| {
            new.push(name.as_str().to_owned());
        })
    }

    pub(crate) fn writer(&mut self, writer: Writer, new: &mut Vec<u64>) -> u32 {
        place(&mut self.writers, &writer, |writer| new.push(writer.get()))
    }

    /// Whether a page of at most `page` names more may not fit.
    pub(crate) fn is_full(&self, page: usize) -> bool {
        [
            self.types.places.len(),
            self.sources.places.len(),
            self.writers.places.len(),
        ]
        .iter()
        .any(|names| names.saturating_add(page) > MOST)
    }
}

fn place<K: Clone + Eq + std::hash::Hash>(
    sent: &mut Sent<K>,
    name: &K,
    mut add: impl FnMut(&K),
) -> u32 {
    if let Some((last, place)) = &sent.last
        && last == name
    {
        return *place;
    }
    let fresh = next(sent.places.len());
    let place = *sent.places.entry(name.clone()).or_insert_with(|| {
        add(name);
        fresh
    });
    sent.last = Some((name.clone(), place));
    place
}

fn next(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// The receiver's side of a stream's tables.
#[derive(Debug, Default)]
pub(crate) struct Known {
    types: Vec<Arc<str>>,
    sources: Vec<Source>,
    writers: Vec<Writer>,
}

impl Known {
    pub(crate) fn learn_types(&mut self, new: Vec<String>) -> Result<(), Malformed> {
        if new
            .iter()
            .any(|name| name.is_empty() || name.len() > GrainId::MAX_PART)
        {
            return Err(Malformed("a grain's type is empty or too long"));
        }
        learn(&mut self.types, new.into_iter().map(Arc::from))
    }

    pub(crate) fn learn_sources(&mut self, new: Vec<String>) -> Result<(), Malformed> {
        if new.iter().any(|name| name.len() > Source::MAX) {
            return Err(Malformed("a source's name is too long"));
        }
        learn(&mut self.sources, new.into_iter().map(Source::new))
    }

    pub(crate) fn learn_writers(&mut self, new: Vec<u64>) -> Result<(), Malformed> {
        learn(&mut self.writers, new.into_iter().map(Writer::new))
    }

    pub(crate) fn grain_type(&self, place: u32) -> Result<&str, Malformed> {
        at(&self.types, place).map(|name| &**name)
    }

    pub(crate) fn source(&self, place: u32) -> Result<&Source, Malformed> {
        at(&self.sources, place)
    }

    pub(crate) fn writer(&self, place: u32) -> Result<Writer, Malformed> {
        at(&self.writers, place).copied()
    }
}

fn learn<T>(table: &mut Vec<T>, new: impl ExactSizeIterator<Item = T>) -> Result<(), Malformed> {
    if table.len().saturating_add(new.len()) > MOST {
        return Err(Malformed("a table of names is too long"));
    }
    table.extend(new);
    Ok(())
}

fn at<T>(table: &[T], place: u32) -> Result<&T, Malformed> {
    usize::try_from(place)
        .ok()
        .and_then(|place| table.get(place))
        .ok_or(Malformed("a name that was never sent"))
}

//! [`Table`]: the tokens of a file.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use subtle::ConditionallySelectable;

use super::error::{AccessError, LineFault};
use super::grant::Grant;
use super::hash::TokenHash;
use super::line;
use crate::small_file;

/// The tokens of a file, in its order. No two have the same name or hash.
#[derive(PartialEq)]
pub(super) struct Table(Vec<Arc<Grant>>);

impl Table {
    pub(super) fn read(path: &Path) -> Result<Self, AccessError> {
        let bytes = small_file::read(path).map_err(|source| AccessError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&bytes).map_err(|(line, fault)| AccessError::Line {
            path: path.to_owned(),
            line,
            fault,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tokens, or the line, from 1, that is wrong.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, (usize, LineFault)> {
        let mut grants = Vec::new();
        let mut names = HashMap::new();
        let mut hashes = HashMap::new();
        for (line, text) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            let text = text.trim_ascii_end();
            if text.is_empty() || text.trim_ascii_start().starts_with(b"#") {
                continue;
            }
            let text = std::str::from_utf8(text).map_err(|_| (line, LineFault::NotUtf8))?;
            let grant = line::read(text).map_err(|fault| (line, fault))?;
            if let Some(first) = names.insert(Arc::clone(&grant.name), line) {
                return Err((line, LineFault::RepeatedName { first }));
            }
            if let Some(first) = hashes.insert(grant.hash, line) {
                return Err((line, LineFault::RepeatedHash { first }));
            }
            grants.push(Arc::new(grant));
        }
        Ok(Self(grants))
    }

    /// The token with the hash of what somebody presented. Every one is compared, in constant time,
    /// and only the last step, which knows the secret to be good, depends on which it is.
    pub(super) fn presented(&self, hash: &TokenHash) -> Option<&Arc<Grant>> {
        let mut found = u64::MAX;
        for (index, grant) in (0_u64..).zip(&self.0) {
            found.conditional_assign(&index, grant.hash.same(hash));
        }
        self.0.get(usize::try_from(found).ok()?)
    }

    /// The token with a hash of our own.
    pub(super) fn of(&self, hash: &TokenHash) -> Option<&Arc<Grant>> {
        self.0.iter().find(|grant| grant.hash == *hash)
    }

    #[cfg(test)]
    pub(super) fn grants(&self) -> &[Arc<Grant>] {
        &self.0
    }
}

//! A line of a token file: read into a [`Grant`], and written.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gleaner_core::{Filter, GrainId};
use serde::{Deserialize, Deserializer, Serialize};

use super::error::LineFault;
use super::grant::Grant;
use super::hash::TokenHash;
use super::right::{Right, Rights};

/// The longest name, in bytes.
const MAX_NAME: usize = 128;

/// As it stands in the file. No `Debug`: it has the hash.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    name: String,
    sha256: String,
    rights: Vec<String>,
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    scope: Option<Vec<Rule>>,
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    expires_unix: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(
        rename = "type",
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    grain_type: Option<String>,
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    key_prefix: Option<String>,
}

/// A field that is there has a value: `null` would be read as one left out, which is every grain, or
/// for ever.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// Reads a line.
pub(super) fn read(text: &str) -> Result<Grant, LineFault> {
    // An array with the values in order would pass for the object.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(LineFault::NotJson { column: 1 });
    }
    let line: Line = serde_json::from_str(text).map_err(|error| fault(&error))?;
    line.grant()
}

/// Writes a line, if it is one that would be read.
pub(super) fn write(
    name: &str,
    hash: TokenHash,
    rights: Rights,
    scope: &[Filter],
    expires: Option<SystemTime>,
) -> Result<String, LineFault> {
    let rules: Result<Vec<_>, _> = scope.iter().map(Rule::of).collect();
    let line = Line {
        name: name.to_owned(),
        sha256: hash.hex(),
        rights: rights.iter().map(|right| right.name().to_owned()).collect(),
        scope: Some(rules?).filter(|rules| !rules.is_empty()),
        expires_unix: expires.map(seconds).transpose()?,
    };
    let text = serde_json::to_string(&line).map_err(|error| fault(&error))?;
    line.grant()?;
    Ok(text)
}

impl Line {
    fn grant(&self) -> Result<Grant, LineFault> {
        let name = self.name.as_str();
        if name.is_empty() || name.len() > MAX_NAME || name.contains(char::is_control) {
            return Err(LineFault::BadName);
        }
        let hash = TokenHash::parse(&self.sha256).ok_or(LineFault::BadHash)?;
        let rights: Result<Rights, _> = self
            .rights
            .iter()
            .map(|name| name.parse::<Right>())
            .collect();
        let rights = rights.map_err(|_| LineFault::UnknownRight)?;
        if rights.is_empty() {
            return Err(LineFault::NoRights);
        }
        let scope = match &self.scope {
            None => Vec::new(),
            Some(rules) if rules.is_empty() => return Err(LineFault::EmptyScope),
            Some(rules) => rules.iter().map(Rule::filter).collect::<Result<_, _>>()?,
        };
        let expires = match self.expires_unix {
            None => None,
            Some(seconds) => {
                let time = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
                Some(time.ok_or(LineFault::BadTime)?)
            }
        };
        Ok(Grant {
            name: name.into(),
            hash,
            rights,
            scope,
            expires,
        })
    }
}

impl Rule {
    fn of(filter: &Filter) -> Result<Self, LineFault> {
        if filter.only_slices().is_some() {
            return Err(LineFault::BadRule);
        }
        Ok(Self {
            grain_type: filter.only_type().map(str::to_owned),
            key_prefix: filter.only_prefix().map(str::to_owned),
        })
    }

    fn filter(&self) -> Result<Filter, LineFault> {
        let parts = [&self.grain_type, &self.key_prefix];
        let mut given = parts.into_iter().flatten().peekable();
        if given.peek().is_none()
            || given.any(|part| part.is_empty() || part.len() > GrainId::MAX_PART)
        {
            return Err(LineFault::BadRule);
        }
        let filter = match &self.grain_type {
            Some(name) => Filter::grain_type(name.as_str()),
            None => Filter::all(),
        };
        Ok(match &self.key_prefix {
            Some(prefix) => filter.key_prefix(prefix.as_str()),
            None => filter,
        })
    }
}

fn seconds(time: SystemTime) -> Result<u64, LineFault> {
    let since = time
        .duration_since(UNIX_EPOCH)
        .map_err(|_| LineFault::BadTime)?;
    Ok(since.as_secs() + u64::from(since.subsec_nanos() > 0))
}

/// What is wrong, without the words of the line that the error repeats. What is not known by its
/// beginning is of a wrong form.
fn fault(error: &serde_json::Error) -> LineFault {
    let column = error.column();
    if !error.is_data() {
        return LineFault::NotJson { column };
    }
    let said = error.to_string();
    let missing = ["name", "sha256", "rights"]
        .into_iter()
        .find(|field| said.starts_with(&format!("missing field `{field}`")));
    if let Some(field) = missing {
        LineFault::MissingField(field)
    } else if said.starts_with("unknown field") {
        LineFault::UnknownField { column }
    } else if said.starts_with("duplicate field") {
        LineFault::RepeatedField { column }
    } else {
        LineFault::WrongForm { column }
    }
}

//! [`AccessError`], [`LineFault`] and [`SecretError`]: what is wrong with a file, and never what it
//! says there.

use std::io;
use std::path::PathBuf;

/// A token file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// It is not there, may not be read, is too large, or is no file.
    #[error("the token file {path:?} cannot be read")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line is not as it should be.
    #[error("the token file {path:?} is wrong in line {line}: {fault}")]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        fault: LineFault,
    },
}

/// What is wrong with a line of a token file. It repeats nothing of the line, in which a secret may
/// stand where none belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineFault {
    /// Bytes that are no text.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// No JSON, or more than one object.
    #[error("it is not one JSON object (at column {column})")]
    NotJson {
        /// Where, in bytes from 1.
        column: usize,
    },
    /// A field that there is not. Not passed over: it may be a limit that is misspelt.
    #[error("there is no such field (at column {column})")]
    UnknownField {
        /// Where, in bytes from 1.
        column: usize,
    },
    /// A field that stands twice.
    #[error("a field stands twice (at column {column})")]
    RepeatedField {
        /// Where, in bytes from 1.
        column: usize,
    },
    /// A field that must be there.
    #[error("the field `{0}` is missing")]
    MissingField(&'static str),
    /// A value of another form than its field's.
    #[error("a value is not of its field's form (at column {column})")]
    WrongForm {
        /// Where, in bytes from 1.
        column: usize,
    },
    /// A name that is empty, longer than 128 bytes, or has control characters.
    #[error("`name` must be 1 to 128 bytes without control characters")]
    BadName,
    /// A name that another line has.
    #[error("line {first} has the same name")]
    RepeatedName {
        /// The other line, from 1.
        first: usize,
    },
    /// No hash of a secret.
    #[error("`sha256` must be 64 hex digits, and not the hash of nothing")]
    BadHash,
    /// A hash that another line has.
    #[error("line {first} has the same hash")]
    RepeatedHash {
        /// The other line, from 1.
        first: usize,
    },
    /// A token that is good for nothing.
    #[error("`rights` is empty")]
    NoRights,
    /// A right that there is not.
    #[error("`rights` names what is no right; there are read, append, claim and truncate")]
    UnknownRight,
    /// A scope without a rule, which may be meant as nothing or as everything.
    #[error("`scope` is empty; left out, it is every grain")]
    EmptyScope,
    /// A rule that includes everything or nothing, or that a line cannot say.
    #[error("a rule of `scope` must have a type, a key prefix or both, of 1 to 512 bytes each")]
    BadRule,
    /// A time that cannot be counted.
    #[error("`expires_unix` is out of range")]
    BadTime,
}

/// A secret that cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// Its file is not there, may not be read, is too large, or is no file.
    #[error("the file with the secret, {path:?}, cannot be read")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its file is empty.
    #[error("the file with the secret, {path:?}, is empty")]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// Its file holds more than one word, or what no header carries.
    #[error("the file with the secret, {path:?}, does not hold one word of visible ASCII")]
    NotOneWord {
        /// Which file.
        path: PathBuf,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    NoRandomness,
}

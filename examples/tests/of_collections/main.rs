//! The `collections` example: its engine held to every clause, its parts against each other, and its
//! processes run as their users run them.

#[cfg(test)]
#[path = "../../collections/apply.rs"]
mod apply;
#[cfg(test)]
#[path = "../../collections/command.rs"]
mod command;
#[cfg(test)]
#[path = "../../collections/database.rs"]
mod database;
#[cfg(test)]
#[path = "../../collections/engine.rs"]
mod engine;
#[cfg(test)]
#[path = "../../collections/following.rs"]
mod following;
#[cfg(test)]
#[path = "../../collections/nearest.rs"]
mod nearest;
#[cfg(test)]
#[path = "../../collections/operation.rs"]
mod operation;
#[cfg(test)]
#[path = "../../collections/payload.rs"]
mod payload;
#[cfg(test)]
#[path = "../../collections/rows.rs"]
mod rows;
#[cfg(test)]
#[path = "../../collections/schema.rs"]
mod schema;
#[cfg(test)]
#[path = "../../collections/state.rs"]
mod state;
#[cfg(test)]
#[path = "../../collections/tables.rs"]
mod tables;

#[cfg(test)]
mod clauses;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod dice;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod meddled;
#[cfg(test)]
mod owner;
#[cfg(test)]
mod payloads;
#[cfg(test)]
mod replication;
#[cfg(test)]
mod searches;

#[cfg(test)]
mod processes;
#[cfg(test)]
mod program;

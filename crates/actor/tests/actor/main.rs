//! The decisions of [`GrainActor`](gleaner_actor::GrainActor) and
//! [`FeedReader`](gleaner_actor::FeedReader): a table with a row per arrow, flows of several steps, and
//! properties over random events against a model log and store.

mod feed;
mod flows;
mod model;
mod properties;
mod script;
mod table;

#[test]
fn an_actor_fits_a_cache_line() {
    assert!(size_of::<gleaner_actor::GrainActor>() <= 64);
}

//! The provided way to catch up, against a log whose every answer is laid down beforehand: what
//! happens when the history moves between two of its calls. That it agrees with a log which answers
//! in one look is tested where there is one, in the memory backend.

use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::{
    Appended, Claim, Digest, Draft, Filter, HeadPage, Limits, LogId, Page, Truncation, Writer,
};

fn grain(key: &str) -> GrainId {
    GrainId::new("t", key).unwrap()
}

fn full(key: &str, sequence: u64) -> Entry {
    Draft::full(grain(key), Cursor::new(1, sequence), Writer::new(1), "four").seal()
}

fn delta(after: &Entry) -> Entry {
    let mut at = after.cursor();
    at.sequence = at.sequence.next().unwrap();
    Draft::delta(
        after.grain().clone(),
        at,
        after.writer(),
        after.digest(),
        "four",
    )
    .seal()
}

fn head(last: &Entry, base: &Entry) -> Head {
    Head {
        cursor: last.cursor(),
        digest: last.digest(),
        kind: last.kind(),
        base: base.cursor(),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "answers stand beside refusals")]
fn page(entries: &[&Entry]) -> Result<Page> {
    let entries = entries.iter().map(|entry| (*entry).clone()).collect();
    Ok(Page {
        entries,
        more: false,
    })
}

fn cut(floor: &Entry) -> Result<Page> {
    let floor = floor.cursor();
    Err(Error::new(ErrorKind::Truncated { floor }, "odd", "cut"))
}

/// Gives out what it was given, in order; the last identity for ever.
#[derive(Default)]
struct Odd {
    histories: Mutex<VecDeque<&'static str>>,
    heads: Mutex<VecDeque<Vec<Option<Head>>>>,
    pages: Mutex<VecDeque<Result<Page>>>,
    /// The cursors that were read after.
    asked: Mutex<Vec<Cursor>>,
}

impl Odd {
    fn new(heads: Vec<Vec<Option<Head>>>, pages: Vec<Result<Page>>) -> Self {
        Self {
            histories: Mutex::new(["one"].into()),
            heads: Mutex::new(heads.into()),
            pages: Mutex::new(pages.into()),
            asked: Mutex::default(),
        }
    }

    fn asked(&self) -> Vec<Cursor> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl ReplicationLog for Odd {
    async fn append_batch(&self, _: &[Entry]) -> Result<Vec<Appended>> {
        unreachable!("only read from")
    }
    async fn claim(&self, _: &[Claim]) -> Result<Vec<Result<Option<Head>>>> {
        unreachable!("only read from")
    }
    async fn heads(&self, _: &[GrainId]) -> Result<Vec<Option<Head>>> {
        Ok(self.heads.lock().unwrap().pop_front().expect("more heads"))
    }
    async fn list_heads(&self, _: &Filter, _: Option<&GrainId>, _: usize) -> Result<HeadPage> {
        unreachable!("not listed")
    }
    async fn read_from(&self, _: &GrainId, after: Cursor, _: Budget) -> Result<Page> {
        self.asked.lock().unwrap().push(after);
        self.pages.lock().unwrap().pop_front().expect("more pages")
    }
    async fn truncate(&self, _: &GrainId, _: Cursor) -> Result<Truncation> {
        unreachable!("only read from")
    }
    fn limits(&self) -> Limits {
        Limits::default()
    }
    async fn identity(&self) -> Result<Identity> {
        let mut histories = self.histories.lock().unwrap();
        let now = match histories.len() {
            1 => histories[0],
            _ => histories.pop_front().expect("an identity"),
        };
        Ok(Identity::new(LogId::new("odd"), now))
    }
    fn confirms(&self) -> bool {
        true
    }
}

async fn run(log: &Odd, key: &str, from: Cursor) -> Result<Run> {
    let wants = [(grain(key), from)];
    let caught = log.catch_up(&wants, Budget::UNBOUNDED).await?;
    match caught.grains.into_iter().next() {
        Some(Caught::Run(run)) => Ok(run),
        other => panic!("{other:?}"),
    }
}

#[test]
fn where_a_run_begins() {
    let at = |cursor, base| Head {
        cursor,
        digest: Digest::ZERO,
        kind: crate::Kind::Delta,
        base,
    };
    let head = at(Cursor::new(2, 9), Cursor::new(2, 7));
    for (row, from, after) in [
        ("nothing yet", Cursor::ZERO, Some(Cursor::new(2, 6))),
        (
            "an older epoch",
            Cursor::new(1, 90),
            Some(Cursor::new(2, 6)),
        ),
        (
            "just below the base",
            Cursor::new(2, 6),
            Some(Cursor::new(2, 6)),
        ),
        ("at the base", Cursor::new(2, 7), Some(Cursor::new(2, 7))),
        ("between", Cursor::new(2, 8), Some(Cursor::new(2, 8))),
        ("at the head", Cursor::new(2, 9), None),
        ("ahead", Cursor::new(2, 10), None),
        ("ahead by epoch", Cursor::new(3, 1), None),
    ] {
        assert_eq!(run_after(from, &head), after, "{row}");
    }
    let first = at(Cursor::new(1, 1), Cursor::new(1, 1));
    assert_eq!(run_after(Cursor::ZERO, &first), Some(Cursor::new(1, 0)));
}

#[tokio::test]
async fn a_history_that_was_cut_to_its_base_is_read_from_zero() {
    let five = full("a", 5);
    let six = delta(&five);
    let log = Odd::new(
        vec![vec![Some(head(&six, &five))]],
        vec![cut(&five), page(&[&five, &six])],
    );
    let run = run(&log, "a", Cursor::new(1, 2)).await.unwrap();
    assert_eq!(run.entries, [five, six]);
    assert!(run.complete);
    assert_eq!(log.asked(), [Cursor::new(1, 4), Cursor::ZERO]);
}

#[tokio::test]
async fn a_history_that_is_cut_under_the_read_is_looked_at_again() {
    let (one, five) = (full("a", 1), full("a", 5));
    let two = delta(&one);
    let six = delta(&five);
    let log = Odd::new(
        vec![vec![Some(head(&two, &one))], vec![Some(head(&six, &five))]],
        // Cut beyond the base that was seen, then read as it is now.
        vec![cut(&five), cut(&five), page(&[&five, &six])],
    );
    let run = run(&log, "a", Cursor::new(1, 1)).await.unwrap();
    assert_eq!(run.head, Some(head(&six, &five)));
    assert_eq!(run.entries, [five, six]);
}

#[tokio::test]
async fn a_page_that_does_not_begin_at_the_base_is_not_given_out() {
    let (one, two) = (full("a", 1), full("a", 2));
    let three = delta(&two);
    let now = head(&three, &two);
    // The base that was seen is gone, silently: with what is left up to the head, and without.
    for (stale, left) in [
        (head(&three, &one), page(&[&two, &three])),
        (head(&one, &one), page(&[&two, &three])),
        (head(&two, &two), page(&[])),
    ] {
        let log = Odd::new(
            vec![vec![Some(stale)], vec![Some(now)]],
            vec![left, page(&[&two, &three])],
        );
        let run = run(&log, "a", Cursor::ZERO).await.unwrap();
        assert_eq!(run.head, Some(now));
        assert_eq!(run.entries, [two.clone(), three.clone()]);
    }
}

#[tokio::test]
async fn what_was_appended_under_the_read_is_left_for_the_next() {
    let one = full("a", 1);
    let two = delta(&one);
    let seen = head(&one, &one);
    let log = Odd::new(vec![vec![Some(seen)]], vec![page(&[&one, &two])]);
    let run = run(&log, "a", Cursor::ZERO).await.unwrap();
    assert_eq!((run.head, run.complete), (Some(seen), true));
    assert_eq!(run.entries, [one]);
}

#[tokio::test]
async fn a_grain_cut_faster_than_it_is_read_is_transient() {
    let (one, five) = (full("a", 1), full("a", 5));
    let seen = vec![Some(head(&one, &one))];
    let log = Odd::new(
        vec![seen; ATTEMPTS + 1],
        (0..ATTEMPTS).map(|_| cut(&five)).collect(),
    );
    let error = run(&log, "a", Cursor::ZERO).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert_eq!(error.grain(), Some(&grain("a")));
}

#[tokio::test]
async fn l11_runs_carry_the_identity_that_they_were_read_under() {
    let one = full("a", 1);
    let seen = vec![Some(head(&one, &one))];
    let log = Odd::new(vec![seen.clone(), seen], vec![page(&[&one]), page(&[&one])]);
    *log.histories.lock().unwrap() = ["one", "two", "two"].into();
    let wants = [(grain("a"), Cursor::ZERO)];
    let caught = log.catch_up(&wants, Budget::UNBOUNDED).await.unwrap();
    assert_eq!(caught.identity.history, "two");
    assert_eq!(log.asked().len(), 2, "all was read again");
}

#[tokio::test]
async fn an_identity_that_keeps_changing_is_transient() {
    let log = Odd::new(vec![vec![None]; ATTEMPTS], vec![]);
    *log.histories.lock().unwrap() = (0..=2 * ATTEMPTS)
        .map(|n| if n % 2 == 0 { "even" } else { "odd" })
        .collect();
    let error = run(&log, "a", Cursor::ZERO).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
}

#[tokio::test]
async fn a_damaged_grain_fails_alone_and_a_lost_connection_fails_all() {
    let (a, b) = (full("a", 1), full("b", 1));
    let seen = || vec![vec![Some(head(&a, &a)), Some(head(&b, &b))]];
    let wants = [(grain("a"), Cursor::ZERO), (grain("b"), Cursor::ZERO)];

    let damaged = Err(Error::permanent("odd", "a damaged row"));
    let log = Odd::new(seen(), vec![damaged, page(&[&b])]);
    let caught = log.catch_up(&wants, Budget::UNBOUNDED).await.unwrap();
    let [Caught::Failed(error), Caught::Run(run)] = caught.grains.as_slice() else {
        panic!("{caught:?}")
    };
    assert_eq!(error.kind(), ErrorKind::Permanent);
    assert_eq!(run.entries, std::slice::from_ref(&b));

    let lost = Err(Error::transient("odd", "no connection"));
    let log = Odd::new(seen(), vec![page(&[&a]), lost]);
    let error = log.catch_up(&wants, Budget::UNBOUNDED).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
}

#[tokio::test]
async fn l8_the_budget_is_shared_and_serves_the_first_that_moved() {
    let (b, c) = (full("b", 1), full("c", 1));
    let b2 = delta(&b);
    let heads = vec![vec![None, Some(head(&b2, &b)), Some(head(&c, &c))]];
    let wants = ["a", "b", "c"].map(|key| (grain(key), Cursor::ZERO));
    for (budget, of_b, of_c) in [
        (Budget::new(9, 0), Some(1), None),
        (Budget::new(1, 99), Some(1), None),
        (Budget::new(2, 99), Some(2), None),
        (Budget::new(9, 8), Some(2), None),
        (Budget::new(9, 11), Some(2), None),
        (Budget::new(3, 12), Some(2), Some(1)),
    ] {
        let log = Odd::new(heads.clone(), vec![page(&[&b, &b2]), page(&[&c])]);
        let caught = log.catch_up(&wants, budget).await.unwrap();
        let served: Vec<_> = caught
            .grains
            .iter()
            .map(|caught| match caught {
                Caught::Run(run) => Some(run.entries.len()),
                _ => None,
            })
            .collect();
        assert_eq!(served, [Some(0), of_b, of_c], "{budget:?}");
        let spent = budget.entries() < 3 || budget.bytes() < 9;
        let reads = if spent { 1 } else { 2 };
        assert_eq!(
            log.asked().len(),
            reads,
            "a spent budget costs no read: {budget:?}"
        );
        let Some(Caught::Run(run)) = caught.grains.get(1) else {
            panic!("{caught:?}")
        };
        assert_eq!(run.complete, run.entries.len() == 2, "{budget:?}");
    }
}

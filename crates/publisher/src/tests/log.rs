//! [`TestLog`]: a log that keeps to L1-L7 by the core's own rules, fails as it is told to, and watches
//! its caller: one append of a grain at a time, and the identical bytes after an unknown outcome (P3).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::pending;
use std::sync::Arc;

use async_trait::async_trait;
use gleaner_core::append::{Verdict, check_batch, judge, judge_claim, landed};
use gleaner_core::{
    Appended, Budget, Claim, Cursor, Entry, Error, ErrorKind, Fence, Filter, GrainId, Head,
    HeadPage, Identity, Limits, LogId, Page, ReplicationLog, Result, Truncation,
};
use parking_lot::Mutex;
use tokio::sync::watch;

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Pass,
    /// Nothing happens, and it is said.
    Transient,
    /// Nothing happens, and the answer is lost.
    UnknownBefore,
    /// It happens, and the answer is lost.
    UnknownAfter,
    /// So many entries a grain land, and the answer is lost.
    UnknownPart(usize),
    /// So many entries a grain land, and each grain is told that the rest may.
    GrainPart(usize, bool),
    /// Nothing happens, and no answer ever comes.
    Hang,
    /// It happens, and no answer ever comes.
    HangAfter,
    /// No answer ever comes, and it happens a few calls later, if it still can.
    Late,
    Panic,
}

#[derive(Default)]
pub(super) struct History {
    pub(super) entries: Vec<Entry>,
    pub(super) head: Option<Head>,
    pub(super) fence: Option<Fence>,
    floor: Cursor,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) grains: BTreeMap<GrainId, History>,
    /// For the next calls to append; `Pass` behind the last.
    pub(super) script: VecDeque<Act>,
    pub(super) claim_script: VecDeque<Act>,
    /// Every call answers `Transient`.
    pub(super) down: bool,
    pub(super) truncate_fails: bool,
    /// A payload that no entry may have; `true`: refused with the whole batch.
    pub(super) refused: Option<(&'static [u8], bool)>,
    /// Every entry conflicts, whatever the head.
    pub(super) stubborn: bool,
    pub(super) appends: usize,
    pub(super) claims: usize,
    pub(super) truncations: usize,
    /// Entries of each attempt, per grain.
    pub(super) attempts: HashMap<GrainId, Vec<Vec<Entry>>>,
    /// Calls that arrive late, by the append before which they do.
    late: VecDeque<(usize, Vec<Entry>)>,
    in_flight: HashMap<GrainId, usize>,
    doubt: HashMap<GrainId, Vec<Entry>>,
    claim_doubt: Option<Vec<Claim>>,
    pub(super) violations: Vec<String>,
}

pub(super) struct TestLog {
    pub(super) state: Mutex<State>,
    limits: Limits,
    gate: watch::Sender<bool>,
}

impl TestLog {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            limits,
            gate: watch::Sender::new(true),
        })
    }

    /// While it is shut, appends wait at the gate.
    pub(super) fn shut(&self) {
        self.gate.send_replace(false);
    }

    pub(super) fn open(&self) {
        self.gate.send_replace(true);
    }

    pub(super) fn script(&self, acts: &[Act]) {
        self.state.lock().script.extend(acts);
    }

    /// The entries of a grain.
    pub(super) fn entries(&self, grain: &GrainId) -> Vec<Entry> {
        let state = self.state.lock();
        state
            .grains
            .get(grain)
            .map(|history| history.entries.clone())
            .unwrap_or_default()
    }

    pub(super) fn numbers(&self, grain: &GrainId) -> Vec<u64> {
        let entries = self.entries(grain);
        entries.iter().map(|entry| entry.sequence().get()).collect()
    }

    /// Waits until the log has seen so many appends.
    pub(super) async fn seen(&self, appends: usize) {
        while self.state.lock().appends < appends {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    /// Loses what lies above a cursor, and falls back to an older fence if it is given one.
    pub(super) fn lose(&self, grain: &GrainId, above: Cursor, fence: Option<Fence>) {
        let mut state = self.state.lock();
        let history = state.grains.get_mut(grain).unwrap();
        history.entries.retain(|entry| entry.cursor() <= above);
        let base = history
            .entries
            .iter()
            .rfind(|entry| entry.kind().is_base())
            .map(Entry::cursor);
        history.head = history.entries.last().zip(base).map(|(last, base)| Head {
            cursor: last.cursor(),
            digest: last.digest(),
            kind: last.kind(),
            base,
        });
        if fence.is_some() {
            history.fence = fence;
        }
    }

    /// Begins a call: what is to become of it.
    fn enter(&self, entries: &[Entry]) -> Act {
        let mut state = self.state.lock();
        state.appends += 1;
        for (grain, unit) in by_grain(entries) {
            let running = state.in_flight.entry(grain.clone()).or_default();
            *running += 1;
            if *running > 1 {
                state
                    .violations
                    .push(format!("two appends of {grain} at once"));
            }
            if let Some(before) = state.doubt.get(&grain)
                && !identical(before, &unit)
            {
                let why = format!("{grain}: after an unknown outcome {before:?} came {unit:?}");
                state.violations.push(why);
            }
            state.attempts.entry(grain).or_default().push(unit);
        }
        if state.down {
            return Act::Transient;
        }
        state.script.pop_front().unwrap_or(Act::Pass)
    }

    fn arrive_late(&self) {
        let due: VecDeque<(usize, Vec<Entry>)> = {
            let mut state = self.state.lock();
            let now = state.appends;
            let (due, rest) = state.late.drain(..).partition(|(when, _)| *when <= now);
            state.late = rest;
            due
        };
        for (_, entries) in due {
            let _ = self.write(&entries, usize::MAX);
        }
    }

    fn leave(&self, entries: &[Entry], in_doubt: bool) {
        let mut state = self.state.lock();
        for (grain, unit) in by_grain(entries) {
            if let Some(running) = state.in_flight.get_mut(&grain) {
                *running -= 1;
            }
            if in_doubt {
                state.doubt.insert(grain, unit);
            }
        }
    }

    /// Writes at most `most` entries of each grain.
    fn write(&self, entries: &[Entry], most: usize) -> Result<Vec<Appended>> {
        check_batch(entries, &self.limits, "test")?;
        let mut state = self.state.lock();
        let State {
            grains,
            refused,
            stubborn,
            ..
        } = &mut *state;
        if let Some((payload, true)) = refused
            && entries.iter().any(|entry| entry.payload() == *payload)
        {
            return Err(Error::permanent("test", "something in it is refused"));
        }
        let mut answers = Vec::new();
        for (grain, unit) in by_grain(entries) {
            let history = grains.entry(grain.clone()).or_default();
            let all: Vec<&Entry> = unit.iter().collect();
            let mut count = landed(history.head.as_ref(), &all);
            let mut result = Ok(history.head);
            for entry in unit.iter().skip(count).take(most) {
                if let Some((payload, false)) = refused
                    && entry.payload() == *payload
                {
                    result = Err(Error::invalid("test", "refused"));
                    break;
                }
                let head = history.head;
                let verdict = judge(
                    head.as_ref(),
                    history.fence.as_ref(),
                    entry,
                    &self.limits,
                    "test",
                );
                let verdict = match verdict {
                    Ok(_) if *stubborn => {
                        Err(Error::new(ErrorKind::Conflict { head }, "test", "stubborn"))
                    }
                    verdict => verdict,
                };
                match verdict {
                    Ok(Verdict::Retry(_)) => {}
                    Ok(Verdict::Write(head, fence)) => {
                        history.head = Some(head);
                        history.fence = fence;
                        history.entries.push(entry.clone());
                    }
                    Err(error) => {
                        result = Err(error);
                        break;
                    }
                }
                result = Ok(history.head);
                count += 1;
            }
            answers.push(Appended {
                grain,
                landed: count,
                result: result.and_then(|head| {
                    head.ok_or_else(|| Error::transient("test", "nothing was written"))
                }),
            });
        }
        Ok(answers)
    }

    fn answered(&self, entries: &[Entry], answers: &[Appended]) {
        let mut state = self.state.lock();
        for ((grain, mut unit), answer) in by_grain(entries).into_iter().zip(answers) {
            match &answer.result {
                Err(error) if error.is_retryable() => {
                    let rest = unit.split_off(answer.landed);
                    state.doubt.insert(grain, rest);
                }
                _ => {
                    state.doubt.remove(&grain);
                }
            }
        }
    }
}

/// Byte for byte, labels included.
fn identical(one: &[Entry], other: &[Entry]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| {
            one == other
                && one.written_at() == other.written_at()
                && one.source() == other.source()
                && one.payload() == other.payload()
        })
}

fn by_grain(entries: &[Entry]) -> Vec<(GrainId, Vec<Entry>)> {
    let mut groups: Vec<(GrainId, Vec<Entry>)> = Vec::new();
    for entry in entries {
        match groups.iter_mut().find(|(grain, _)| grain == entry.grain()) {
            Some((_, group)) => group.push(entry.clone()),
            None => groups.push((entry.grain().clone(), vec![entry.clone()])),
        }
    }
    groups
}

/// Ends a call even if it is dropped: whoever drops it does not know what became of it.
struct Running<'a> {
    log: &'a TestLog,
    entries: &'a [Entry],
    in_doubt: bool,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.log.leave(self.entries, self.in_doubt);
    }
}

#[async_trait]
impl ReplicationLog for TestLog {
    async fn append_batch(&self, entries: &[Entry]) -> Result<Vec<Appended>> {
        let act = self.enter(entries);
        let mut running = Running {
            log: self,
            entries,
            in_doubt: true,
        };
        let mut gate = self.gate.subscribe();
        gate.wait_for(|open| *open).await.unwrap();
        self.arrive_late();
        let lost = || Error::unknown("test", "the answer was lost");
        match act {
            Act::Pass => {}
            Act::Transient => {
                running.in_doubt = false;
                return Err(Error::transient("test", "down"));
            }
            Act::UnknownBefore => return Err(lost()),
            Act::UnknownAfter => {
                let _ = self.write(entries, usize::MAX);
                return Err(lost());
            }
            Act::UnknownPart(most) => {
                let _ = self.write(entries, most);
                return Err(lost());
            }
            Act::GrainPart(most, unknown) => {
                let mut answers = self.write(entries, most)?;
                running.in_doubt = false;
                for answer in &mut answers {
                    let sent = entries
                        .iter()
                        .filter(|entry| *entry.grain() == answer.grain)
                        .count();
                    if answer.landed < sent && answer.result.is_ok() {
                        answer.result = Err(if unknown {
                            lost()
                        } else {
                            Error::transient("test", "busy")
                        });
                    }
                }
                self.answered(entries, &answers);
                return Ok(answers);
            }
            Act::Hang => pending::<()>().await,
            Act::HangAfter => {
                let _ = self.write(entries, usize::MAX);
                pending::<()>().await;
            }
            Act::Late => {
                {
                    let mut state = self.state.lock();
                    let when = state.appends + 3;
                    state.late.push_back((when, entries.to_vec()));
                }
                pending::<()>().await;
            }
            Act::Panic => panic!("as the test told it to"),
        }
        let answers = self.write(entries, usize::MAX);
        running.in_doubt = false;
        if let Ok(answers) = &answers {
            self.answered(entries, answers);
        } else {
            let mut state = self.state.lock();
            for (grain, _) in by_grain(entries) {
                state.doubt.remove(&grain);
            }
        }
        answers
    }

    async fn claim(&self, claims: &[Claim]) -> Result<Vec<Result<Option<Head>>>> {
        let mut state = self.state.lock();
        state.claims += 1;
        if let Some(before) = state.claim_doubt.take()
            && before != claims
        {
            let why = format!("after an unknown claim {before:?} came {claims:?}");
            state.violations.push(why);
        }
        let act = state.claim_script.pop_front().unwrap_or(Act::Pass);
        if state.down || act == Act::Transient {
            return Err(Error::transient("test", "down"));
        }
        if act == Act::UnknownBefore {
            state.claim_doubt = Some(claims.to_vec());
            return Err(Error::unknown("test", "the answer was lost"));
        }
        let answers = claims
            .iter()
            .map(|claim| {
                let history = state.grains.entry(claim.grain.clone()).or_default();
                history.fence = Some(judge_claim(history.fence.as_ref(), claim, "test")?);
                Ok(history.head)
            })
            .collect();
        if act == Act::UnknownAfter {
            state.claim_doubt = Some(claims.to_vec());
            return Err(Error::unknown("test", "the answer was lost"));
        }
        Ok(answers)
    }

    async fn heads(&self, grains: &[GrainId]) -> Result<Vec<Option<Head>>> {
        let state = self.state.lock();
        if state.down {
            return Err(Error::transient("test", "down"));
        }
        Ok(grains
            .iter()
            .map(|grain| state.grains.get(grain).and_then(|history| history.head))
            .collect())
    }

    async fn list_heads(&self, _: &Filter, _: Option<&GrainId>, _: usize) -> Result<HeadPage> {
        Err(Error::permanent("test", "a publisher does not list"))
    }

    async fn read_from(&self, _: &GrainId, _: Cursor, _: Budget) -> Result<Page> {
        Err(Error::permanent("test", "a publisher does not read"))
    }

    async fn truncate(&self, grain: &GrainId, before: Cursor) -> Result<Truncation> {
        let mut state = self.state.lock();
        state.truncations += 1;
        if state.truncate_fails {
            return Err(Error::transient("test", "busy"));
        }
        let history = state.grains.entry(grain.clone()).or_default();
        let base = history
            .entries
            .iter()
            .rfind(|entry| entry.kind().is_base() && entry.cursor() <= before)
            .map(Entry::cursor);
        let held = history.entries.len();
        if let Some(base) = base {
            history.entries.retain(|entry| entry.cursor() >= base);
            history.floor = history.floor.max(base);
        }
        Ok(Truncation {
            removed: (held - history.entries.len()) as u64,
            floor: history.floor,
        })
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    async fn identity(&self) -> Result<Identity> {
        Ok(Identity::new(LogId::new("test"), ""))
    }

    fn confirms(&self) -> bool {
        true
    }
}

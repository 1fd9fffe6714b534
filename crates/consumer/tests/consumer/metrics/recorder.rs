//! [`Taken`]: a recorder that takes down what it is told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gleaner_consumer::Follower;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use parking_lot::Mutex;

/// What was registered, described and told; looked at as one follower's.
#[derive(Clone)]
pub(super) struct Taken {
    follower: String,
    book: Arc<Mutex<Book>>,
}

#[derive(Default)]
struct Book {
    /// How often each key was registered.
    times: BTreeMap<String, usize>,
    values: BTreeMap<String, Arc<AtomicU64>>,
    described: BTreeMap<String, String>,
}

impl Default for Taken {
    fn default() -> Self {
        Self::of("default")
    }
}

impl Taken {
    pub(super) fn of(follower: &str) -> Self {
        Self {
            follower: follower.to_owned(),
            book: Arc::default(),
        }
    }

    /// The same, looked at as another follower's.
    pub(super) fn named(&self, follower: &str) -> Self {
        Self {
            follower: follower.to_owned(),
            book: self.book.clone(),
        }
    }

    pub(super) fn sample(&self, follower: &Follower) {
        metrics::with_local_recorder(self, || follower.sample());
    }

    /// A gauge, named without what all names have in common: `grains{health=live}`.
    pub(super) fn gauge(&self, short: &str) -> f64 {
        f64::from_bits(self.value(short).load(Ordering::SeqCst))
    }

    pub(super) fn counter(&self, short: &str) -> u64 {
        self.value(short).load(Ordering::SeqCst)
    }

    pub(super) fn overwrite(&self, short: &str, value: f64) {
        self.value(short).store(value.to_bits(), Ordering::SeqCst);
    }

    /// All counters of a name.
    pub(super) fn sum(&self, short: &str) -> u64 {
        let name = format!("gleaner_follower_{short}{{");
        let book = self.book.lock();
        let all = book.values.iter().filter(|(key, _)| key.starts_with(&name));
        all.map(|(_, value)| value.load(Ordering::SeqCst)).sum()
    }

    pub(super) fn handles(&self) -> usize {
        self.book.lock().values.len()
    }

    pub(super) fn registrations(&self) -> BTreeMap<String, usize> {
        self.book.lock().times.clone()
    }

    /// The unit of each name.
    pub(super) fn described(&self) -> BTreeMap<String, String> {
        self.book.lock().described.clone()
    }

    fn value(&self, short: &str) -> Arc<AtomicU64> {
        let (name, labels) = short.split_once('{').unwrap_or((short, "}"));
        let mut labels: Vec<_> = labels
            .trim_end_matches('}')
            .split(',')
            .filter(|label| !label.is_empty())
            .map(str::to_owned)
            .collect();
        labels.push(format!("follower={}", self.follower));
        let key = written(&format!("gleaner_follower_{name}"), labels);
        let found = self.book.lock().values.get(&key).cloned();
        found.unwrap_or_else(|| panic!("not registered: {key}"))
    }

    fn register(&self, key: &Key) -> Arc<AtomicU64> {
        let labels = key.labels();
        let labels = labels.map(|label| format!("{}={}", label.key(), label.value()));
        let key = written(key.name(), labels.collect());
        let mut book = self.book.lock();
        *book.times.entry(key.clone()).or_default() += 1;
        book.values.entry(key).or_default().clone()
    }

    fn describe(&self, name: &KeyName, unit: Option<Unit>, says: &SharedString) {
        assert!(!says.is_empty());
        let unit = unit.unwrap().as_str().to_owned();
        let mut book = self.book.lock();
        let known = book
            .described
            .insert(name.as_str().to_owned(), unit.clone());
        assert!(known.is_none_or(|known| known == unit));
    }
}

fn written(name: &str, mut labels: Vec<String>) -> String {
    labels.sort_unstable();
    format!("{name}{{{}}}", labels.join(","))
}

impl Recorder for Taken {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, says: SharedString) {
        self.describe(&key, unit, &says);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, says: SharedString) {
        self.describe(&key, unit, &says);
    }

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {
        panic!("there is no histogram");
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.register(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.register(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        panic!("there is no histogram");
    }
}

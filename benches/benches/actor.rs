//! Times of the subjects that begin with `actor`; `benches/README.md` says what each is.

use criterion::{Criterion, criterion_group, criterion_main};
use gleaner_benches::subjects::{NAMES, subject};

fn measure(criterion: &mut Criterion) {
    for name in NAMES.into_iter().filter(|name| name.starts_with("actor")) {
        let mut subject = subject(name);
        criterion.bench_function(name, |bencher| bencher.iter(|| subject.once()));
    }
}

criterion_group!(group, measure);
criterion_main!(group);

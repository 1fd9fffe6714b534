//! What a case is to do: the stated defaults, and what the command line changes.

use std::path::PathBuf;

use gleaner_measure::{LogKind, Work};

use super::Outcome;
use super::options::{Case, Options};

/// The numbers of grains that `scale` goes through.
const SCALES: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// The work of each process of one run, without its folder.
pub(crate) fn plan(options: &Options) -> Outcome<Vec<Work>> {
    let case = options.case;
    let defaults = defaults(case);
    let log = options.log.unwrap_or(defaults.log);
    refuse(options, log)?;
    let work = Work {
        grains: options.grains.unwrap_or(defaults.grains),
        states: options.states.unwrap_or(defaults.states),
        rate: options.rate.unwrap_or(defaults.rate),
        seconds: options.seconds.unwrap_or(defaults.seconds),
        log,
        ..defaults
    };
    if [work.grains, work.states, work.rate, options.runs].contains(&0) {
        return Err("grains, states, rate and runs are at least one".into());
    }
    if !work.seconds.is_finite() || work.seconds <= 0.0 {
        return Err("seconds are more than zero".into());
    }
    if case == Case::Scale && options.grains.is_none() {
        return Ok(SCALES
            .map(|grains| Work {
                grains,
                ..work.clone()
            })
            .to_vec());
    }
    Ok(vec![work])
}

fn defaults(case: Case) -> Work {
    let work = Work {
        case: case.name().to_owned(),
        role: String::new(),
        grains: 1_000,
        states: 1,
        payload: 64,
        interval_ms: 1_000,
        rate: 1_000,
        seconds: 10.0,
        log: LogKind::Memory,
        folder: PathBuf::new(),
    };
    match case {
        Case::Idle | Case::Neighbours => Work {
            grains: 100_000,
            ..work
        },
        Case::Backlog => Work {
            grains: 1,
            states: 100_000,
            payload: 1024,
            interval_ms: 100,
            ..work
        },
        Case::Wide => Work {
            grains: 10_000,
            states: 50,
            payload: 256,
            interval_ms: 100,
            ..work
        },
        Case::Lag => Work {
            payload: 256,
            interval_ms: 100,
            rate: 2_000,
            ..work
        },
        Case::LagProcesses => Work {
            payload: 256,
            interval_ms: 100,
            rate: 2_000,
            log: LogKind::Sqlite,
            ..work
        },
        Case::Reads => Work {
            grains: 100_000,
            payload: 1024,
            rate: 200_000,
            seconds: 2.0,
            ..work
        },
        // `states` is how many of a task may be unacknowledged.
        Case::Append => Work {
            grains: 16,
            states: 64,
            payload: 1024,
            seconds: 5.0,
            log: LogKind::Sqlite,
            ..work
        },
        Case::AppendClosed => Work {
            grains: 16,
            payload: 1024,
            seconds: 5.0,
            log: LogKind::Sqlite,
            ..work
        },
        Case::Scale => work,
        // `states` is also how much history is kept while it runs.
        Case::Overload => Work {
            states: 4,
            payload: 4096,
            seconds: 5.0,
            ..work
        },
    }
}

fn refuse(options: &Options, log: LogKind) -> Outcome<()> {
    let case = options.case.name();
    let only = match options.case {
        Case::LagProcesses | Case::Append | Case::AppendClosed => Some(LogKind::Sqlite),
        Case::Reads | Case::Neighbours | Case::Overload => Some(LogKind::Memory),
        _ => None,
    };
    if only.is_some_and(|only| only != log) {
        return Err(format!("{case} is not measured on {}", log.name()).into());
    }
    if options.case == Case::Backlog && options.grains.is_some_and(|grains| grains != 1) {
        return Err("backlog is of one grain: give --states, or measure wide".into());
    }
    if options.states.is_some() && !matches!(options.case, Case::Backlog | Case::Wide) {
        return Err(format!("{case} has no --states").into());
    }
    let paced = matches!(
        options.case,
        Case::Lag | Case::LagProcesses | Case::Reads | Case::Scale | Case::Neighbours
    );
    if options.rate.is_some() && !paced {
        return Err(format!("{case} has no --rate").into());
    }
    if options.case.is_ours_alone() && options.only == Some(super::options::Side::Orlando) {
        return Err(format!("{case} is ours alone").into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn planned(args: &[&str]) -> Outcome<Vec<Work>> {
        plan(&Options::try_parse_from([&["versus"], args].concat())?)
    }

    #[test]
    fn defaults_are_the_stated_ones() {
        let [idle] = &*planned(&["idle"]).unwrap() else {
            panic!("one process")
        };
        assert_eq!(
            (idle.grains, idle.interval_ms, idle.log),
            (100_000, 1000, LogKind::Memory)
        );
        let [wide] = &*planned(&["wide", "--log", "sqlite"]).unwrap() else {
            panic!("one")
        };
        assert_eq!((wide.grains, wide.states, wide.payload), (10_000, 50, 256));
        assert_eq!(wide.log, LogKind::Sqlite);
        let scales = planned(&["scale"]).unwrap();
        assert_eq!(
            scales.iter().map(|work| work.grains).collect::<Vec<_>>(),
            SCALES
        );
        assert_eq!(planned(&["scale", "--grains", "7"]).unwrap().len(), 1);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for args in [
            &["reads", "--log", "sqlite"][..],
            &["append", "--log", "memory"],
            &["backlog", "--grains", "1000"],
            &["scale", "--only", "orlando"],
            &["idle", "--runs", "0"],
            &["idle", "--rate", "5"],
            &["lag", "--rate", "0"],
            &["idle", "--seconds", "0"],
            &["nothing"],
        ] {
            assert!(planned(args).is_err(), "{args:?}");
        }
    }
}

//! Random faults against random publishing: whatever happens, the newest state of each grain ends in
//! the log, bytes go again as they were, and all room comes back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gleaner_core::Cursor;
use tokio::time::sleep;

use super::log::Act;
use super::{Check, Sum, ensure, folded, id, rig, within};
use crate::backoff::mix;
use crate::{Compaction, DeltaOptions, Mode};

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0) % sides
    }

    fn act(&mut self) -> Act {
        match self.roll(13) {
            0 => Act::Transient,
            1 => Act::UnknownBefore,
            2 => Act::UnknownAfter,
            3 => Act::UnknownPart(1),
            4 => Act::GrainPart(1, true),
            5 => Act::GrainPart(0, false),
            6 => Act::Hang,
            7 => Act::HangAfter,
            8 => Act::Late,
            _ => Act::Pass,
        }
    }
}

async fn one(seed: u64, fault: Option<crate::fault::Fault>) -> Check {
    let mut dice = Dice(seed);
    let coalesce = dice.roll(3) > 0;
    let batched = dice.roll(2) == 0;
    let rig = rig(fault, |builder| {
        builder
            .seed(seed)
            .coalesce(coalesce)
            .max_buffered_bytes(1500)
            .compaction(Compaction::never())
            .mode(if batched {
                Mode::Batched(Duration::from_millis(300))
            } else {
                Mode::Immediate
            })
    });
    let deltas = DeltaOptions::new(Arc::new(Sum), "0").full_every(4);
    let mut grains = Vec::new();
    for key in ["a", "b"] {
        grains.push(rig.grain(key).await);
    }
    for key in ["c", "d"] {
        let grain = rig.publisher.delta_grain(id(key), deltas.clone()).await;
        grains.push(grain.unwrap());
    }
    let mut newest = [0_u64; 4];
    let mut given = [Cursor::ZERO; 4];
    for step in 1..=60_u64 {
        let at = usize::try_from(dice.roll(4)).unwrap();
        if dice.roll(2) == 0 {
            let act = dice.act();
            rig.log.script(&[act]);
        }
        let grain = &grains[at];
        let taken = if at < 2 || dice.roll(6) == 0 {
            newest[at] = step;
            within(grain.enqueue_bytes(step.to_string())).await?
        } else {
            newest[at] += step;
            within(grain.enqueue_delta(step.to_string())).await?
        };
        let Ok(cursor) = taken else {
            return Err(format!("step {step}: {taken:?}"));
        };
        ensure!(
            cursor > given[at],
            "step {step}: {cursor} after {}",
            given[at]
        );
        given[at] = cursor;
        if dice.roll(5) == 0 {
            sleep(Duration::from_millis(dice.roll(2000))).await;
        }
        // A tail is lost while nothing is in doubt; only Deltas can tell.
        if at >= 2 && dice.roll(15) == 0 {
            rig.log.state.lock().script.clear();
            within(grain.flush())
                .await?
                .map_err(|error| error.to_string())?;
            let entries = rig.log.entries(&id(["a", "b", "c", "d"][at]));
            let keep = usize::try_from(dice.roll(entries.len() as u64)).unwrap();
            let above = match keep {
                0 => Cursor::ZERO,
                keep => entries[keep - 1].cursor(),
            };
            rig.log.lose(&id(["a", "b", "c", "d"][at]), above, None);
            newest[at] += 1;
            let rescued = within(grain.publish_delta("1")).await?;
            ensure!(rescued.is_ok(), "step {step}: {rescued:?}");
        }
    }
    rig.log.state.lock().script.clear();
    rig.finish().await?;
    for (at, key) in ["a", "b", "c", "d"].into_iter().enumerate() {
        if grains[at].status().last == Cursor::ZERO {
            continue;
        }
        let entries = rig.log.entries(&id(key));
        let wanted = Bytes::from(newest[at].to_string());
        ensure!(
            folded(&entries) == Some(wanted.clone()),
            "{key} should end at {wanted:?}: {entries:?}"
        );
        let numbers = rig.log.numbers(&id(key));
        ensure!(numbers.is_sorted_by(|a, b| a < b), "{key}: {numbers:?}");
        ensure!(
            coalesce || at >= 2 || numbers.len() as u64 == given[at].sequence.get(),
            "{key}: {numbers:?} of {}",
            given[at]
        );
        ensure!(
            grains[at].acked() == entries.last().unwrap().cursor(),
            "{key}: acked {}",
            grains[at].acked()
        );
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn whatever_fails_the_newest_state_lands_once_and_in_order() {
    for seed in 0..400 {
        let outcome = within(one(seed, None)).await.and_then(|it| it);
        assert_eq!(outcome, Ok(()), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn random_faults_find_the_planted_ones_too() {
    use crate::fault::Fault;
    for fault in [
        Fault::ReuseNumber,
        Fault::DropAnyway,
        Fault::DropInFlight,
        Fault::FreshBytes,
        Fault::GiveUpOnConflict,
    ] {
        let mut found = false;
        for seed in 0..100 {
            let outcome = within(one(seed, Some(fault))).await.and_then(|it| it);
            if outcome.is_err() {
                found = true;
                break;
            }
        }
        assert!(found, "{fault:?} went unnoticed in 100 seeds");
    }
}

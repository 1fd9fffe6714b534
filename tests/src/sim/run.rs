//! The course of one world: chaos, calm, healing, and the last look.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::disaster::Disasters;
use super::primary::Primary;
use super::secondary::Secondary;
use super::seen::{Seen, Stage};
use super::shape::Shape;
use super::wire::Wire;
use super::world::{Ending, Mask, Phase, Violation, World};

/// How many poll intervals after the last fault, and after the last write, every grain is in step or
/// says why not.
pub(crate) const INTERVALS: u32 = 4;

/// What else may be under way when the last fault has happened: a call that is slow or late (1.6 s
/// and 80 ms), one that is given up (1.5 s) and repeated, a process that is held (5 s), a backoff
/// (0.5 s), a doubt whether a replica may yet be set back (5 s at that backoff).
const SETTLE: Duration = Duration::from_secs(14);

/// What follows a write, beside the intervals: a backoff that was begun before, and the reads
/// and applies of a few grains.
const STEP: Duration = Duration::from_secs(2);

/// Runs the world of a seed to its end.
///
/// # Panics
/// If the runtime cannot be built.
pub fn run(seed: u64, mask: &Mask, tracing: bool) -> Ending {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(course(Shape::of(seed), mask.clone(), tracing)),
        Err(error) => unreachable!("a runtime without I/O cannot be built: {error}"),
    }
}

async fn course(shape: Shape, mask: Mask, tracing: bool) -> Ending {
    let world = Arc::new(World::new(shape, mask, tracing));
    world.trace(|| format!("{:#?}", world.shape));
    let mut tasks = JoinSet::new();
    let told = tokio::select! {
        biased;
        () = world.reached(Phase::Over) => Ok(()),
        told = live(&world, &mut tasks) => told,
    };
    world.enter(Phase::Over);
    let mut ending = world.ending();
    if let (Err(what), None) = (told, &ending.violation) {
        ending.violation = Some(Violation {
            seed: world.shape.seed,
            step: ending.counts.steps,
            at: world.now(),
            invariant: "course",
            clauses: "convergence",
            what,
        });
    }
    tasks.abort_all();
    ending
}

async fn live(world: &Arc<World>, tasks: &mut JoinSet<()>) -> Result<(), String> {
    let wire = Arc::new(Wire::new(world.clone()));
    let primaries: Vec<_> = (0..world.shape.primaries)
        .map(|number| Arc::new(Primary::new(number, wire.clone())))
        .collect();
    let secondaries: Vec<_> = (0..world.shape.secondaries)
        .map(|number| Arc::new(Secondary::new(number, wire.clone())))
        .collect();
    let mut lives = JoinSet::new();
    for primary in &primaries {
        let primary = primary.clone();
        lives.spawn(async move { primary.run().await });
    }
    for secondary in &secondaries {
        let (living, reading, operating) =
            (secondary.clone(), secondary.clone(), secondary.clone());
        lives.spawn(async move { living.run().await });
        tasks.spawn(async move { reading.read().await });
        lives.spawn(async move { operating.operate().await });
    }
    let disasters = Disasters {
        wire: wire.clone(),
        primaries: primaries.clone(),
        secondaries: secondaries.clone(),
    };
    tasks.spawn(async move { disasters.run().await });

    sleep(world.shape.chaos).await;
    world.enter(Phase::Calm);
    let ended = timeout(Duration::from_secs(60), async {
        while lives.join_next().await.is_some() {}
    });
    ended
        .await
        .map_err(|_| "a process does not come to its end".to_owned())?;
    let rest = SETTLE + world.shape.poll * INTERVALS;
    sleep(rest).await;
    for secondary in &secondaries {
        secondary.look(Stage::Calm);
    }

    for secondary in &secondaries {
        timeout(rest, secondary.heal())
            .await
            .map_err(|_| "an operator gets no answer".to_owned())??;
    }
    if let Some(primary) = primaries.first() {
        timeout(SETTLE, primary.write_all())
            .await
            .map_err(|_| "a calm log cannot be written".to_owned())??;
    }
    sleep(STEP + world.shape.poll * INTERVALS).await;
    // A log that has lost even its fences may be written below what replicas hold: only now is there
    // something to rebase them to.
    for secondary in &secondaries {
        timeout(rest, secondary.heal())
            .await
            .map_err(|_| "an operator gets no answer".to_owned())??;
    }
    sleep(STEP + world.shape.poll * INTERVALS).await;
    for secondary in &secondaries {
        secondary.look(Stage::Healed);
    }
    // Once more, and now not a moment later than the follower says.
    if world.shape.confirms
        && let Some(primary) = primaries.first()
    {
        timeout(SETTLE, primary.write_all())
            .await
            .map_err(|_| "a calm log cannot be written".to_owned())??;
        for secondary in &secondaries {
            timeout(STEP + world.shape.poll * INTERVALS, secondary.catch_up())
                .await
                .map_err(|_| "a follower does not catch up".to_owned())??;
            secondary.look(Stage::Healed);
        }
    }
    for grain in &world.shape.grains {
        world.saw(&Seen::Holds {
            grain: grain.clone(),
            entries: wire.holds(grain),
        });
    }
    Ok(())
}

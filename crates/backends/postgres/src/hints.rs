//! [`Bell`] and [`Hints`]: how those who wait for the feed learn that something has moved.
//!
//! This process's commits ring the bell themselves. Other processes are told, and tell, through the
//! server: a NOTIFY of its own for whatever was committed in the last moments, outside the appends, since
//! a commit that notifies takes a lock of the whole server.

use std::sync::Arc;
use std::time::Duration;

use gleaner_core::Position;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_postgres::AsyncMessage;
use tracing::debug;

use crate::error::{BACKEND, Fault};
use crate::feed::shards_of;
use crate::place::{Place, Wire};
use crate::schema::SHARDS;

/// Where each feed shard ends, as far as it is known in this process.
pub(crate) type Ends = [u64; SHARDS];

/// The feed's ends as they are known here, and who waits for them to move.
#[derive(Debug)]
pub(crate) struct Bell {
    known: watch::Sender<Ends>,
}

impl Bell {
    pub(crate) fn new() -> Self {
        Self {
            known: watch::Sender::new([0; SHARDS]),
        }
    }

    /// What is known now.
    pub(crate) fn known(&self) -> Ends {
        *self.known.borrow()
    }

    /// Says that shards end at these places or behind them; wakes those who wait if that is news.
    pub(crate) fn ring(&self, places: impl IntoIterator<Item = (usize, u64)>) {
        self.known.send_if_modified(|known| {
            let mut is_news = false;
            for (shard, place) in places {
                if let Some(known) = known.get_mut(shard)
                    && *known < place
                {
                    *known = place;
                    is_news = true;
                }
            }
            is_news
        });
    }

    /// Takes in what an answer said, that was asked for when `before` was known. A shard that ends below
    /// what was known by then has lost its tail: nothing is known of it but that.
    pub(crate) fn read(&self, before: &Ends, ends: &Ends) {
        self.known.send_if_modified(|known| {
            let mut is_news = false;
            for ((known, before), end) in known.iter_mut().zip(before).zip(ends) {
                if *end > *known {
                    is_news = true;
                    *known = *end;
                } else if *end < *before && *known == *before {
                    *known = *end;
                }
            }
            is_news
        });
    }

    /// Returns when something is known to lie after `since`, in a shard that its filter is about.
    pub(crate) async fn passed(&self, since: &Position) {
        let asked = shards_of(since.filter());
        let Ok(counters) = since.counters(since.identity(), since.filter(), BACKEND) else {
            return;
        };
        let mut known = self.known.subscribe();
        let passed = known.wait_for(|known| {
            known
                .iter()
                .zip(counters)
                .zip(asked)
                .any(|((known, after), asked)| asked && known > after)
        });
        // It fails only when the sender is gone, and this is the sender.
        drop(passed.await);
    }
}

/// The least time between two NOTIFYs of one process: 500 a second at most, each for all that was
/// committed meanwhile.
const SPACING: Duration = Duration::from_millis(2);
/// How long a server that cannot be reached is left alone: at first, and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// How long an answer on the way of hints is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tells other processes through the server, and is told.
///
/// # Concurrency
/// One task owns the connection. `orders` is all that is shared with it: places that it has not told
/// yet, and whether somebody waits. It is woken after each change of them, and looks at all of them each
/// time, so none is left. Whatever is lost, with the connection or before it is there, costs a follower
/// its poll interval at most.
#[derive(Debug)]
pub(crate) struct Hints {
    orders: Arc<Orders>,
    is_deaf: bool,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Orders {
    wanted: Mutex<Wanted>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Wanted {
    /// Places to tell of; zero for a shard of which there is nothing to tell.
    places: Ends,
    listen: bool,
}

impl Wanted {
    fn is_something(&self) -> bool {
        self.listen || self.places.iter().any(|place| *place > 0)
    }
}

impl Hints {
    /// Connects to nobody before there is something to tell, or somebody who waits.
    pub(crate) fn new(place: Arc<Place>, bell: Arc<Bell>) -> Self {
        let orders = Arc::<Orders>::default();
        let is_deaf = place.pooler;
        let task = tokio::spawn(serve(place, bell, Arc::clone(&orders)));
        Self {
            orders,
            is_deaf,
            task,
        }
    }

    /// Has others told that shards end at these places.
    pub(crate) fn tell(&self, places: impl IntoIterator<Item = (usize, u64)>) {
        let mut wanted = self.orders.wanted.lock();
        for (shard, place) in places {
            if let Some(known) = wanted.places.get_mut(shard) {
                *known = place.max(*known);
            }
        }
        drop(wanted);
        self.orders.changed.notify_one();
    }

    /// Listens from now on. Not behind a pooler: each transaction has another session there, and none of
    /// them would hear anything.
    pub(crate) fn listen(&self) {
        if self.is_deaf {
            return;
        }
        let mut wanted = self.orders.wanted.lock();
        if !wanted.listen {
            wanted.listen = true;
            drop(wanted);
            self.orders.changed.notify_one();
        }
    }
}

impl Drop for Hints {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(place: Arc<Place>, bell: Arc<Bell>, orders: Arc<Orders>) {
    let mut pause = BACKOFF.0;
    loop {
        while !orders.wanted.lock().is_something() {
            orders.changed.notified().await;
        }
        let mut was_answered = false;
        if let Err(fault) = converse(&place, &bell, &orders, &mut was_answered).await {
            let error = fault.before("exchange hints", &place.name);
            debug!(%error, "hints are interrupted; polls go on");
        }
        if was_answered {
            pause = BACKOFF.0;
        }
        sleep(pause).await;
        pause = pause.saturating_mul(2).min(BACKOFF.1);
    }
}

/// Exchanges hints for as long as the connection lasts, and says whether any were. To be let in is not
/// enough: a standby lets everybody in and refuses all of it.
async fn converse(
    place: &Place,
    bell: &Arc<Bell>,
    orders: &Orders,
    was_answered: &mut bool,
) -> Result<(), Fault> {
    // Dropped, it takes the reading task with it.
    let mut reading = JoinSet::new();
    let (client, wire) = answered(Box::pin(place.dial(PATIENCE))).await?;
    reading.spawn(read(wire, Arc::clone(bell)));
    let mut listens = false;
    loop {
        let (listen, places) = {
            let mut wanted = orders.wanted.lock();
            (
                wanted.listen && !listens,
                std::mem::take(&mut wanted.places),
            )
        };
        if listen {
            let sql = format!("LISTEN {}", place.schema);
            answered(async { Ok(client.batch_execute(&sql).await?) }).await?;
            (listens, *was_answered) = (true, true);
        }
        let payload = written(&places);
        if !payload.is_empty() {
            // Hints are not worth a sync of the disk.
            let sql = format!(
                "BEGIN; SET LOCAL synchronous_commit = off; NOTIFY {}, '{payload}'; COMMIT",
                place.schema
            );
            answered(async { Ok(client.batch_execute(&sql).await?) }).await?;
            *was_answered = true;
            sleep(SPACING).await;
        }
        tokio::select! {
            _ = reading.join_next() => return Err(Fault::Silent),
            () = orders.changed.notified() => {}
        }
    }
}

async fn answered<T>(answer: impl Future<Output = Result<T, Fault>> + Send) -> Result<T, Fault> {
    timeout(PATIENCE, answer)
        .await
        .unwrap_or(Err(Fault::Silent))
}

/// Rings for what the server sends, until the connection ends.
async fn read(mut wire: Wire, bell: Arc<Bell>) {
    while let Some(Ok(message)) = std::future::poll_fn(|context| wire.poll_message(context)).await {
        if let AsyncMessage::Notification(told) = message {
            bell.ring(places(told.payload()));
        }
    }
}

/// `shard:place`, separated by commas.
fn written(places: &Ends) -> String {
    let told: Vec<String> = places
        .iter()
        .enumerate()
        .filter(|(_, place)| **place > 0)
        .map(|(shard, place)| format!("{shard}:{place}"))
        .collect();
    told.join(",")
}

/// The other way round. What is not of this form, since anybody may notify, says nothing.
fn places(payload: &str) -> Vec<(usize, u64)> {
    payload
        .split(',')
        .filter_map(|told| {
            let (shard, place) = told.split_once(':')?;
            Some((shard.parse().ok()?, place.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use gleaner_core::{Filter, Identity, LogId};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A message of the server's: its type, then how long it is.
    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let long = u32::try_from(body.len()).unwrap() + 4;
        [&[kind], &long.to_be_bytes()[..], body].concat()
    }

    /// Lets in, and refuses whatever is asked for, until the client goes.
    async fn refuse_all(mut socket: TcpStream) -> std::io::Result<()> {
        let idle = message(b'Z', b"I");
        let refusal = b"SERROR\0VERROR\0C0A000\0Mnot on a standby\0\0";
        let mut begun = vec![0; socket.read_u32().await? as usize - 4];
        socket.read_exact(&mut begun).await?;
        let welcome = [message(b'R', &[0; 4]), idle.clone()].concat();
        socket.write_all(&welcome).await?;
        loop {
            socket.read_u8().await?;
            let mut asked = vec![0; socket.read_u32().await? as usize - 4];
            socket.read_exact(&mut asked).await?;
            let answer = [message(b'E', refusal), idle.clone()].concat();
            socket.write_all(&answer).await?;
        }
    }

    #[tokio::test]
    async fn a_server_that_lets_in_and_refuses_is_left_alone_for_longer_each_time() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        let place = Place::of(&format!("postgres://u@127.0.0.1:{port}/app")).unwrap();
        let hints = Hints::new(Arc::new(place), Arc::new(Bell::new()));
        hints.listen();
        let mut first = None;
        for _ in 0..5 {
            let (socket, _) = server.accept().await.unwrap();
            first.get_or_insert_with(Instant::now);
            // It ends when the client has gone.
            drop(refuse_all(socket).await);
        }
        // Four pauses lie between: 100, 200, 400 and 800 ms. A slow machine only makes them longer.
        assert!(first.unwrap().elapsed() >= BACKOFF.0 * 15);
    }

    #[test]
    fn places_are_written_and_read() {
        let mut ends = [0; SHARDS];
        (ends[3], ends[31]) = (7, u64::MAX);
        assert_eq!(written(&ends), format!("3:7,31:{}", u64::MAX));
        assert_eq!(places(&written(&ends)), [(3, 7), (31, u64::MAX)]);
        assert!(places("").is_empty() && places("hello, world: 1").is_empty());
        assert_eq!(places("x:1,2:3,-1:4"), [(2, 3)]);
    }

    fn at(filter: Filter, counters: Ends) -> Position {
        Position::new(Identity::new(LogId::new(b"log"), vec![1]), filter, counters)
    }

    fn has_passed(bell: &Bell, since: &Position) -> bool {
        let passed = std::pin::pin!(bell.passed(since));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        passed.poll(&mut context).is_ready()
    }

    #[test]
    fn a_waiter_is_woken_by_shards_of_its_filter_alone() {
        let bell = Bell::new();
        // The slices of shard 3.
        let mine = at(Filter::all().slices(96..128), [5; SHARDS]);
        bell.ring([(3, 5), (4, 9), (99, 9)]);
        assert!(!has_passed(&bell, &mine));
        assert!(has_passed(&bell, &at(Filter::all(), [5; SHARDS])));
        bell.ring([(3, 6)]);
        assert!(has_passed(&bell, &mine));
    }

    #[test]
    fn a_log_that_lost_its_tail_is_not_waited_for_in_vain() {
        let bell = Bell::new();
        bell.ring([(0, 9)]);
        let before = bell.known();
        // What is told while the question is under way is newer than its answer.
        bell.ring([(1, 4)]);
        bell.read(&before, &[0; SHARDS]);
        let known = bell.known();
        assert_eq!((known[0], known[1]), (0, 4));
        assert!(!has_passed(
            &bell,
            &at(Filter::all().slices(0..32), [0; SHARDS])
        ));
        assert!(has_passed(&bell, &at(Filter::all(), [0; SHARDS])));
    }
}

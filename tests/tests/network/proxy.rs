//! [`Proxy`]: a wire between two ends that can be disturbed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::peer::LONG;

/// What happens to what passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disturbance {
    /// Nothing.
    None,
    /// Connections break, and no new one lasts.
    Drop,
    /// Every piece comes later, one behind the other.
    Delay(Duration),
    /// Half of a piece passes, and then the connection breaks.
    Halve,
    /// Nothing passes, and nobody is told.
    Swallow,
    /// So many bytes pass to the one who asked, and then nothing does.
    Hold(u64),
}

#[derive(Debug, Clone, Copy)]
struct State {
    disturbance: Disturbance,
    /// Connections up to this one are dead for good, and nobody is told.
    buried: u64,
}

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: watch::Sender<State>,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

#[derive(Debug, Default)]
struct Shared {
    /// Bytes that the listening end has sent through it.
    answered: AtomicU64,
    connections: AtomicU64,
    held: AtomicBool,
}

impl Proxy {
    /// In front of a leader.
    pub(crate) fn before(leader: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (state, states) = watch::channel(State {
            disturbance: Disturbance::None,
            buried: 0,
        });
        let shared = Arc::new(Shared::default());
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(accept(listener, leader, states, shared.clone()));
        Self {
            address,
            state,
            shared,
            _runtime: runtime,
        }
    }

    pub(crate) fn disturb(&self, disturbance: Disturbance) {
        self.shared.held.store(false, Ordering::SeqCst);
        self.state
            .send_modify(|state| state.disturbance = disturbance);
    }

    /// Every connection that there is goes silent for good; new ones work.
    pub(crate) fn bury(&self) {
        let buried = self.shared.connections.load(Ordering::SeqCst);
        self.state.send_modify(|state| state.buried = buried);
    }

    pub(crate) fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Bytes that the leader has sent through it.
    pub(crate) fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::SeqCst)
    }

    /// Waits until something is held back.
    pub(crate) fn until_held(&self) {
        let began = Instant::now();
        while !self.shared.held.load(Ordering::SeqCst) {
            assert!(began.elapsed() < LONG, "there is nothing to hold back");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

async fn accept(
    listener: TcpListener,
    leader: SocketAddr,
    states: watch::Receiver<State>,
    shared: Arc<Shared>,
) {
    loop {
        let (near, _) = listener.accept().await.unwrap();
        if states.borrow().disturbance == Disturbance::Drop {
            continue;
        }
        let number = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
        let (states, shared) = (states.clone(), shared.clone());
        tokio::spawn(async move {
            // A leader that is not there: the connection breaks.
            let Ok(far) = TcpStream::connect(leader).await else {
                return;
            };
            near.set_nodelay(true).unwrap();
            far.set_nodelay(true).unwrap();
            let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
            let up = Pump {
                number,
                states: states.clone(),
                answers: None,
            };
            let down = Pump {
                number,
                states,
                answers: Some(shared),
            };
            // One direction that ends takes the other with it.
            tokio::select! {
                () = up.run(from_near, to_far) => {}
                () = down.run(from_far, to_near) => {}
            }
        });
    }
}

/// One direction of one connection.
struct Pump {
    number: u64,
    states: watch::Receiver<State>,
    /// Where the answers are counted, if it is they that pass here.
    answers: Option<Arc<Shared>>,
}

impl Pump {
    async fn run(mut self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut buffer = vec![0; 16 << 10];
        let mut passed = 0;
        loop {
            if !self.may_pass(passed).await {
                return;
            }
            let read = tokio::select! {
                read = from.read(&mut buffer) => read,
                changed = self.states.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            };
            let Ok(count @ 1..) = read else {
                return;
            };
            // What was read before it is forbidden to pass waits with the rest.
            if !self.may_pass(passed).await {
                return;
            }
            let disturbance = self.states.borrow().disturbance;
            if let Disturbance::Delay(by) = disturbance {
                sleep(by).await;
            }
            let piece = match disturbance {
                Disturbance::Halve => &buffer[..count / 2],
                _ => &buffer[..count],
            };
            if to.write_all(piece).await.is_err() || disturbance == Disturbance::Halve {
                return;
            }
            passed += piece.len() as u64;
            if let Some(shared) = &self.answers {
                shared
                    .answered
                    .fetch_add(piece.len() as u64, Ordering::SeqCst);
            }
        }
    }

    /// Waits until something may pass; false if the connection is to break.
    async fn may_pass(&mut self, passed: u64) -> bool {
        loop {
            let State {
                disturbance,
                buried,
            } = *self.states.borrow_and_update();
            let holds = match disturbance {
                _ if self.number <= buried => true,
                Disturbance::Drop => return false,
                Disturbance::Swallow => true,
                Disturbance::Hold(limit) => self.answers.as_ref().is_some_and(|shared| {
                    let holds = passed >= limit;
                    shared.held.fetch_or(holds, Ordering::SeqCst);
                    holds
                }),
                _ => false,
            };
            if !holds {
                return true;
            }
            if self.states.changed().await.is_err() {
                return false;
            }
        }
    }
}

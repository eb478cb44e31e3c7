//! A proxy that harms connections: delays, cuts, swallows, scrambles and drips.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// What the proxy does with what passes through it.
///
/// ```
/// assert_eq!(larder_testkit::servers::Fault::default(), larder_testkit::servers::Fault::None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// It passes.
    #[default]
    None,
    /// Every piece is late by so much, in each direction.
    Delay(Duration),
    /// Connections are cut, and new ones end at once.
    Cut,
    /// Connections stay open, new ones are taken, and nothing arrives.
    Swallow,
    /// Answers are other bytes than the server sent.
    Scramble,
    /// Answers come a byte at a time, with this pause between.
    Drip(Duration),
}

/// Stands between a client and a server until it is dropped.
///
/// ```no_run
/// use larder_testkit::servers::{Fault, FaultProxy, Server};
///
/// let redis = Server::redis();
/// let proxy = FaultProxy::before(redis.address());
/// // … a client of proxy.address() …
/// proxy.set(Fault::Swallow);
/// ```
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    fault: Fault,
    is_over: bool,
    /// Both ends of every connection.
    open: Vec<TcpStream>,
    connections: u64,
    turns: u64,
}

impl FaultProxy {
    /// A proxy before a server, harmless at first.
    pub fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            target,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accepting.accept(&listener));
        Self { address, shared }
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Harms everything that passes from now on in this way, or in none.
    pub fn set(&self, fault: Fault) {
        let mut state = self.shared.state.lock();
        state.fault = fault;
        if fault == Fault::Cut {
            state.cut();
        }
        self.shared.changed.notify_all();
    }
}

impl FaultProxy {
    /// Cuts all connections that there are, and harms no others from now on.
    pub fn cut(&self) {
        let mut state = self.shared.state.lock();
        state.cut();
        state.fault = Fault::None;
        self.shared.changed.notify_all();
    }

    /// How many connections it has taken.
    pub fn connections(&self) -> u64 {
        self.shared.state.lock().connections
    }

    /// How often a client asked after an answer, or for the first time: round trips, if
    /// it does one thing after the other on each connection.
    pub fn turns(&self) -> u64 {
        self.shared.state.lock().turns
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.is_over = true;
        state.cut();
        drop(state);
        self.shared.changed.notify_all();
        // Wakes the thread that accepts, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn cut(&mut self) {
        for stream in self.open.drain(..) {
            // The other side may have closed it before.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            let mut state = self.state.lock();
            if state.is_over {
                return;
            }
            let Ok(client) = client else { continue };
            if state.fault == Fault::Cut {
                continue;
            }
            let Ok(server) = TcpStream::connect(self.target) else {
                continue;
            };
            state.connections += 1;
            let was_answered = Arc::new(AtomicBool::new(true));
            for (from, to, is_answer) in [(&client, &server, false), (&server, &client, true)] {
                let clones = from
                    .try_clone()
                    .and_then(|from| Ok((from, to.try_clone()?)));
                let Ok((from, to)) = clones else { continue };
                let (shared, was_answered) = (Arc::clone(&self), Arc::clone(&was_answered));
                std::thread::spawn(move || shared.pass(from, to, is_answer, &was_answered));
            }
            state.open.extend([client, server]);
        }
    }

    /// Passes bytes on in one direction until one side ends.
    fn pass(
        &self,
        mut from: TcpStream,
        mut to: TcpStream,
        is_answer: bool,
        was_answered: &AtomicBool,
    ) {
        let mut bytes = [0; 16 * 1024];
        loop {
            let passed = match from.read(&mut bytes) {
                Ok(0) | Err(_) => false,
                Ok(len) => {
                    // Ordering: relaxed, the bytes themselves bring the two in order.
                    let is_turn = was_answered.swap(is_answer, Ordering::Relaxed) && !is_answer;
                    self.state.lock().turns += u64::from(is_turn);
                    self.pass_some(&mut bytes[..len], &mut to, is_answer)
                        .is_ok()
                }
            };
            if !passed {
                let _ = to.shutdown(Shutdown::Both);
                let _ = from.shutdown(Shutdown::Both);
                return;
            }
        }
    }

    fn pass_some(&self, bytes: &mut [u8], to: &mut TcpStream, is_answer: bool) -> io::Result<()> {
        match self.fault_once_it_passes() {
            Fault::Delay(time) => self.wait(time),
            Fault::Scramble if is_answer => {
                for (at, byte) in bytes.iter_mut().enumerate() {
                    *byte = byte.wrapping_mul(31).wrapping_add(at.to_le_bytes()[0]);
                }
            }
            Fault::Drip(pause) if is_answer => {
                for byte in bytes.iter() {
                    to.write_all(&[*byte])?;
                    self.wait(pause);
                }
                return Ok(());
            }
            _ => {}
        }
        to.write_all(bytes)
    }

    /// The fault, once it lets anything through.
    fn fault_once_it_passes(&self) -> Fault {
        let mut state = self.state.lock();
        while state.fault == Fault::Swallow && !state.is_over {
            self.changed.wait(&mut state);
        }
        state.fault
    }

    /// Waits, unless it is over.
    fn wait(&self, time: Duration) {
        let mut state = self.state.lock();
        let fault = state.fault;
        let goes_on = |state: &mut State| !state.is_over && state.fault == fault;
        self.changed.wait_while_for(&mut state, goes_on, time);
    }
}

//! Requests that wait for a connection.
//!
//! A few workers have a connection each, and take from the line what is there, to send it
//! in one go: the more callers there are, the less each costs.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::node::Failure;
use crate::protocol::{Answer, Command};

/// Requests that are sent in one go at most.
const MOST_JOBS: usize = 128;
/// Bytes from which on nothing more is sent along.
const MANY_BYTES: usize = 64 << 10;

/// What a caller gets.
pub(crate) type Reply = Result<Vec<Answer>, Failure>;

/// Some commands of a caller, who waits until a deadline.
pub(crate) struct Job {
    bytes: Vec<u8>,
    /// How many answers there will be.
    count: usize,
    deadline: Instant,
    reply: oneshot::Sender<Reply>,
}

impl Job {
    /// The job, and where its answers will come.
    pub(crate) fn new(
        commands: &[&Command],
        deadline: Instant,
    ) -> (Self, oneshot::Receiver<Reply>) {
        let mut bytes = Vec::with_capacity(64 * commands.len());
        for command in commands {
            command.put(&mut bytes);
        }
        let (reply, answers) = oneshot::channel();
        let job = Self {
            bytes,
            count: commands.len(),
            deadline,
            reply,
        };
        (job, answers)
    }
}

/// Requests in the order in which they came, and connections that nobody uses.
#[derive(Default)]
pub(crate) struct Line(Mutex<State>);

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    workers: usize,
    /// With when they were used last; the last one used is the first one used again.
    idle: Vec<(Connection, Instant)>,
}

impl Line {
    /// Puts a request into the line; whether another worker should begin.
    pub(crate) fn put(&self, job: Job, max_workers: usize) -> bool {
        let mut state = self.0.lock();
        state.jobs.push_back(job);
        let is_one_more = state.workers < max_workers;
        state.workers += usize::from(is_one_more);
        is_one_more
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().jobs.is_empty()
    }

    /// What a worker has to do next. If there is nothing its connection is kept, and it
    /// ends.
    pub(crate) fn next(&self, connection: &mut Option<Connection>) -> Option<Batch> {
        let mut state = self.0.lock();
        let (mut jobs, mut bytes) = (VecDeque::new(), 0);
        while jobs.len() < MOST_JOBS
            && bytes < MANY_BYTES
            && let Some(job) = state.jobs.pop_front()
        {
            // Whose caller is gone is not sent any more.
            if !job.reply.is_closed() {
                bytes += job.bytes.len();
                jobs.push_back(job);
            }
        }
        if jobs.is_empty() {
            state.workers -= 1;
            let used = connection.take().map(|kept| (kept, Instant::now()));
            state.idle.extend(used);
            return None;
        }
        Some(Batch(jobs))
    }

    /// A worker is gone without having come to its end: with the runtime, say. What it
    /// left is for the next one.
    pub(crate) fn lose_worker(&self) {
        self.0.lock().workers -= 1;
    }

    /// A connection that was kept, with when it was used.
    pub(crate) fn kept(&self) -> Option<(Connection, Instant)> {
        self.0.lock().idle.pop()
    }

    pub(crate) fn keep(&self, connection: Connection) {
        self.0.lock().idle.push((connection, Instant::now()));
    }

    pub(crate) fn idle(&self) -> usize {
        self.0.lock().idle.len()
    }
}

/// Requests that are sent in one go. Those that were answered are not in it any more.
pub(crate) struct Batch(VecDeque<Job>);

impl Batch {
    /// One request alone.
    pub(crate) fn of(job: Job) -> Self {
        Self(VecDeque::from([job]))
    }

    /// Until when somebody waits.
    pub(crate) fn deadline(&self) -> Instant {
        let deadlines = self.0.iter().map(|job| job.deadline);
        deadlines.max().unwrap_or_else(Instant::now)
    }

    /// What is to be sent.
    pub(crate) fn take_bytes(&mut self) -> Vec<u8> {
        let mut jobs = self.0.iter_mut();
        let first = jobs.next().map(|job| std::mem::take(&mut job.bytes));
        let mut bytes = first.unwrap_or_default();
        for job in jobs {
            bytes.append(&mut job.bytes);
        }
        bytes
    }

    /// How many answers come next.
    pub(crate) fn next(&self) -> Option<usize> {
        self.0.front().map(|job| job.count)
    }

    /// Gives the next caller its answers.
    pub(crate) fn answer(&mut self, answers: Vec<Answer>) {
        if let Some(job) = self.0.pop_front() {
            // Whoever has lost patience needs none.
            let _ = job.reply.send(Ok(answers));
        }
    }

    /// Tells everybody who is left why there are no answers.
    pub(crate) fn fail(self, failure: &Failure) {
        for job in self.0 {
            let _ = job.reply.send(Err(failure.clone()));
        }
    }
}

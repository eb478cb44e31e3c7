//! All servers of a backend: each request goes to the one that has its key.

use std::sync::Arc;

use futures_util::future::join_all;
use larder_core::{Result, Retry};
use tokio::time::Instant;

use crate::errors::unexpected;
use crate::name::Name;
use crate::node::{Failure, Link, Node};
use crate::protocol::{Answer, Command};
use crate::ring::Ring;

/// Commands on their way to a server at a time.
const MOST_AT_ONCE: usize = 10_000;

/// Servers, and who has what.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) nodes: Vec<Arc<Node>>,
    ring: Ring,
}

impl Pool {
    pub(crate) fn new(servers: Vec<(String, u16)>, link: Link) -> Self {
        let link = Arc::new(link);
        Self {
            ring: Ring::of(&servers),
            nodes: servers
                .into_iter()
                .map(|server| Arc::new(Node::new(server, Arc::clone(&link))))
                .collect(),
        }
    }

    /// Until when an operation that begins now may take.
    pub(crate) fn deadline(&self) -> Instant {
        self.nodes[0].deadline()
    }

    /// The number of the server that has a name.
    pub(crate) fn server_of(&self, name: &Name) -> usize {
        if let [_alone] = &self.nodes[..] {
            return 0;
        }
        self.ring.server_of(&name.bytes)
    }

    pub(crate) fn node_of(&self, name: &Name) -> &Arc<Node> {
        &self.nodes[self.server_of(name)]
    }

    /// Sends some commands about one key in one go.
    pub(crate) async fn send(
        &self,
        name: &Name,
        commands: &[Command],
        if_lost: Retry,
    ) -> Result<Vec<Answer>> {
        let commands: Vec<&Command> = commands.iter().collect();
        run(self.node_of(name), &commands, if_lost).await
    }

    /// Sends one command and waits for its answer.
    pub(crate) async fn send_one(
        &self,
        name: &Name,
        command: Command,
        if_lost: Retry,
    ) -> Result<Answer> {
        let mut answers = run(self.node_of(name), &[&command], if_lost).await?;
        answers.pop().ok_or_else(|| unexpected("a command"))
    }

    /// Sends the commands about every name, in one go to each server, and tells what
    /// became of those about each name, in their order. What one server does not answer
    /// does not harm the others.
    pub(crate) async fn send_all(
        &self,
        requests: Vec<(usize, Vec<Command>)>,
        if_lost: Retry,
    ) -> Vec<Result<Vec<Answer>>> {
        let mut groups: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        for (number, (server, _)) in requests.iter().enumerate() {
            groups[*server].push(number);
        }
        let requests = &requests;
        let sent = groups
            .iter()
            .enumerate()
            .map(|(server, numbers)| async move {
                let mut outcomes = Vec::with_capacity(numbers.len());
                for some in numbers.chunks(MOST_AT_ONCE) {
                    outcomes.extend(run_some(&self.nodes[server], requests, some, if_lost).await);
                }
                outcomes
            });
        let outcomes = join_all(sent).await;
        let mut answers: Vec<Result<Vec<Answer>>> = Vec::new();
        answers.resize_with(requests.len(), || Err(unexpected("a batch")));
        for (numbers, outcomes) in groups.iter().zip(outcomes) {
            for (number, outcome) in numbers.iter().zip(outcomes) {
                answers[*number] = outcome;
            }
        }
        answers
    }
}

/// Sends the commands of some requests to one server.
async fn run_some(
    node: &Arc<Node>,
    requests: &[(usize, Vec<Command>)],
    numbers: &[usize],
    if_lost: Retry,
) -> Vec<Result<Vec<Answer>>> {
    let of = |number: &usize| &requests[*number].1;
    let commands: Vec<&Command> = numbers.iter().flat_map(of).collect();
    match run(node, &commands, if_lost).await {
        Ok(answers) => {
            let mut answers = answers.into_iter();
            let some = |number| answers.by_ref().take(of(number).len()).collect();
            numbers.iter().map(some).map(Ok).collect()
        }
        Err(error) => numbers.iter().map(|_| Err(error.clone())).collect(),
    }
}

/// Sends commands to one server; what only reads, and got lost, once more.
pub(crate) async fn run(
    node: &Arc<Node>,
    commands: &[&Command],
    if_lost: Retry,
) -> Result<Vec<Answer>> {
    let deadline = node.deadline();
    let failure = match node.run(commands, deadline).await {
        Ok(answers) => return Ok(answers),
        Err(failure) => failure,
    };
    match (failure, if_lost) {
        (Failure::NotSent(error), _) => Err(error),
        (Failure::Lost(error), _) if error.retry() == Retry::Never => Err(error),
        (Failure::Lost(_), Retry::Safe) => {
            let again = node.run(commands, deadline).await;
            again.map_err(Failure::into_error)
        }
        (Failure::Lost(error), if_lost) => Err(error.with_retry(if_lost)),
    }
}

//! Sending requests to whom they concern: all at once, in one go per server.

use futures_util::future::join_all;
use larder_core::{Error, ErrorKind, Result, Retry};
use redis::{Cmd, Pipeline, RedisError, ServerErrorKind, Value};
use tokio::time::Instant;

use crate::errors::{refused, unexpected};
use crate::fleet::{Fleet, Map};
use crate::node::{Failure, Node};

/// Requests on their way at a time.
const MOST_AT_ONCE: usize = 10_000;
/// How often a request is sent at most: a map may be old, and the next one too.
const ATTEMPTS: usize = 3;

/// A command for the server that has a slot.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) cmd: Cmd,
    pub(crate) slot: u16,
    /// What an answer that got lost means: what only reads is sent again.
    pub(crate) if_lost: Retry,
}

/// What became of a request.
enum Outcome {
    Done(Result<Value>),
    /// Nothing has been done yet, or doing it again does no harm.
    Again(Error),
    /// Another server knows more, for now: `host:port`.
    Ask(String),
}

impl Fleet {
    /// Sends all requests and tells what became of each, in their order.
    pub(crate) async fn send(&self, requests: &[Request]) -> Vec<Result<Value>> {
        let deadline = self.deadline();
        let mut answers = Vec::with_capacity(requests.len());
        for some in requests.chunks(MOST_AT_ONCE) {
            answers.extend(self.send_some(some, deadline).await);
        }
        answers
    }

    /// The same for one request.
    pub(crate) async fn send_one(&self, request: Request) -> Result<Value> {
        let deadline = self.deadline();
        if let Some(map) = self.known()
            && let Some(owner) = map.owner(request.slot)
        {
            let sent = map.nodes[owner].run_one(&request.cmd, deadline).await;
            let outcome = match sent {
                Ok(answer) => self.judge(answer),
                Err(failure) => self.judge_failure(&failure, request.if_lost),
            };
            if let Outcome::Done(answer) = outcome {
                return answer;
            }
        }
        let mut answers = self.send_some(&[request], deadline).await;
        answers
            .pop()
            .unwrap_or_else(|| Err(unexpected("a command")))
    }

    async fn send_some(&self, requests: &[Request], deadline: Instant) -> Vec<Result<Value>> {
        let mut map = match self.map(deadline).await {
            Ok(map) => map,
            Err(error) => return requests.iter().map(|_| Err(error.clone())).collect(),
        };
        let mut answers: Vec<Result<Value>> = Vec::new();
        answers.resize_with(requests.len(), || Err(no_owner()));
        let mut open: Vec<usize> = (0..requests.len()).collect();
        for attempt in 1..=ATTEMPTS {
            let groups = grouped(&map, requests, &open);
            let sent = groups
                .iter()
                .map(|(node, numbers)| self.send_group(node, requests, numbers, deadline));
            let outcomes = join_all(sent).await.into_iter().flatten();
            let numbers = groups.iter().flat_map(|(_, numbers)| numbers);
            open.retain(|number| map.owner(requests[*number].slot).is_none());
            for (number, outcome) in numbers.zip(outcomes) {
                answers[*number] = match outcome {
                    Outcome::Done(answer) => answer,
                    Outcome::Again(error) => {
                        open.push(*number);
                        Err(error)
                    }
                    Outcome::Ask(name) => self.ask(&requests[*number], &name, deadline).await,
                };
            }
            if open.is_empty() || attempt == ATTEMPTS || Instant::now() >= deadline {
                break;
            }
            match self.renew(Some(&map), deadline).await {
                Ok(newer) => map = newer,
                // What is known of each request says more than why there is no map.
                Err(_) => break,
            }
        }
        answers
    }

    /// Sends some requests to one server, in one go.
    async fn send_group(
        &self,
        node: &Node,
        requests: &[Request],
        numbers: &[usize],
        deadline: Instant,
    ) -> Vec<Outcome> {
        let mut commands = Pipeline::with_capacity(numbers.len());
        for number in numbers {
            commands.add_command(requests[*number].cmd.clone());
        }
        match node.run(&commands, deadline).await {
            Ok(answers) if answers.len() == numbers.len() => answers
                .into_iter()
                .map(|answer| self.judge(answer))
                .collect(),
            Ok(_) => numbers
                .iter()
                .map(|_| Outcome::Done(Err(unexpected("a batch"))))
                .collect(),
            Err(failure) => numbers
                .iter()
                .map(|number| self.judge_failure(&failure, requests[*number].if_lost))
                .collect(),
        }
    }

    fn judge(&self, answer: Value) -> Outcome {
        let Value::ServerError(error) = answer else {
            return Outcome::Done(Ok(answer));
        };
        let kind = error.kind();
        let error = RedisError::from(error);
        match kind {
            Some(ServerErrorKind::Ask) => match error.redirect_node() {
                Some((name, _)) => Outcome::Ask(name.to_owned()),
                None => Outcome::Done(Err(refused(error))),
            },
            Some(ServerErrorKind::Moved) if !self.is_cluster() => {
                Outcome::Done(Err(is_cluster_node()))
            }
            Some(ServerErrorKind::Moved | ServerErrorKind::TryAgain) => {
                Outcome::Again(refused(error))
            }
            Some(ServerErrorKind::ReadOnly) if self.can_change() => Outcome::Again(refused(error)),
            _ => Outcome::Done(Err(refused(error))),
        }
    }

    fn judge_failure(&self, failure: &Failure, if_lost: Retry) -> Outcome {
        match (failure, if_lost) {
            (Failure::NotSent(error), _) if self.can_change() => Outcome::Again(error.clone()),
            (Failure::NotSent(error), _) => Outcome::Done(Err(error.clone())),
            (Failure::Lost(error), Retry::Safe) => Outcome::Again(error.clone()),
            (Failure::Lost(error), if_lost) => {
                Outcome::Done(Err(error.clone().with_retry(if_lost)))
            }
        }
    }

    /// Sends a request to a server that is about to become responsible.
    async fn ask(&self, request: &Request, name: &str, deadline: Instant) -> Result<Value> {
        let map = self.map(deadline).await?;
        let by = map.nodes.first().ok_or_else(no_owner)?;
        let node = self.meet_named(name, by).ok_or_else(no_owner)?;
        let mut commands = Pipeline::with_capacity(2);
        commands.add_command(redis::cmd("ASKING"));
        commands.add_command(request.cmd.clone());
        match node.run(&commands, deadline).await {
            Ok(mut answers) => match answers.pop() {
                Some(Value::ServerError(error)) => Err(refused(error.into())),
                Some(answer) => Ok(answer),
                None => Err(unexpected("a command")),
            },
            Err(failure) => match self.judge_failure(&failure, request.if_lost) {
                Outcome::Done(answer) => answer,
                Outcome::Again(error) => Err(error),
                Outcome::Ask(_) => Err(no_owner()),
            },
        }
    }
}

/// The open requests by the server that they are for.
fn grouped<'a>(map: &'a Map, requests: &[Request], open: &[usize]) -> Vec<(&'a Node, Vec<usize>)> {
    let mut groups: Vec<(&Node, Vec<usize>)> =
        map.nodes.iter().map(|node| (&**node, Vec::new())).collect();
    for number in open {
        if let Some(owner) = map.owner(requests[*number].slot) {
            groups[owner].1.push(*number);
        }
    }
    groups.retain(|(_, numbers)| !numbers.is_empty());
    groups
}

fn no_owner() -> Error {
    let message = "no node of the cluster has the slot of this key";
    Error::new(ErrorKind::Unavailable, message).with_retry(Retry::Safe)
}

fn is_cluster_node() -> Error {
    let message = "the server is one of a cluster; use RedisBackend::cluster";
    Error::new(ErrorKind::InvalidConfig, message)
}

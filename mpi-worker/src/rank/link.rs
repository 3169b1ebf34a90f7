//! Typed messages between ranks over MPI. Nothing here waits: sends are started and tested later, and
//! only messages that have arrived are received. Its `unsafe` keeps a buffer alive while MPI reads it:
//! the buffer is owned through a raw pointer by the entry that also holds the request, is only lent to
//! MPI, and is given back to the allocator once the request has been tested as complete; an entry whose
//! request isn't complete is leaked, never freed.
#![allow(unsafe_code)]

use std::collections::VecDeque;

use dvp_model::Rank;
use mpi::point_to_point::{Destination, Source};
use mpi::request::{Request, StaticScope};
use mpi::topology::SimpleCommunicator;
use mpi::traits::Communicator;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// So many messages to one rank may wait before droppable ones are dropped.
const BEHIND: usize = 4;

/// A rank's connection with all others.
pub struct Link {
    world: SimpleCommunicator,
    outbox: VecDeque<Sending>,
}

struct Sending {
    to: Rank,
    buffer: *mut [u8],
    /// Taken only for the moment of a test.
    request: Option<Request<'static, [u8], StaticScope>>,
}

impl Link {
    /// The ranks of `world`.
    pub fn new(world: SimpleCommunicator) -> Self {
        Self { world, outbox: VecDeque::new() }
    }

    /// This rank.
    pub fn rank(&self) -> Rank {
        self.world.rank() as Rank
    }

    /// Number of ranks.
    pub fn size(&self) -> u32 {
        self.world.size() as u32
    }

    /// Starts sending a message; it keeps its place among those to the same rank.
    pub fn send(&mut self, to: Rank, message: &impl Serialize) {
        // Messages are plain data with text keys: they always have a JSON form.
        let bytes = serde_json::to_vec(message).unwrap_or_default();
        self.send_bytes(to, bytes);
    }

    /// Starts sending a message to all other ranks.
    pub fn send_all(&mut self, message: &impl Serialize) {
        let bytes = serde_json::to_vec(message).unwrap_or_default();
        let own = self.rank();
        for to in (0..self.size()).filter(|to| *to != own) {
            self.send_bytes(to, bytes.clone());
        }
    }

    fn send_bytes(&mut self, to: Rank, bytes: Vec<u8>) {
        let buffer = Box::into_raw(bytes.into_boxed_slice());
        // Sound: freed only in `pump`, after the request that borrows it is complete.
        let lent: &'static [u8] = unsafe { &*buffer };
        let request = self.world.process_at_rank(to as i32).immediate_send(StaticScope, lent);
        self.outbox.push_back(Sending { to, buffer, request: Some(request) });
    }

    /// Tests what is being sent, and frees what is through.
    pub fn pump(&mut self) {
        self.outbox.retain_mut(|sending| {
            let Some(request) = sending.request.take() else { return false };
            match request.test() {
                Ok(_) => {
                    // Sound: it came from `Box::into_raw`, and MPI is done with it.
                    drop(unsafe { Box::from_raw(sending.buffer) });
                    false
                }
                Err(request) => {
                    sending.request = Some(request);
                    true
                }
            }
        });
    }

    /// Whether all that was sent is through.
    pub fn is_sent(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Whether a rank takes messages more slowly than they come.
    pub fn is_behind(&self, to: Rank) -> bool {
        self.outbox.iter().filter(|sending| sending.to == to).count() >= BEHIND
    }

    /// The next message that has arrived, and from whom. What can't be read is said and skipped.
    pub fn receive<M: DeserializeOwned>(&mut self) -> Option<(Rank, M)> {
        loop {
            let (message, status) = self.world.any_process().immediate_matched_probe()?;
            let from = status.source_rank() as Rank;
            let length = status.count(<u8 as mpi::traits::Equivalence>::equivalent_datatype());
            let mut bytes = vec![0u8; length as usize];
            message.matched_receive_into(&mut bytes[..]);
            match serde_json::from_slice(&bytes) {
                Ok(message) => return Some((from, message)),
                Err(error) => {
                    eprintln!("dvp-worker: a message of rank {from} can't be read: {error}");
                }
            }
        }
    }

    /// Ends all ranks at once.
    pub fn abort(self, code: u8) -> ! {
        self.world.abort(i32::from(code))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for mut sending in self.outbox.drain(..) {
            // A request that is dropped panics, and MPI may still read the buffer: leak both.
            std::mem::forget(sending.request.take());
        }
    }
}

//! How the figures went over the last minutes: the nodes' load for its curve, each job's frames for its
//! pace. Filled from polls only. Knows no screen.

use std::collections::{BTreeMap, VecDeque};

use dvp_model::job::{Job, State};
use dvp_model::node::Node;
use dvp_model::{Epoch, JobId, Millis, NodeName};
use serde::{Deserialize, Serialize};

/// Samples kept of each curve.
const KEPT: usize = 240;
/// The pace is that of the last minute and a half, milliseconds.
const PACE_MS: i64 = 90_000;
/// Below this there is no pace yet, milliseconds.
const PACE_FROM_MS: i64 = 4_000;

/// The curves.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct History {
    cpu: BTreeMap<NodeName, VecDeque<f64>>,
    frames: BTreeMap<JobId, Pace>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pace {
    epoch: Epoch,
    samples: VecDeque<(Millis, u64)>,
}

impl History {
    /// Takes a poll of the nodes.
    pub fn take_nodes(&mut self, nodes: &[Node]) {
        self.cpu.retain(|name, _| nodes.iter().any(|node| node.name == *name));
        for node in nodes {
            if let Some(health) = &node.health {
                let curve = self.cpu.entry(node.name.clone()).or_default();
                curve.push_back(health.cpu);
                if curve.len() > KEPT {
                    curve.pop_front();
                }
            }
        }
    }

    /// Takes a poll of the jobs.
    pub fn take_jobs(&mut self, jobs: &[Job], now: Millis) {
        self.frames.retain(|id, _| {
            jobs.iter().any(|job| job.id == *id && matches!(job.state, State::Running { .. }))
        });
        for job in jobs {
            let State::Running { epoch, .. } = job.state else { continue };
            let pace = self.frames.entry(job.id).or_insert_with(|| Pace {
                epoch,
                samples: VecDeque::from([(now, job.frames_done)]),
            });
            if pace.epoch != epoch {
                *pace = Pace { epoch, samples: VecDeque::from([(now, job.frames_done)]) };
            }
            if pace.samples.back().is_none_or(|(_, frames)| *frames != job.frames_done) {
                pace.samples.push_back((now, job.frames_done));
            }
            while pace.samples.len() > 2 && now.since(pace.samples[1].0) > PACE_MS {
                pace.samples.pop_front();
            }
        }
    }

    /// A node's load, oldest first, 0 to 1.
    pub fn cpu(&self, node: &NodeName) -> impl DoubleEndedIterator<Item = f64> + '_ {
        self.cpu.get(node).into_iter().flatten().copied()
    }

    /// Frames a second that were accepted of a running job lately; none until there are two samples.
    pub fn pace(&self, id: JobId) -> Option<f64> {
        let samples = &self.frames.get(&id)?.samples;
        let ((from, first), (to, last)) = (*samples.front()?, *samples.back()?);
        let ms = to.since(from);
        // Two chunks that end together tell nothing of the pace.
        (ms >= PACE_FROM_MS && last > first).then(|| (last - first) as f64 * 1000.0 / ms as f64)
    }

    /// Milliseconds that a running job has still to go at its pace.
    pub fn eta_ms(&self, job: &Job) -> Option<u64> {
        let plan = job.plan.as_ref()?;
        let left = plan.frames.saturating_sub(job.frames_done) as f64;
        Some((left * 1000.0 / self.pace(job.id)?) as u64)
    }
}

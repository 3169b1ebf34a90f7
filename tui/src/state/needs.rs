//! Needs you: everything that won't mend itself, grouped by its cause: what, since when, how many, and
//! the keys that mend it. A pure function of what is known.

use std::collections::{BTreeMap, HashMap};

use dvp_model::job::{HeldBy, Job, State};
use dvp_model::node::{Duty, Link};
use dvp_model::wire::feed::What;
use dvp_model::{FilePath, JobId, Millis};

use super::data::Data;
use crate::command::Cmd;
use crate::event::Contact;

/// Alarms of the feed stand so long, milliseconds: a day.
const ALARM_MS: i64 = 24 * 3_600_000;

/// One cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Names it while it lasts.
    pub key: String,
    /// How many jobs (or times) it concerns; 0 where a count means nothing.
    pub count: usize,
    /// What is so, in words.
    pub what: String,
    /// Since when, if known.
    pub since: Option<Millis>,
    /// Jobs it concerns.
    pub jobs: Vec<JobId>,
    /// What mends it: a command and what it does here.
    pub mends: Vec<(Cmd, &'static str)>,
}

/// Every cause, gravest first.
pub fn needs(data: &Data, now: Millis) -> Vec<Need> {
    let mut needs = Vec::new();
    if let Contact::Lost { since, why } = &data.contact {
        needs.push(Need {
            key: "engine".into(),
            count: 0,
            what: format!("the engine does not answer: {why}"),
            since: Some(*since),
            jobs: vec![],
            mends: vec![],
        });
    }
    services(data, &mut needs);
    dead_letters(data, &mut needs);
    nodes(data, &mut needs);
    alarms(data, now, &mut needs);
    jobs(data, &mut needs);
    needs
}

fn services(data: &Data, needs: &mut Vec<Need>) {
    let Some(status) = &data.status else { return };
    for service in &status.value.services {
        if let Some(fault) = &service.fault {
            needs.push(Need {
                key: format!("service:{}", service.name),
                count: 0,
                what: format!("{}: {}", service.name, fault.text),
                since: service.since,
                jobs: vec![],
                mends: vec![(Cmd::Open, "look")],
            });
        }
    }
}

/// Messages of a broker that could not become jobs: whoever sent them may not know.
fn dead_letters(data: &Data, needs: &mut Vec<Need>) {
    let queue = data.status.as_ref().and_then(|status| status.value.queue.as_ref());
    let Some(queue) = queue.filter(|queue| queue.dead > 0) else { return };
    let name = &queue.name;
    needs.push(Need {
        key: "dead letters".into(),
        count: 0,
        what: match queue.dead {
            1 => format!(
                "1 message of {name} could not become a job: its reason lies in {name}.dead"
            ),
            count => format!(
                "{count} messages of {name} could not become jobs: their reasons lie in {name}.dead"
            ),
        },
        since: None,
        jobs: vec![],
        mends: vec![(Cmd::Open, "look")],
    });
}

fn nodes(data: &Data, needs: &mut Vec<Need>) {
    for node in data.nodes.iter().flat_map(|nodes| &nodes.value) {
        let (what, since) = match (&node.duty, &node.link) {
            (Duty::SetAside(reason), _) => (format!("is set aside: {}", reason.text), None),
            (_, Link::Down { at, reason }) => {
                (format!("can't be reached: {}", reason.text), Some(*at))
            }
            _ => continue,
        };
        needs.push(Need {
            key: format!("node:{}", node.name),
            count: 0,
            what: format!("{} {what}", node.name),
            since,
            jobs: vec![],
            mends: vec![(Cmd::Open, "look")],
        });
    }
}

fn alarms(data: &Data, now: Millis, needs: &mut Vec<Need>) {
    let mut groups: BTreeMap<&str, (usize, Millis, Vec<JobId>)> = BTreeMap::new();
    for entry in data.feed.iter().filter(|entry| now.since(entry.at) < ALARM_MS) {
        if let What::Alarm { reason } = &entry.what {
            let group = groups.entry(&reason.text).or_insert((0, entry.at, vec![]));
            group.0 += 1;
            group.2.extend(entry.job);
        }
    }
    for (text, (count, since, mut jobs)) in groups {
        jobs.sort();
        jobs.dedup();
        needs.push(Need {
            key: format!("alarm:{text}"),
            count: 0,
            what: if count > 1 { format!("{text} ({count} times)") } else { text.to_owned() },
            since: Some(since),
            jobs,
            mends: vec![(Cmd::Open, "look")],
        });
    }
}

fn jobs(data: &Data, needs: &mut Vec<Need>) {
    let mut failed: BTreeMap<String, Vec<&Job>> = BTreeMap::new();
    let mut held: BTreeMap<String, Vec<&Job>> = BTreeMap::new();
    let newest = newest_good(data);
    for job in data.all_jobs() {
        match &job.state {
            State::Failed { reason } if !is_replaced(job, &newest) => {
                failed.entry(cause(&reason.text, job)).or_default().push(job);
            }
            State::Held { by: HeldBy::Engine(reason) } => {
                held.entry(cause(&reason.text, job)).or_default().push(job);
            }
            _ => {}
        }
    }
    let mut groups: Vec<Need> = Vec::new();
    for (cause, jobs) in failed {
        let what = match jobs.as_slice() {
            [job] => format!("{} failed: {cause}", job.input.file_name().to_string_lossy()),
            jobs => format!("{} jobs failed: {cause}", jobs.len()),
        };
        groups.push(group(
            format!("failed:{cause}"),
            what,
            &jobs,
            vec![(Cmd::Retry, "retry"), (Cmd::Open, "look")],
        ));
    }
    for (cause, jobs) in held {
        let what = match jobs.as_slice() {
            [job] => format!("{} is held: {cause}", job.input.file_name().to_string_lossy()),
            jobs => format!("{} jobs are held: {cause}", jobs.len()),
        };
        groups.push(group(
            format!("held:{cause}"),
            what,
            &jobs,
            vec![(Cmd::Hold, "release"), (Cmd::Open, "look")],
        ));
    }
    groups.sort_by_key(|need| std::cmp::Reverse(need.count));
    needs.extend(groups);
}

fn group(key: String, what: String, jobs: &[&Job], mends: Vec<(Cmd, &'static str)>) -> Need {
    Need {
        key,
        count: jobs.len(),
        what,
        since: jobs.iter().map(|job| job.finished_at.unwrap_or(job.updated_at)).min(),
        jobs: jobs.iter().map(|job| job.id).collect(),
        mends,
    }
}

/// The reason without what is the job's own (its paths), so that one cause makes one line.
fn cause(reason: &str, job: &Job) -> String {
    let mut text = reason.to_owned();
    for (path, word) in [(&job.input, "its input"), (&job.output_path, "its output")] {
        let path = path.to_string();
        if path.len() > 1 {
            text = text.replace(&format!("'{path}'"), word).replace(&path, word);
        }
    }
    text.replace(&job.id.to_string(), "it")
}

/// From which input which output was last made, or is about to be, and when that was asked for.
type Newest<'a> = HashMap<(&'a FilePath, &'a FilePath), Millis>;

fn newest_good(data: &Data) -> Newest<'_> {
    let mut newest = Newest::new();
    for job in data.all_jobs() {
        if !matches!(job.state, State::Failed { .. } | State::Cancelled) {
            let at = newest.entry((&job.input, &job.output_path)).or_insert(job.created_at);
            *at = (*at).max(job.created_at);
        }
    }
    newest
}

/// A failed job whose output a later one made, or is about to make, needs nobody.
fn is_replaced(job: &Job, newest: &Newest<'_>) -> bool {
    newest.get(&(&job.input, &job.output_path)).is_some_and(|at| *at > job.created_at)
}

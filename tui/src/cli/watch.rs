//! `--wait`: follows jobs to their ends, with bars on standard error when that is a terminal. Ctrl-C
//! leaves the jobs to a background engine and says so.

use std::io::IsTerminal;

use dvp_engine::client::Client;
use dvp_engine::host::Attached;
use dvp_model::JobId;
use dvp_model::error::{Kind, Reason};
use dvp_model::job::{HeldBy, Job, State, StateName};
use dvp_model::path::printable;
use dvp_model::time::Millis;
use dvp_model::wire::api::{Errors, Feed, JobDetail, JobGet, Status};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{CANCELLED, Context, INTERRUPTED, Outcome, leave, print};
use crate::widget::words;

/// How long one look at the feed waits for news, milliseconds.
const PACE_MS: u64 = 400;
/// How often the machine may fail a job in a row, with nothing done between, until a wait gives up.
const FAULTS_LIMIT: u32 = 4;

/// Signals that end a wait.
pub(super) struct Signals(Signal, Signal, Signal);

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn listen() -> Result<Self, Reason> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Reason::machine(format!("cannot listen for signals: {error}")))
        };
        Ok(Self(
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
        ))
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
            _ = self.2.recv() => {}
        }
    }
}

/// Waits for the ends of `jobs`, prints each, and lets go of the engine. The exit code is that of the
/// first job, in order, that did not complete.
pub(super) async fn wait(
    context: &Context,
    attached: &Attached,
    jobs: &[Job],
    mut signals: Signals,
) -> Outcome {
    let bars = Bars::new();
    let following = async {
        let follow = jobs.iter().map(|job| follow(context, &attached.client, job, &bars));
        futures::future::join_all(follow).await
    };
    let ends = tokio::select! {
        ends = following => ends,
        () = signals.any() => {
            bars.clear();
            tokio::select! {
                () = interrupted(context, attached, jobs) => {}
                // Asked again: at once. The launches end with this process, the jobs stay queued.
                () = signals.any() => {}
            }
            return Ok(INTERRUPTED);
        }
    };
    bars.clear();
    let mut code = 0;
    let mut printed = Ok(());
    for end in ends {
        let own = match end {
            Ok(detail) => {
                printed = printed.and(show(context, &detail));
                exit_code(&detail.job)
            }
            Err(errors) => super::report(&errors),
        };
        code = if code == 0 { own } else { code };
    }
    leave::leave(context, attached, code != 0).await;
    printed?;
    Ok(code)
}

/// Follows one job to its end, or until the machine has failed it several times in a row: then the wait
/// ends with that reason, and the job stays in the queue.
async fn follow(
    context: &Context,
    client: &Client,
    job: &Job,
    bars: &Bars,
) -> Result<JobDetail, Errors> {
    let bar = bars.of(job);
    let mut after = 0;
    let mut said_held = false;
    let mut faults = Faults::default();
    loop {
        let detail = client.call(&JobGet { id: job.id }).await?;
        bar.show(&detail);
        if detail.job.state.name().is_final() {
            return Ok(detail);
        }
        if let State::Held { by } = &detail.job.state {
            // Nothing will happen until a person releases it, who may not know of it.
            if !said_held {
                bars.remark(&held(context, job.id, by));
            }
            said_held = true;
        } else {
            said_held = false;
        }
        if let Some(why) = faults.too_many(&detail.job) {
            let (id, command) = (job.id.short(), context.command());
            return Err(Reason::machine(format!(
                "job {id} waits: {why}; it goes on by itself once that is mended, \
                 `{command} cancel {id}` ends it"
            ))
            .into());
        }
        let news = Feed { after, job: Some(job.id), limit: None, tail: false, wait_ms: PACE_MS };
        if let Some(last) = client.call(&news).await?.last() {
            after = last.seq;
        }
    }
}

/// Faults of the machine in a row.
#[derive(Default)]
struct Faults {
    count: u32,
    last: Option<Millis>,
    frames: u64,
}

impl Faults {
    /// The reason, once there were too many without a frame done between.
    fn too_many(&mut self, job: &Job) -> Option<Reason> {
        if job.frames_done > self.frames {
            *self = Self { frames: job.frames_done, ..Self::default() };
        }
        let State::Waiting { retry_at, why } = &job.state else { return None };
        if self.last != Some(*retry_at) {
            self.count += 1;
            self.last = Some(*retry_at);
        }
        (self.count >= FAULTS_LIMIT).then(|| why.clone())
    }
}

/// Who holds a job, and what lets it go on.
fn held(context: &Context, id: JobId, by: &HeldBy) -> String {
    let by = match by {
        HeldBy::Person => "a person".to_owned(),
        HeldBy::Engine(reason) => format!("the engine: {reason}"),
    };
    let (id, command) = (id.short(), context.command());
    format!("job {id} is held by {by}; this waits on, `{command} release {id}` lets it go on")
}

/// Hands the jobs to a background engine, and says in one line what becomes of them.
async fn interrupted(context: &Context, attached: &Attached, jobs: &[Job]) {
    let command = context.command();
    let (mut open, mut held) = (Vec::new(), Vec::new());
    for job in jobs {
        // One that can't be asked about counts as open, as it was when the wait began.
        match attached.client.call(&JobGet { id: job.id }).await {
            Ok(now) if now.job.state.name().is_final() => {}
            Ok(now) if now.job.state.name() == StateName::Held => held.push(job.id),
            _ => open.push(job.id),
        }
    }
    let how = match jobs {
        [one] if !held.is_empty() => {
            let id = one.id.short();
            format!("`{command} release {id}` lets it go on, `{command} cancel {id}` ends it")
        }
        [one] => {
            let id = one.id.short();
            format!("`{command} job {id} --wait` follows it, `{command} cancel {id}` ends it")
        }
        _ => format!("`{command} jobs` lists them"),
    };
    if open.is_empty() {
        let stands = match jobs {
            [one] if held.is_empty() => format!("{} has ended", named(&[one.id])),
            [_] => format!("{} stays held", named(&held)),
            _ if held.is_empty() => "all jobs have ended".to_owned(),
            _ => format!("{} held, the others have ended", named(&held)),
        };
        print::remark(&format!("{stands}: {how}"));
        return leave::leave(context, attached, true).await;
    }
    let stay = if held.is_empty() { String::new() } else { format!(", {} held", named(&held)) };
    let (go, wait) = match open.as_slice() {
        [_] => ("goes on", "waits"),
        _ => ("go on", "wait"),
    };
    let open = named(&open);
    let (go, wait) = (format!("{open} {go}"), format!("{open} {wait}"));
    let hosted = attached.is_hosting();
    if let Err(reason) = attached.hand_over().await {
        print::remark(&format!(
            "{wait} for the next engine, a background engine did not start: {reason}{stay}; {how}"
        ));
        return;
    }
    let pid = match attached.client.call(&Status {}).await {
        Ok(status) => format!(" (process {})", status.pid),
        Err(_) => String::new(),
    };
    let by = if hosted { "in a background engine" } else { "in its engine" };
    print::remark(&format!("{go} {by}{pid}{stay}: {how}"));
}

/// Jobs by their ids, in a sentence: `jobs 0a1b2c3d, 4e5f6a7b and 3 more`.
fn named(ids: &[JobId]) -> String {
    const MOST: usize = 12;
    let mut names: Vec<String> = ids.iter().take(MOST).map(|id| id.short()).collect();
    if ids.len() > MOST {
        names.push(format!("{} more", ids.len() - MOST));
    }
    let last = names.pop().unwrap_or_default();
    match names.as_slice() {
        [] => format!("job {last}"),
        first => format!("jobs {} and {last}", first.join(", ")),
    }
}

/// The exit code of a job at its end.
pub(super) fn exit_code(job: &Job) -> u8 {
    match &job.state {
        State::Completed => 0,
        State::Cancelled => CANCELLED,
        State::Failed { reason } => reason.kind.exit_code(),
        _ => Kind::Bug.exit_code(),
    }
}

/// Prints a job at its end: the object, or a summary and the output's path; a failure's sentence goes to
/// standard error.
fn show(context: &Context, detail: &JobDetail) -> Result<(), Reason> {
    let job = &detail.job;
    if context.json {
        print::out_json(&print::detail_json(detail))?;
    }
    let id = job.id.short();
    match &job.state {
        State::Failed { reason } => print::complain(&format!("job {id} failed: {reason}")),
        State::Cancelled => print::complain(&format!("job {id} was cancelled")),
        _ => {}
    }
    if let (false, Some(output)) = (context.json, &job.output) {
        let took = job.finished_at.map_or(0, |end| end.since(job.created_at));
        print::out(&format!(
            "{id}  {} frames, {}, in {} on {}, sha256 {}",
            output.frames,
            words::bytes(output.bytes),
            print::span(took),
            words::count(job.ranks as usize, "rank"),
            output.sha256
        ))?;
        for note in job.plan.iter().flat_map(|plan| &plan.notes) {
            print::out(&format!("{id}  note: {}", printable(note)))?;
        }
        print::out(&output.path.to_string())?;
    }
    Ok(())
}

/// Progress bars, or nothing where standard error is no terminal.
struct Bars(Option<MultiProgress>);

struct Bar(Option<ProgressBar>);

impl Bars {
    fn new() -> Self {
        Self(std::io::stderr().is_terminal().then(MultiProgress::new))
    }

    fn of(&self, job: &Job) -> Bar {
        let Some(bars) = &self.0 else { return Bar(None) };
        let bar = bars.add(ProgressBar::new(0));
        let template = "{prefix}  {bar:24}  {percent:>3} %  {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        let name = printable(&job.input.file_name().to_string_lossy());
        let name: String = name.chars().take(28).collect();
        bar.set_prefix(format!("{} {name}", job.id.short()));
        Bar(Some(bar))
    }

    /// A line on standard error, above the bars where there are any.
    fn remark(&self, text: &str) {
        match &self.0 {
            Some(bars) => bars.suspend(|| print::remark(text)),
            None => print::remark(text),
        }
    }

    fn clear(&self) {
        if let Some(bars) = &self.0 {
            let _ = bars.clear();
        }
    }
}

impl Bar {
    fn show(&self, detail: &JobDetail) {
        let Some(bar) = &self.0 else { return };
        let job = &detail.job;
        let accepted: u64 = job.frames_done;
        let in_hand: u64 = detail
            .chunks
            .iter()
            .filter(|chunk| chunk.accepted == 0)
            .map(|chunk| chunk.progress)
            .sum();
        bar.set_length(job.plan.as_ref().map_or(1, |plan| plan.frames.max(1)));
        bar.set_position(accepted + in_hand);
        let stage = match (job.phase(), job.state.reason()) {
            (_, Some(reason)) => format!("{}: {reason}", job.state.name().as_str()),
            (Some(phase), None) => phase.as_str().to_owned(),
            (None, None) => job.state.name().as_str().to_owned(),
        };
        let eta = match detail.eta_ms {
            Some(ms) => format!(", {} left", print::span(ms as i64)),
            None => String::new(),
        };
        bar.set_message(format!("{}/{} chunks, {stage}{eta}", job.chunks_done, job.chunks_total()));
        bar.tick();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_named_one_and_all() {
        let ids: Vec<JobId> = (1..=14u128).map(|n| JobId(uuid::Uuid::from_u128(n << 96))).collect();
        assert_eq!(named(&ids[..1]), "job 00000001");
        assert_eq!(named(&ids[..3]), "jobs 00000001, 00000002 and 00000003");
        assert!(named(&ids).ends_with("0000000b, 0000000c and 2 more"), "{}", named(&ids));
    }
}

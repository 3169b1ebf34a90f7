//! The planner: what was found in a file, the spec and the environment make a plan, or a reason why it
//! can't be done. Pure, and never told the number of ranks.

use crate::error::Reason;
use crate::media::{Index, Picture, Splice};
use crate::plan::sound::sound;
use crate::plan::stamp::Stamps;
use crate::plan::{Plan, VideoPlan, cost, cut, tags};
use crate::spec::codec::Codec;
use crate::spec::{AudioChoice, Spec, Step, filter};
use crate::time::Ratio;

const US: Ratio = Ratio::new(1, 1_000_000);

/// What the worker's side of the planning found.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The worker's fingerprint.
    pub fingerprint: String,
    /// What leaves the graph that [`graph`] makes.
    pub picture: Picture,
    /// That graph; the worker may have lengthened it for a size that the encoder takes.
    pub graph: String,
}

/// The graph between decoder and encoder: upright, then the chain. The pictures' times in it count from
/// the film's origin; behind a cut they count from the cut's start.
pub fn graph(index: &Index, spec: &Spec) -> String {
    let mut filters = Vec::new();
    if !index.video.upright.is_empty() {
        filters.push(index.video.upright.clone());
    }
    for step in &spec.steps {
        match step {
            Step::Cut { start_us, .. } => {
                let ticks = US.rescale(*start_us, index.video.time_base);
                if ticks != 0 {
                    filters.push(format!("setpts=PTS-{ticks}"));
                }
            }
            Step::Resize { width, height } => {
                let side = |side: &Option<u32>| side.map_or("-2".to_owned(), |n| n.to_string());
                filters.push(format!("scale={}:{}", side(width), side(height)));
            }
            Step::Filter { graph } => filters.push(graph.clone()),
        }
    }
    filters.join(",")
}

/// Makes the plan.
///
/// # Errors
/// `Input` for a file that can't be carried whole, `Spec` for a spec that does not go with this file.
pub fn make(index: &Index, spec: &Spec, environment: &Environment) -> Result<Plan, Reason> {
    let video = &index.video;
    refuse_unfit(index, spec, environment)?;
    let window = Window::of(index, spec)?;
    let mut notes = Vec::new();
    let mut carried = vec![format!("film: {} {}x{}", video.codec, video.width, video.height)];
    if video.undecodable > 0 {
        notes.push(format!(
            "the film starts with {} pictures that can't be decoded (they need others from before the \
             file's start); they are left out",
            video.undecodable
        ));
    }
    if !video.splices.is_empty() {
        let places: Vec<String> = video
            .splices
            .iter()
            .take(4)
            .map(|splice| {
                let line = splice.from + splice.shift - window.source_origin;
                format!("{:.3} s", line as f64 * video.time_base.as_f64())
            })
            .collect();
        let more = if video.splices.len() > 4 { " and later" } else { "" };
        notes.push(format!(
            "the file's timestamps jump at {}{more}: what follows is joined there without a gap",
            places.join(", ")
        ));
    }
    if !video.damage.is_empty() {
        let few: Vec<&str> = video.damage.iter().take(8).map(String::as_str).collect();
        let more = match video.damage.len() - few.len() {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        notes.push(format!(
            "damaged, and left as the decoder gives it, as asked: {}{more}",
            few.join(", ")
        ));
    }
    if video.rotation != 0 {
        notes.push(format!("turned upright by {} degrees", video.rotation));
    }
    if environment.graph != graph(index, spec) {
        notes.push(format!(
            "scaled to {}x{}: {} takes even sizes only; the aspect stays",
            environment.picture.width,
            environment.picture.height,
            spec.encode.codec.name()
        ));
    }
    let codec = spec.encode.codec;
    if let Some(note) = repainted(&video.pixel_format, &environment.picture.format, codec) {
        notes.push(note);
    }
    let frames = window.kept.len() as u64;
    let chunks = match &window.one_chunk {
        Some(why) => {
            notes.push(format!("one chunk: {why}"));
            cut::chunks(frames, u32::MAX)
        }
        None => cut::chunks(frames, spec.plan.chunk_frames.unwrap_or(codec.chunk_frames())),
    };
    let audio = index
        .audio
        .iter()
        .filter(|_| spec.audio != AudioChoice::None)
        .map(|audio| sound(audio, index, spec, window.cut, &mut carried, &mut notes))
        .collect::<Result<Vec<_>, _>>()?;
    if spec.audio == AudioChoice::None && !index.audio.is_empty() {
        notes.push("the sound is left out, as asked".to_owned());
    }
    if !index.left_out.is_empty() {
        notes.push(format!("left out: {}", index.left_out.join(", ")));
    }
    let (tags, left_out) = tags::split(&index.tags, spec.container);
    if !tags.is_empty() {
        let names: Vec<&str> = tags.iter().map(|(name, _)| name.as_str()).collect();
        carried.push(format!("tags: {}", names.join(", ")));
    }
    if !left_out.is_empty() {
        let container = spec.container.name();
        notes.push(format!(
            "tags that {container} can't hold are left out: {}",
            left_out.join(", ")
        ));
    }
    let stamps = Stamps::from_sorted(&window.kept);
    let rate = frame_rate(index, &window.kept);
    let picture = &environment.picture;
    let threads = spec.plan.threads_per_chunk.unwrap_or(1);
    let mut plan = Plan {
        version: 1,
        input: index.identity.clone(),
        spec: spec.clone(),
        fingerprint: environment.fingerprint.clone(),
        video: VideoPlan {
            stream: video.stream,
            decoder: video.codec.clone(),
            source_width: video.width,
            source_height: video.height,
            source_format: video.pixel_format.clone(),
            source_aspect: video.sample_aspect,
            width: picture.width,
            height: picture.height,
            format: picture.format.clone(),
            sample_aspect: picture.sample_aspect,
            graph: environment.graph.clone(),
            time_base: video.time_base,
            frame_rate: rate,
            source_origin: window.source_origin,
            origin: window.origin,
            constant_rate: is_constant(&window.kept, rate, video.time_base),
            stamps,
            last_duration: window.last_duration,
            around: (window.before, window.after),
            source_reorder: video.reorder,
            color: picture.color.clone(),
            reorder: spec.encode.reorder(),
            margin: window.margin,
            threads,
            counted: video.counted.as_ref().map(|_| window.passed as u64),
            runs: video.runs.clone(),
            undecodable: video.undecodable,
        },
        audio,
        splices: splices(index),
        tags,
        chunks,
        carried,
        notes,
        memory_per_rank: 0,
        cost_ms: 0,
    };
    plan.memory_per_rank = cost::memory(&plan);
    plan.cost_ms = cost::cost_ms(&plan);
    Ok(plan)
}

/// What is to be said when pixels change their form on the way into the encoder.
fn repainted(from: &str, to: &str, codec: Codec) -> Option<String> {
    // The same samples in other words: a full range that the format's name tells, or other planes.
    let plain = |format: &str| match format {
        "nv12" | "nv21" => "yuv420p".to_owned(),
        "p010le" => "yuv420p10le".to_owned(),
        "rgb24" | "bgr24" | "rgb0" | "bgr0" | "0rgb" | "0bgr" | "gbrp" => "rgb".to_owned(),
        format => format.replace("yuvj", "yuv"),
    };
    (plain(from) != plain(to)).then(|| format!("pixels: {from} become {to} for {}", codec.name()))
}

fn refuse_unfit(index: &Index, spec: &Spec, environment: &Environment) -> Result<(), Reason> {
    let input = &index.identity.path;
    let unfit = |text: String| Err(Reason::input(format!("{input}: {text}")));
    if !index.others.is_empty() {
        let what: Vec<&str> = index.others.iter().map(|other| other.what.as_str()).collect();
        return unfit(format!(
            "it holds what can't be carried yet ({}); take it out of the file first",
            what.join(", ")
        ));
    }
    let picture = &environment.picture;
    if picture.interlaced {
        return unfit(
            "its pictures are interlaced; add --task filter --set filter.preset=deinterlace"
                .to_owned(),
        );
    }
    if !picture.beside.is_empty() {
        return unfit(format!(
            "its pictures have {}, which can't be carried yet",
            picture.beside.join(", ")
        ));
    }
    let (codec, container) = (spec.encode.codec, spec.container);
    if !codec.fits(container) {
        return Err(Reason::spec(format!(
            "{} can't hold {}: choose another convert.container or convert.codec",
            container.name(),
            codec.name()
        )));
    }
    Ok(())
}

/// Which pictures are kept, and which others filters may see.
struct Window {
    source_origin: i64,
    origin: i64,
    /// Times in microseconds of source time, when there is a cut.
    cut: Option<(i64, Option<i64>)>,
    kept: Vec<i64>,
    before: Vec<i64>,
    after: Vec<i64>,
    margin: (u32, u32),
    one_chunk: Option<String>,
    last_duration: i64,
    /// Pictures before the first of `before` and `kept`.
    passed: usize,
}

impl Window {
    fn of(index: &Index, spec: &Spec) -> Result<Window, Reason> {
        let video = &index.video;
        let (stamps, base) = (&video.stamps, video.time_base);
        let input = &index.identity.path;
        let source_origin = US.rescale(index.start_us, base);
        // Kept so far, and what the filters with a margin see of the rest, as ranges of `stamps`.
        let (mut from, mut to) = (0, stamps.len());
        let mut seen = None;
        let (mut margin, mut swallowed, mut one_chunk) = ((0, 0), 0, video.counted.clone());
        let (mut least, mut recursive) = (1, false);
        let (mut origin, mut zero_us, mut cut_us) = (source_origin, index.start_us, None);
        for step in &spec.steps {
            match step {
                Step::Cut { start_us, end_us } => {
                    let at = |moment: i64| {
                        stamps.partition_point(|stamp| {
                            base.compare(stamp - origin, US, moment).is_lt()
                        })
                    };
                    let length_us = length_us(index, origin);
                    if end_us.is_some_and(|end| end > length_us) || *start_us >= length_us {
                        return Err(Reason::spec(format!(
                            "the cut reaches past the end of {input}, which is {:.3} s long: choose an \
                             earlier cut.start or cut.end, or leave cut.end out",
                            length_us as f64 / 1e6
                        )));
                    }
                    from = from.max(at(*start_us));
                    to = to.min(end_us.map_or(stamps.len(), at));
                    cut_us = Some((zero_us + start_us, end_us.map(|end| zero_us + end)));
                    origin += US.rescale(*start_us, base);
                    zero_us += start_us;
                }
                Step::Filter { graph } => {
                    let checked = filter::check(graph)?;
                    if checked.margin != (0, 0) || checked.one_chunk.is_some() {
                        if seen.is_some_and(|seen| seen != (from, to)) {
                            return Err(Reason::spec(
                                "a cut between two filters that look at neighbouring frames can't be \
                                 planned: put the cut first or last",
                            ));
                        }
                        seen = Some((from, to));
                    }
                    margin = (margin.0 + checked.margin.0, margin.1 + checked.margin.1);
                    swallowed += checked.swallowed as usize;
                    least = least.max(checked.least as usize);
                    recursive |= checked.one_chunk.is_some();
                    one_chunk = one_chunk.or(checked.one_chunk);
                }
                Step::Resize { .. } => {}
            }
        }
        let (seen_from, seen_to) = seen.unwrap_or((from, to));
        from = from.max(seen_from + swallowed);
        if from >= to {
            return Err(Reason::spec(format!("no picture of {input} is left by the cut")));
        }
        if seen_to.saturating_sub(seen_from) < least {
            return Err(Reason::spec(format!(
                "the filters need at least {least} pictures, and {input} gives them fewer: leave them \
                 out, or cut less"
            )));
        }
        // A filter with a memory needs all that it is given; others their margin.
        let back = if recursive { usize::MAX } else { margin.0 as usize };
        let ahead = margin.1 as usize;
        let first_seen = seen_from.max(from.saturating_sub(back));
        let last_seen = seen_to.min(to.saturating_add(ahead));
        let last_duration = match stamps.get(to) {
            Some(next) => next - stamps[to - 1],
            None => video.last_duration,
        };
        let last_duration = match cut_us {
            // The last picture is shown until the cut, not longer.
            Some((_, Some(end_us))) => {
                let end = US.rescale(end_us - zero_us, base) + origin;
                last_duration.min((end - stamps[to - 1]).max(1))
            }
            _ => last_duration,
        };
        Ok(Window {
            source_origin,
            origin,
            cut: cut_us,
            kept: stamps[from..to].to_vec(),
            before: stamps[first_seen..from].to_vec(),
            after: stamps[to..last_seen].to_vec(),
            margin,
            one_chunk,
            last_duration,
            passed: first_seen,
        })
    }
}

/// The film's splices, in microseconds.
fn splices(index: &Index) -> Vec<Splice> {
    let us = |ticks: i64| index.video.time_base.rescale(ticks, US);
    let splices = index.video.splices.iter();
    splices.map(|splice| Splice { from: us(splice.from), shift: us(splice.shift) }).collect()
}

/// Length of the film from `origin`, pictures or sound, whichever ends later, in microseconds.
fn length_us(index: &Index, origin: i64) -> i64 {
    let video = &index.video;
    let end = video.stamps.last().copied().unwrap_or(origin) + video.last_duration;
    let pictures = video.time_base.rescale(end - origin, US);
    let cut_off = video.time_base.rescale(origin, US) - index.start_us;
    pictures.max(index.duration_us - cut_off)
}

/// The rate to declare: the container's, or else the one that the timestamps show on average.
fn frame_rate(index: &Index, kept: &[i64]) -> Ratio {
    let stated = index.video.frame_rate;
    if stated.num > 0 && stated.den > 0 {
        return stated;
    }
    let ticks = kept[kept.len() - 1] - kept[0];
    let base = index.video.time_base;
    let (num, den) =
        (i128::from(base.den) * (kept.len() as i128 - 1), i128::from(base.num) * i128::from(ticks));
    if num <= 0 || den <= 0 {
        return Ratio::new(25, 1);
    }
    // A thousandth of a frame a second is near enough for a figure that only chooses a level.
    let milli = ((num * 1000 + den / 2) / den).clamp(1, 1_000_000);
    Ratio::new(milli as i64, 1000)
}

fn is_constant(kept: &[i64], rate: Ratio, base: Ratio) -> bool {
    let step = Ratio::new(rate.den, rate.num);
    kept.iter()
        .enumerate()
        .all(|(at, stamp)| (stamp - kept[0] - step.rescale(at as i64, base)).abs() <= 1)
}

#[cfg(test)]
#[path = "make_tests.rs"]
mod tests;

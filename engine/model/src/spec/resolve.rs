//! From what a user typed to a checked spec, and back. Every error at once, each one sentence.

use std::collections::BTreeMap;

use crate::error::Reason;
use crate::spec::codec::{Codec, Encode};
use crate::spec::task::{self, TASKS};
use crate::spec::value::{
    did_you_mean, format_milli, format_time, parse_milli, parse_time, quoted,
};
use crate::spec::{
    AudioChoice, Container, PlanOptions, Spec, SpecText, Step, container, filter, preset,
};

/// A chain has at most so many tasks: each at most once, so there is no use for more.
const MOST_TASKS: usize = 32;
/// So many parameters at most, before each is looked at.
const MOST_PARAMS: usize = 64;

/// Checks `text` whole: every error at once. `output_extension` (without dot) chooses the container
/// when `convert.container` is not set.
///
/// # Errors
/// One reason of kind [`crate::error::Kind::Spec`] for each thing wrong.
pub fn resolve(text: &SpecText, output_extension: Option<&str>) -> Result<Spec, Vec<Reason>> {
    if text.tasks.len() > MOST_TASKS || text.set.len() > MOST_PARAMS {
        return Err(vec![Reason::spec(format!(
            "a chain has at most {MOST_TASKS} tasks and {MOST_PARAMS} parameters"
        ))]);
    }
    let mut reading = Reading::new(text);
    reading.check_tasks();
    reading.check_keys();
    let steps = reading.steps();
    let encode = reading.encode();
    let (container, audio) = reading.target(&encode, output_extension, &steps);
    let plan = reading.plan(encode.codec);
    let tolerant = reading.set.get("input.tolerate") == Some(&"errors");
    if reading.wrong.is_empty() {
        Ok(Spec { steps, container, encode, audio, plan, tolerant })
    } else {
        Err(reading.wrong)
    }
}

/// Checks one parameter by itself, for a form that validates while it is typed.
///
/// # Errors
/// What is unknown, or what is allowed.
pub fn check_param(key: &str, value: &str) -> Result<(), Reason> {
    let (_, row) = task::param(key)?;
    row.kind.check(key, value)
}

/// The text that gives this spec again, every value written out: `resolve(&spec_text(s), None) == s`.
pub fn spec_text(spec: &Spec) -> SpecText {
    let mut text = SpecText::default();
    let mut set = |key: &str, value: String| text.set.insert(key.to_owned(), value);
    set("convert.container", spec.container.name().to_owned());
    set("convert.codec", spec.encode.codec.name().to_owned());
    let facts = spec.encode.codec.facts();
    if !facts.presets.is_empty() {
        set("convert.preset", spec.encode.preset.clone());
    }
    if facts.quality.is_some() {
        set("convert.crf", format_milli(i64::from(spec.encode.crf_milli)));
    }
    set("convert.pixels", spec.encode.pixels.clone().unwrap_or("auto".to_owned()));
    set("convert.audio", spec.audio.name().to_owned());
    if let Some(frames) = spec.plan.chunk_frames {
        set("plan.chunk_frames", frames.to_string());
    }
    if let Some(threads) = spec.plan.threads_per_chunk {
        set("plan.threads_per_chunk", threads.to_string());
    }
    if spec.tolerant {
        set("input.tolerate", "errors".to_owned());
    }
    for step in &spec.steps {
        match step {
            Step::Cut { start_us, end_us } => {
                set("cut.start", format_time(*start_us));
                if let Some(end_us) = end_us {
                    set("cut.end", format_time(*end_us));
                }
            }
            Step::Resize { width, height } => {
                for (key, side) in [("resize.width", width), ("resize.height", height)] {
                    if let Some(side) = side {
                        set(key, side.to_string());
                    }
                }
            }
            Step::Filter { graph } => {
                set("filter.graph", graph.clone());
            }
        }
    }
    text.tasks = spec.steps.iter().map(|step| step.task().to_owned()).collect();
    text.tasks.push("convert".to_owned());
    text
}

impl Step {
    /// The name of its task.
    pub fn task(&self) -> &'static str {
        match self {
            Step::Cut { .. } => "cut",
            Step::Resize { .. } => "resize",
            Step::Filter { .. } => "filter",
        }
    }
}

impl AudioChoice {
    /// As users write it.
    pub fn name(self) -> &'static str {
        match self {
            AudioChoice::Auto => "auto",
            AudioChoice::Copy => "copy",
            AudioChoice::Aac => "aac",
            AudioChoice::Flac => "flac",
            AudioChoice::None => "none",
        }
    }
}

/// What was typed, and everything found wrong with it so far.
struct Reading<'a> {
    chain: Vec<&'a str>,
    /// Values that are allowed by themselves, of tasks in the chain.
    set: BTreeMap<&'a str, &'a str>,
    text: &'a SpecText,
    wrong: Vec<Reason>,
}

impl<'a> Reading<'a> {
    fn new(text: &'a SpecText) -> Self {
        let mut chain: Vec<&str> = text.tasks.iter().map(|task| task.trim()).collect();
        if chain.is_empty() {
            chain.push("convert");
        }
        Self { chain, set: BTreeMap::new(), text, wrong: Vec::new() }
    }

    fn refuse(&mut self, sentence: impl AsRef<str>) {
        self.wrong.push(Reason::spec(sentence));
    }

    fn has(&self, task: &str) -> bool {
        self.chain.contains(&task)
    }

    fn integer(&self, key: &str) -> Option<u32> {
        self.set.get(key).and_then(|value| value.parse().ok())
    }

    fn check_tasks(&mut self) {
        for (at, name) in self.chain.clone().into_iter().enumerate() {
            if task::task(name).is_none() {
                let hint = did_you_mean(name, TASKS.iter().map(|task| task.name));
                let known = task::names();
                self.refuse(format!("{} is no task{hint}; tasks are {known}", quoted(name)));
            } else if self.chain[..at].contains(&name) {
                let hint = match name {
                    "filter" => ": join several filters by commas in one filter.graph",
                    _ => "",
                };
                self.refuse(format!("the task {name} is in the chain twice{hint}"));
            }
        }
    }

    fn check_keys(&mut self) {
        for (key, value) in &self.text.set {
            let (owner, row) = match task::param(key) {
                Ok(found) => found,
                Err(reason) => {
                    self.wrong.push(reason);
                    continue;
                }
            };
            if task::task(owner).is_some() && !self.has(owner) {
                self.refuse(format!(
                    "{key} is set, but {owner} is not in the chain: add the task {owner}, or leave {key} out"
                ));
                continue;
            }
            match row.kind.check(key, value) {
                Ok(()) => {
                    self.set.insert(key, value.trim());
                }
                Err(reason) => self.wrong.push(reason),
            }
        }
    }

    fn steps(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        for name in self.chain.clone() {
            let step = match name {
                "cut" => self.cut(),
                "resize" => self.resize(),
                "filter" => self.filter(),
                _ => None,
            };
            steps.extend(step);
        }
        steps
    }

    fn cut(&mut self) -> Option<Step> {
        let typed = |key: &str| self.text.set.contains_key(key);
        if !typed("cut.start") && !typed("cut.end") {
            self.refuse("cut keeps everything as it stands: set cut.start, cut.end or both");
            return None;
        }
        let time = |key: &str| self.set.get(key).and_then(|value| parse_time(value).ok());
        let (start_us, end_us) = (time("cut.start").unwrap_or(0), time("cut.end"));
        if let Some(end_us) = end_us
            && start_us >= end_us
        {
            self.refuse(format!(
                "cut.start {} is not before cut.end {}",
                format_time(start_us),
                format_time(end_us)
            ));
        }
        Some(Step::Cut { start_us, end_us })
    }

    fn resize(&mut self) -> Option<Step> {
        let typed = |key: &str| self.text.set.contains_key(key);
        if !typed("resize.width") && !typed("resize.height") {
            self.refuse("resize needs a size: set resize.width, resize.height or both");
            return None;
        }
        let (width, height) = (self.integer("resize.width"), self.integer("resize.height"));
        let facts = self.codec().facts();
        if facts.even {
            for (key, side) in [("resize.width", width), ("resize.height", height)] {
                if let Some(side) = side
                    && side % 2 == 1
                {
                    self.refuse(format!(
                        "{key} is {side}: {} needs even sides, take {}",
                        facts.name,
                        side + 1
                    ));
                }
            }
        }
        Some(Step::Resize { width, height })
    }

    fn filter(&mut self) -> Option<Step> {
        let typed = |key: &str| self.text.set.contains_key(key);
        match (typed("filter.preset"), typed("filter.graph")) {
            (true, true) => {
                self.refuse("filter.preset and filter.graph are both set: leave one of them out");
                None
            }
            (false, false) => {
                self.refuse(format!(
                    "filter does nothing yet: set filter.preset ({}) or filter.graph",
                    preset::NAMES.join(", ")
                ));
                None
            }
            (true, false) => {
                let name = self.set.get("filter.preset")?;
                Some(Step::Filter { graph: preset::graph(name)?.to_owned() })
            }
            (false, true) => {
                let graph = self.set.get("filter.graph")?;
                Some(Step::Filter { graph: filter::check(graph).ok()?.graph })
            }
        }
    }

    fn codec(&self) -> Codec {
        let chosen = self.set.get("convert.codec").and_then(|name| Codec::by_name(name));
        chosen.unwrap_or(Codec::H264)
    }

    fn encode(&mut self) -> Encode {
        let codec = self.codec();
        let pixels = self.set.get("convert.pixels").filter(|chosen| **chosen != "auto");
        let pixels = pixels.map(|chosen| (*chosen).to_owned());
        let encode =
            Encode { codec, preset: self.preset(codec), crf_milli: self.crf(codec), pixels };
        let unpainted = Encode { pixels: None, ..encode.clone() };
        if let Some(pixels) = &encode.pixels
            && encode.formats().is_empty()
        {
            self.refuse(format!(
                "convert.pixels is {pixels}: {} takes {}",
                codec.name(),
                unpainted.formats().join(", ")
            ));
        }
        encode
    }

    fn preset(&mut self, codec: Codec) -> String {
        let facts = codec.facts();
        let chosen = self.set.get("convert.preset").copied();
        if self.text.set.contains_key("convert.preset") && facts.presets.is_empty() {
            self.refuse(format!("convert.preset means nothing to {}: leave it out", facts.name));
        } else if let Some(chosen) = chosen
            && !facts.presets.contains(&chosen)
        {
            self.refuse(format!(
                "convert.preset is {chosen}: {} has {}",
                facts.name,
                facts.presets.join(", ")
            ));
        }
        let chosen = chosen.filter(|chosen| facts.presets.contains(chosen));
        chosen.unwrap_or(facts.preset).to_owned()
    }

    fn crf(&mut self, codec: Codec) -> u32 {
        let facts = codec.facts();
        let typed = self.text.set.contains_key("convert.crf");
        let compress = self.has("compress");
        let Some(quality) = facts.quality else {
            if typed {
                self.refuse(format!(
                    "convert.crf means nothing to {}, {}: leave it out",
                    facts.name,
                    if facts.lossless {
                        "which is lossless"
                    } else {
                        "whose preset is its quality"
                    }
                ));
            }
            if compress {
                self.refuse(format!(
                    "compress needs a codec with a crf, and convert.codec is {}: leave one of them out",
                    facts.name
                ));
            }
            return 0;
        };
        if typed && compress {
            self.refuse(
                "convert.crf and the task compress both set the quality: leave one of them out",
            );
        }
        let (key, default) = match compress {
            true => ("compress.crf", quality.compress),
            false => ("convert.crf", quality.default),
        };
        let Some(shown) = self.set.get(key).copied() else { return default };
        let milli = parse_milli(shown).and_then(|milli| milli.try_into().ok()).unwrap_or(default);
        if let Err(allowed) = quality.check(milli) {
            self.refuse(format!("{key} is {shown}: for {} {allowed}", facts.name));
        }
        milli
    }

    fn plan(&mut self, codec: Codec) -> PlanOptions {
        let threads_per_chunk = self.integer("plan.threads_per_chunk");
        let facts = codec.facts();
        if threads_per_chunk.is_some_and(|threads| threads > facts.threads) {
            self.refuse(format!(
                "plan.threads_per_chunk: {} works on a chunk with {} thread at most, leave it out",
                facts.name, facts.threads
            ));
        }
        PlanOptions { chunk_frames: self.integer("plan.chunk_frames"), threads_per_chunk }
    }

    fn target(
        &mut self,
        encode: &Encode,
        output_extension: Option<&str>,
        steps: &[Step],
    ) -> (Container, AudioChoice) {
        let chosen = self.set.get("convert.container").and_then(|name| Container::by_name(name));
        let extension = output_extension.filter(|extension| !extension.is_empty());
        let by_extension = extension.and_then(Container::by_name);
        let usual = encode.codec.facts().containers.first().copied().unwrap_or(Container::Mkv);
        let container = match (chosen, extension, by_extension) {
            (Some(chosen), Some(extension), Some(other)) if chosen != other => {
                self.refuse(format!(
                    "the output's name ends in .{extension}, but convert.container is {}",
                    chosen.name()
                ));
                chosen
            }
            (Some(chosen), _, _) => chosen,
            (None, Some(_), Some(by_extension)) => by_extension,
            (None, Some(extension), None) => {
                self.refuse(format!(
                    "the output's name ends in {}: DVP writes .{}; name it so or set convert.container",
                    quoted(&format!(".{extension}")),
                    container::NAMES.join(", .")
                ));
                usual
            }
            (None, None, _) => usual,
        };
        if !encode.codec.fits(container) {
            self.refuse(format!(
                "{} does not go into {}: name the output .{}, or take another convert.codec",
                encode.codec.name(),
                container.name(),
                usual.name()
            ));
        }
        let audio = match self.set.get("convert.audio").copied() {
            Some("copy") => AudioChoice::Copy,
            Some("aac") => AudioChoice::Aac,
            Some("flac") => AudioChoice::Flac,
            Some("none") => AudioChoice::None,
            _ => AudioChoice::Auto,
        };
        if audio == AudioChoice::Copy && steps.iter().any(|step| step.task() == "cut") {
            self.refuse(
                "convert.audio=copy can't be cut to the sample: take auto, aac or flac, or leave cut out",
            );
        }
        if audio == AudioChoice::Flac && container.is_mp4() {
            let container = container.name();
            self.refuse(format!(
                "flac sound does not go into {container} here: name the output .mkv, or take aac"
            ));
        }
        (container, audio)
    }
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;

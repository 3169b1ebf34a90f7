//! The submit form: its fields in their order, what is typed, what the table and the engine say about
//! it. Parameters come from the model's task table. Knows no screen and no network.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dvp_model::error::{Kind, Reason};
use dvp_model::job::{Job, Submission};
use dvp_model::spec::SpecText;
use dvp_model::spec::task::{GENERAL, Param, ParamKind, TASKS};
use dvp_model::wire::api::DryRunReply;
use dvp_model::{FilePath, Millis};
use serde::{Deserialize, Serialize};

use super::field::Field;
use crate::event::Listing;
use crate::remote;

/// A row of the form that the cursor can be on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Slot {
    Input,
    Tasks,
    /// `task.key` or `plan.key`.
    Param(String),
    Output,
    Ranks,
    Priority,
    Force,
    Start,
}

/// What a dry run of the form said.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dry {
    /// None was made of what stands there now.
    None,
    /// It runs.
    Asked,
    /// It went well.
    Planned(Box<DryRunReply>),
    /// It was refused; the reasons are among the form's errors.
    Refused,
}

/// The form.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Form {
    /// The input as typed.
    pub input: Field,
    /// The input where its name is no text: bytes that `input` only shows.
    pub raw_input: Option<FilePath>,
    /// Tasks in their order.
    pub chain: Vec<String>,
    /// Which task the cursor of the chain is on.
    pub chain_at: usize,
    /// `task.key` to what is typed.
    pub set: BTreeMap<String, Field>,
    /// The output as typed; empty: beside the input.
    pub output: Field,
    /// The output where its name is no text, as with the input.
    pub raw_output: Option<FilePath>,
    /// Ranks as typed; empty: as the scheduler sees fit.
    pub ranks: Field,
    /// Priority as typed.
    pub priority: Field,
    /// Replace an existing output.
    pub force: bool,
    /// Where the cursor is.
    pub at: Slot,
    /// Rises with each change of what would be submitted.
    pub edits: u64,
    /// When that was last.
    pub edited_at: Millis,
    /// What the engine said of it.
    pub errors: Vec<Reason>,
    /// What a dry run said of it.
    pub dry: Dry,
    /// It was sent and no answer is back.
    pub sent: bool,
    /// The folder of the path being typed, for completion.
    pub listing: Option<Listing>,
    /// Paths that are no absolute ones start here.
    pub folder: PathBuf,
    /// The engine elsewhere, by its address: paths on its machine begin with `engine:`.
    pub remote: Option<String>,
}

impl Default for Form {
    fn default() -> Self {
        Self {
            input: Field::default(),
            raw_input: None,
            chain: vec!["convert".into()],
            chain_at: 0,
            set: BTreeMap::new(),
            output: Field::default(),
            raw_output: None,
            ranks: Field::default(),
            priority: Field::new("0"),
            force: false,
            at: Slot::Input,
            edits: 0,
            edited_at: Millis(0),
            errors: Vec::new(),
            dry: Dry::None,
            sent: false,
            listing: None,
            folder: PathBuf::from("/"),
            remote: None,
        }
    }
}

impl Form {
    /// An empty form in the same place.
    pub fn fresh(&self) -> Self {
        let (folder, remote) = (self.folder.clone(), self.remote.clone());
        Self { folder, remote, ..Self::default() }
    }

    /// A form that asks for what a job was asked for; `self` says where.
    pub fn of(&self, job: &Job) -> Self {
        let mut form = self.fresh();
        form.set_input(&job.input);
        form.chain = job.asked.tasks.clone();
        if form.chain.is_empty() {
            form.chain.push("convert".into());
        }
        form.set =
            job.asked.set.iter().map(|(key, value)| (key.clone(), Field::new(value))).collect();
        form.set_output(&job.output_path);
        form.ranks = Field::new(job.ranks_wanted.map(|n| n.to_string()).unwrap_or_default());
        form.priority = Field::new(job.priority.to_string());
        form.edits = 1;
        form
    }

    /// Puts a path into the input, whatever its bytes.
    pub fn set_input(&mut self, path: &FilePath) {
        (self.input, self.raw_input) = shown_path(&self.there(path));
    }

    /// Puts a path into the output, whatever its bytes.
    pub fn set_output(&mut self, path: &FilePath) {
        (self.output, self.raw_output) = shown_path(&self.there(path));
    }

    /// A path of the engine's as it is typed here.
    fn there(&self, path: &FilePath) -> FilePath {
        match path.as_path().to_str() {
            Some(text) if self.remote.is_some() && remote::is_here(path.as_path()) => {
                format!("{}{text}", remote::PREFIX).into()
            }
            _ => path.clone(),
        }
    }

    /// Whether the film has to be sent to the engine first.
    pub fn sends(&self) -> bool {
        self.remote.is_some() && remote::is_here(&self.absolute(&self.input.text))
    }

    /// What stands in a row was typed: it is text.
    pub fn typed(&mut self, slot: &Slot) {
        match slot {
            Slot::Input => self.raw_input = None,
            Slot::Output => self.raw_output = None,
            _ => {}
        }
    }

    /// Every row, from the top.
    pub fn slots(&self) -> Vec<Slot> {
        let mut slots = vec![Slot::Input, Slot::Tasks];
        slots.extend(self.params().map(|(key, _)| Slot::Param(key)));
        slots.extend([Slot::Output, Slot::Ranks, Slot::Priority, Slot::Force, Slot::Start]);
        slots
    }

    /// Parameters of the chain, then the general ones, as `task.key`.
    pub fn params(&self) -> impl Iterator<Item = (String, &'static Param)> + '_ {
        let tasks = self.chain.iter().filter_map(|name| TASKS.iter().find(|t| t.name == *name));
        let general = GENERAL.iter().flat_map(|(name, params)| params.iter().map(|p| (*name, p)));
        let mut seen = std::collections::BTreeSet::new();
        tasks
            .flat_map(|task| task.params.iter().map(move |param| (task.name, param)))
            .chain(general)
            .map(|(task, param)| (format!("{task}.{}", param.key), param))
            .filter(move |(key, _)| seen.insert(key.clone()))
    }

    /// A parameter of the table.
    pub fn param(&self, key: &str) -> Option<&'static Param> {
        self.params().find(|(other, _)| other == key).map(|(_, param)| param)
    }

    /// The text field with the cursor, if it is on one.
    pub fn field(&self) -> Option<&Field> {
        match &self.at {
            Slot::Input => Some(&self.input),
            Slot::Output => Some(&self.output),
            Slot::Ranks => Some(&self.ranks),
            Slot::Priority => Some(&self.priority),
            Slot::Param(key) => match self.param(key)?.kind {
                ParamKind::Choice(_) => None,
                // A parameter that nobody touched has no field yet.
                _ => Some(self.set.get(key).unwrap_or(EMPTY)),
            },
            Slot::Tasks | Slot::Force | Slot::Start => None,
        }
    }

    /// The same, to type into.
    pub fn field_mut(&mut self) -> Option<&mut Field> {
        self.field()?;
        match self.at.clone() {
            Slot::Input => Some(&mut self.input),
            Slot::Output => Some(&mut self.output),
            Slot::Ranks => Some(&mut self.ranks),
            Slot::Priority => Some(&mut self.priority),
            Slot::Param(key) => Some(self.set.entry(key).or_default()),
            Slot::Tasks | Slot::Force | Slot::Start => None,
        }
    }

    /// Moves the cursor by so many rows; stops at the ends.
    pub fn step(&mut self, rows: isize) {
        let slots = self.slots();
        let at = slots.iter().position(|slot| *slot == self.at).unwrap_or(0);
        let to = at.saturating_add_signed(rows).min(slots.len() - 1);
        self.at = slots[to].clone();
    }

    /// What is shown as a parameter's value when nothing is typed.
    pub fn default_of(&self, key: &str) -> &'static str {
        self.param(key).map_or("", |param| param.default)
    }

    /// The value of a choice one further or one back; wraps around, past "not set".
    pub fn turn(&mut self, key: &str, forward: bool) {
        let Some(ParamKind::Choice(words)) = self.param(key).map(|param| param.kind) else {
            return;
        };
        let now = self.set.get(key).map_or("", |field| field.text.as_str());
        // What is shown counts as chosen: the first turn goes on from the default.
        let shown = if now.is_empty() { self.default_of(key) } else { now };
        let count = words.len() as isize;
        let at = words.iter().position(|word| *word == shown).map(|at| at as isize);
        let to = match (at, forward) {
            (None, true) => 0,
            (None, false) => count - 1,
            (Some(at), true) => at + 1,
            (Some(at), false) => at - 1,
        };
        let unset_is_a_value = self.default_of(key).is_empty();
        let word = match usize::try_from(to).ok().and_then(|to| words.get(to)) {
            Some(word) => word,
            None if unset_is_a_value => "",
            None if to < 0 => words.last().copied().unwrap_or(""),
            None => words.first().copied().unwrap_or(""),
        };
        if word == self.default_of(key) {
            self.set.remove(key);
        } else {
            self.set.insert(key.to_owned(), Field::new(word));
        }
    }

    /// Adds the task with the cursor to the chain's end, or takes it out.
    pub fn toggle_task(&mut self) {
        let Some(task) = TASKS.get(self.chain_at) else { return };
        match self.chain.iter().position(|name| name == task.name) {
            Some(at) => {
                self.chain.remove(at);
                let gone = format!("{}.", task.name);
                self.set.retain(|key, _| !key.starts_with(&gone));
            }
            None => self.chain.push(task.name.to_owned()),
        }
    }

    /// What is typed no longer is what the engine spoke of.
    pub fn edited(&mut self) {
        self.edits += 1;
        self.errors.clear();
        self.dry = Dry::None;
    }

    /// What the table says about one row, before anything is sent.
    pub fn fault(&self, slot: &Slot) -> Option<String> {
        let number = |field: &Field, what: &str, low: i64, high: i64| {
            let text = field.text.trim();
            match text.parse::<i64>() {
                _ if text.is_empty() => None,
                Ok(n) if (low..=high).contains(&n) => None,
                _ => Some(format!("{what} is a whole number from {low} to {high}")),
            }
        };
        match slot {
            Slot::Param(key) => {
                let value = self.set.get(key).map(|field| field.text.trim())?;
                let param = self.param(key)?;
                if value.is_empty() {
                    return None;
                }
                param.kind.check(key, value).err().map(|reason| reason.text)
            }
            Slot::Ranks => number(&self.ranks, "ranks", 1, 4096),
            Slot::Priority => number(&self.priority, "priority", -1000, 1000),
            _ => None,
        }
        .or_else(|| self.engine_fault(slot))
    }

    fn engine_fault(&self, slot: &Slot) -> Option<String> {
        let texts: Vec<&str> = self
            .errors
            .iter()
            .filter(|reason| self.slot_of(reason) == *slot)
            .map(|reason| reason.text.as_str())
            .collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }

    /// The row beside which an error of the engine belongs.
    pub fn slot_of(&self, reason: &Reason) -> Slot {
        match reason.kind {
            Kind::Input | Kind::NotFound => Slot::Input,
            Kind::Output => Slot::Output,
            _ => {
                let named = self.params().map(|(key, _)| key).find(|key| reason.text.contains(key));
                match named {
                    Some(key) => Slot::Param(key),
                    None if reason.kind == Kind::Spec && reason.text.contains("rank") => {
                        Slot::Ranks
                    }
                    None if reason.kind == Kind::Spec && reason.text.contains("task") => {
                        Slot::Tasks
                    }
                    None => Slot::Start,
                }
            }
        }
    }

    /// The first row with a fault, from the top.
    pub fn first_fault(&self) -> Option<Slot> {
        self.slots().into_iter().find(|slot| self.fault(slot).is_some())
    }

    /// What would be sent; none while the input is empty or a row is wrong by the table.
    pub fn submission(&self) -> Option<Submission> {
        if self.input.text.is_empty() {
            return None;
        }
        let wrong = |slot: &Slot| self.fault(slot).is_some() && self.engine_fault(slot).is_none();
        if self.slots().iter().any(wrong) {
            return None;
        }
        let known: Vec<String> = self.params().map(|(key, _)| key).collect();
        let set = self
            .set
            .iter()
            .filter(|(key, field)| known.contains(key) && !field.text.trim().is_empty())
            .map(|(key, field)| (key.clone(), field.text.trim().to_owned()))
            .collect();
        let output = &self.output.text;
        Some(Submission {
            input: match &self.raw_input {
                Some(raw) => raw.clone(),
                None => self.absolute(&self.input.text).into(),
            },
            spec: SpecText { tasks: self.chain.clone(), set },
            output: match &self.raw_output {
                Some(raw) => Some(raw.clone()),
                None => (!output.is_empty()).then(|| self.absolute(output).into()),
            },
            ranks: self.ranks.text.trim().parse().ok(),
            priority: self.priority.text.trim().parse().unwrap_or(0),
            force: self.force,
            batch: None,
            id: None,
        })
    }

    /// A typed path as an absolute one.
    pub fn absolute(&self, typed: &str) -> PathBuf {
        match remote::is_here(Path::new(typed)) {
            true => self.folder.join(typed),
            false => PathBuf::from(typed),
        }
    }

    /// The folder whose entries complete the path being typed, and the part of a name to complete.
    pub fn completing(&self) -> Option<(PathBuf, String)> {
        if !matches!(self.at, Slot::Input | Slot::Output) {
            return None;
        }
        let field = self.field()?;
        let typed = &field.text[..field.at];
        let (folder, part) = typed.rsplit_once('/').map_or(("", typed), |(f, p)| (f, p));
        let folder = if typed.starts_with('/') && folder.is_empty() { "/" } else { folder };
        Some((self.absolute(folder), part.to_owned()))
    }

    /// Names that complete the path being typed, folders with a `/`.
    pub fn candidates(&self) -> Vec<String> {
        let Some((folder, part)) = self.completing() else { return vec![] };
        let Some(listing) = self.listing.as_ref().filter(|l| l.folder.as_path() == folder) else {
            return vec![];
        };
        let Ok(entries) = &listing.entries else { return vec![] };
        entries
            .iter()
            .filter_map(|found| {
                let name = Path::file_name(found.path.as_path())?.to_str()?;
                let hidden = name.starts_with('.') && !part.starts_with('.');
                (name.starts_with(&part) && !hidden)
                    .then(|| if found.folder { format!("{name}/") } else { name.to_owned() })
            })
            .collect()
    }

    /// Whether [`Form::complete`] would add something.
    pub fn can_complete(&self) -> bool {
        self.clone().complete()
    }

    /// Completes the path as far as all candidates agree; false when that adds nothing.
    pub fn complete(&mut self) -> bool {
        let Some((_, part)) = self.completing() else { return false };
        let candidates = self.candidates();
        let Some(mut common) = candidates.first().cloned() else { return false };
        for name in &candidates {
            while !name.starts_with(&common) {
                common.pop();
            }
        }
        let Some(rest) = common.strip_prefix(&part).filter(|rest| !rest.is_empty()) else {
            return false;
        };
        let rest = rest.to_owned();
        if let Some(field) = self.field_mut() {
            field.text.insert_str(field.at, &rest);
            field.at += rest.len();
        }
        true
    }
}

/// A path as a field shows it, and the path itself where that is no text.
fn shown_path(path: &FilePath) -> (Field, Option<FilePath>) {
    let text = path.as_path().to_string_lossy();
    (Field::new(text), path.as_path().to_str().is_none().then(|| path.clone()))
}

/// What an untouched parameter's field reads as.
static EMPTY: &Field = &Field { text: String::new(), at: 0 };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Found;

    fn found(path: &str, folder: bool) -> Found {
        Found { path: path.into(), folder, size: 1 }
    }

    #[test]
    fn completes_paths_as_far_as_the_names_agree() {
        let mut form = Form { folder: "/v".into(), input: Field::new("cl"), ..Form::default() };
        form.listing = Some(Listing {
            folder: "/v".into(),
            entries: Ok(vec![found("/v/clips", true), found("/v/clone.mp4", false)]),
        });
        assert_eq!(form.candidates(), ["clips/", "clone.mp4"]);
        assert!(!form.complete(), "both go on differently");
        form.input = Field::new("cli");
        assert!(form.complete());
        assert_eq!(form.input.text, "clips/");
        assert_eq!(form.completing(), Some(("/v/clips".into(), String::new())));
        assert!(form.candidates().is_empty(), "that folder is not read yet");
        form.input = Field::new("/et");
        assert_eq!(form.completing(), Some(("/".into(), "et".into())));
    }

    #[test]
    fn relative_paths_start_in_the_folder_and_numbers_are_checked() {
        let mut form = Form { folder: "/v".into(), ..Form::default() };
        assert!(form.submission().is_none(), "no input");
        form.input = Field::new("a b.mp4");
        form.output = Field::new("../out.mkv");
        let submission = form.submission().expect("complete");
        assert_eq!(submission.input.as_path(), Path::new("/v/a b.mp4"));
        form.ranks = Field::new("0");
        assert!(form.fault(&Slot::Ranks).is_some());
        assert!(form.submission().is_none());
        form.ranks = Field::new("3");
        assert_eq!(form.submission().expect("complete").ranks, Some(3));
    }

    #[test]
    fn paths_that_are_no_text_keep_their_bytes_until_they_are_typed_over() {
        use std::os::unix::ffi::OsStrExt;
        let raw = |name: &[u8]| FilePath::from(Path::new(std::ffi::OsStr::from_bytes(name)));
        let mut form = Form { folder: "/v".into(), ..Form::default() };
        form.set_input(&raw(b"/v/\xff.mp4"));
        form.set_output(&raw(b"/v/\xfe.mkv"));
        let submission = form.submission().expect("complete");
        assert_eq!(submission.input, raw(b"/v/\xff.mp4"));
        assert_eq!(submission.output, Some(raw(b"/v/\xfe.mkv")));
        form.output = Field::new("b.mkv");
        form.typed(&Slot::Output);
        assert_eq!(form.submission().expect("complete").output, Some("/v/b.mkv".into()));
    }

    #[test]
    fn errors_of_the_engine_stand_beside_their_row_until_it_changes() {
        let mut form = Form { input: Field::new("/a.mp4"), ..Form::default() };
        form.errors = vec![Reason::input("no such file"), Reason::output("exists")];
        assert_eq!(form.fault(&Slot::Input).as_deref(), Some("no such file"));
        assert_eq!(form.fault(&Slot::Output).as_deref(), Some("exists"));
        assert!(form.submission().is_some(), "it may have been mended outside: send it again");
        form.edited();
        assert_eq!(form.first_fault(), None);
    }
}

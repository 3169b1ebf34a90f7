//! Where an output goes when nobody says: beside its input, named after it and the task. Names keep
//! their bytes, whatever encoding they are in.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::path::FilePath;
use crate::spec::{Container, SpecText};

/// `{stem}.{task}.{ext}` beside `input`; the task is the last of the chain.
pub fn default_output(input: &FilePath, text: &SpecText, container: Container) -> FilePath {
    beside(input, input.as_path().parent().unwrap_or(Path::new("")), text, container)
}

/// As [`default_output`], in `folder`.
pub fn output_in(
    folder: &Path,
    input: &FilePath,
    text: &SpecText,
    container: Container,
) -> FilePath {
    beside(input, folder, text, container)
}

/// The extension of a path that chooses a container, if it has one that is text.
pub fn extension(path: &FilePath) -> Option<&str> {
    path.as_path().extension().and_then(OsStr::to_str)
}

fn beside(input: &FilePath, folder: &Path, text: &SpecText, container: Container) -> FilePath {
    let task = text.tasks.last().map_or("convert", |task| task.trim());
    let mut name = OsString::from(input.as_path().file_stem().unwrap_or(OsStr::new("output")));
    name.push(format!(".{task}.{}", container.name()));
    FilePath(folder.join(name))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    fn name(input: &[u8], tasks: &[&str]) -> Vec<u8> {
        let input = FilePath::from(Path::new(OsStr::from_bytes(input)));
        let tasks = tasks.iter().map(|&task| task.to_owned()).collect();
        let text = SpecText { tasks, ..SpecText::default() };
        default_output(&input, &text, Container::Mp4).as_path().as_os_str().as_bytes().to_vec()
    }

    #[test]
    fn beside_the_input_named_after_the_last_task() {
        assert_eq!(name(b"/films/a.b.mkv", &[]), b"/films/a.b.convert.mp4");
        assert_eq!(name(b"a.mkv", &["cut", "resize"]), b"a.resize.mp4");
        assert_eq!(name(b"/films/\xff\xfe \n'.mov", &["cut"]), b"/films/\xff\xfe \n'.cut.mp4");
        assert_eq!(name(b"/films/.hidden", &[]), b"/films/.hidden.convert.mp4");
        assert_eq!(name(b"/-dash%20", &[]), b"/-dash%20.convert.mp4");
    }
}

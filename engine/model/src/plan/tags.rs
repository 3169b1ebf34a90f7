//! Which of a file's own tags (title, artist, date, ..) go into the output, and which it can't hold.

use crate::spec::Container;

/// Most tags that are carried.
const MOST: usize = 64;
/// Longest value, bytes.
const LONGEST: usize = 4096;

/// What a container says of its own making: nothing to carry.
const TECHNICAL: &[&str] =
    &["major_brand", "minor_version", "compatible_brands", "encoder", "duration"];

/// What libavformat writes into mp4.
const MP4: &[&str] = &[
    "title",
    "artist",
    "album_artist",
    "album",
    "composer",
    "date",
    "comment",
    "genre",
    "copyright",
    "grouping",
    "lyrics",
    "description",
    "synopsis",
    "show",
    "episode_id",
    "network",
    "keywords",
    "creation_time",
];

/// What libavformat writes into mov.
const MOV: &[&str] = &[
    "title",
    "artist",
    "author",
    "album",
    "date",
    "comment",
    "genre",
    "copyright",
    "make",
    "model",
    "keywords",
    "creation_time",
];

/// Splits tags into those that `container` carries, by the names that it knows them under, and the names
/// of those that are left out.
pub fn split(
    tags: &[(String, String)],
    container: Container,
) -> (Vec<(String, String)>, Vec<String>) {
    let (mut carried, mut left) = (Vec::new(), Vec::new());
    for (key, value) in tags {
        let name = key.to_lowercase();
        let never_set = name == "creation_time" && value.starts_with("1970-01-01T00:00:00");
        if TECHNICAL.contains(&name.as_str()) || never_set || value.is_empty() {
            continue;
        }
        let holds = match container {
            Container::Mp4 => MP4.contains(&name.as_str()),
            Container::Mov => MOV.contains(&name.as_str()),
            Container::Mkv => true,
        };
        let fits = carried.len() < MOST && value.len() <= LONGEST && !name.is_empty();
        if holds && fits {
            carried.push((name, value.clone()));
        } else {
            left.push(crate::path::printable(&name).chars().take(40).collect());
        }
    }
    (carried, left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_carried_and_the_rest_is_named() {
        let tags = [
            ("TITLE", "Hello"),
            ("MAJOR_BRAND", "isom"),
            ("creation_time", "1970-01-01T00:00:00.000000Z"),
            ("foo", "bar"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let (carried, left) = split(&tags, Container::Mp4);
        assert_eq!(carried, [("title".to_owned(), "Hello".to_owned())]);
        assert_eq!(left, ["foo"]);
        let (carried, left) = split(&tags, Container::Mkv);
        assert_eq!((carried.len(), left.len()), (2, 0));
    }
}

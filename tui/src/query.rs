//! The filter's language: words that must all occur, `field:word`, and `!` before what must not. A pure
//! function of text; knows no screen.

/// Something that a filter looks at: `(field, text)` pairs; the words of a filter look at all of them.
pub type Fields<'a> = &'a [(&'static str, String)];

/// A parsed filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    wanted: bool,
    field: Option<String>,
    word: String,
}

impl Query {
    /// Parses what was typed. Every text is a filter: there is nothing to get wrong.
    pub fn parse(text: &str) -> Self {
        let terms = words(text)
            .into_iter()
            .filter_map(|word| {
                let (wanted, word) = match word.strip_prefix('!') {
                    Some(rest) => (false, rest.to_owned()),
                    None => (true, word),
                };
                let (field, word) = match word.split_once(':') {
                    Some((field, rest)) if is_field(field) => {
                        (Some(field.to_lowercase()), rest.to_lowercase())
                    }
                    _ => (None, word.to_lowercase()),
                };
                (!word.is_empty()).then_some(Term { wanted, field, word })
            })
            .collect();
        Self { terms }
    }

    /// Whether it lets everything through.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether it lets this through.
    pub fn matches(&self, fields: Fields<'_>) -> bool {
        self.terms.iter().all(|term| {
            let found = fields
                .iter()
                .filter(|(name, _)| term.field.as_ref().is_none_or(|field| field == name))
                .any(|(_, text)| text.to_lowercase().contains(&term.word));
            found == term.wanted
        })
    }
}

fn is_field(word: &str) -> bool {
    matches!(
        word.to_lowercase().as_str(),
        "state" | "phase" | "name" | "input" | "output" | "id" | "node" | "reason" | "what" | "job"
    )
}

/// Words at blanks; double quotes keep blanks together.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            _ => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, expect: bool) {
        let fields = [
            ("name", "Holiday 2024.mp4".to_owned()),
            ("state", "failed".into()),
            ("node", "a1".into()),
        ];
        assert_eq!(Query::parse(query).matches(&fields), expect, "{query}");
    }

    #[test]
    fn words_fields_quotes_and_not() {
        check("", true);
        check("holi", true);
        check("HOLI 2024", true);
        check("holi 2025", false);
        check("state:failed", true);
        check("state:holiday", false);
        check("!failed", false);
        check("!state:running", true);
        check("\"day 20\"", true);
        check("\"day  20\"", false);
        check("odd:thing", false);
        check("!", true);
    }
}

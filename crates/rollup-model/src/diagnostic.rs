//! A mistake in what a person wrote: where it is, what was expected, what to type instead.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// One mistake in a playbook, an inventory or a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// A lowercase sentence: expected and found.
    pub message: String,
    /// Byte range in the text, where it can be known.
    pub span: Option<Range<usize>>,
    /// What to do about it, without the word `hint`.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// A mistake without a place.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), span: None, hint: None }
    }

    /// The same mistake at a place.
    #[must_use]
    pub fn at(mut self, span: Option<Range<usize>>) -> Self {
        self.span = span;
        self
    }

    /// The same mistake with a way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The mistake as people see it: message, line with a caret, hint. `text` is the whole content of `file`.
    pub fn render(&self, file: &str, text: &str, color: bool) -> String {
        let title = Level::ERROR.primary_title(self.message.as_str());
        let mut group = match &self.span {
            Some(span) => {
                let end = span.end.min(text.len());
                let start = span.start.min(end);
                Group::with_title(title)
                    .element(Snippet::source(text).path(file).annotation(AnnotationKind::Primary.span(start..end)))
            }
            None => Group::with_title(title),
        };
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.with_name("hint").message(hint.as_str()));
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut out = renderer.render(&[group]).to_string();
        if self.span.is_none() {
            out.push_str(&format!("\n --> {file}"));
        }
        out
    }
}

/// The candidate nearest to `word`, when it is near enough to have been meant.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// Reads `text` as `T` and collects every mistake of form, not only the first: each offending line is blanked and the
/// rest read again, so byte positions stay true. Returns the value, or all diagnostics.
pub fn read_toml<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Vec<Diagnostic>> {
    let mut found = Vec::new();
    let mut rest = text.to_owned();
    loop {
        let error = match toml::from_str::<T>(&rest) {
            Ok(value) if found.is_empty() => return Ok(value),
            Ok(_) => return Err(found),
            Err(error) => error,
        };
        let follows_from_blanking = !found.is_empty()
            && (error.message().starts_with("missing field") || toml::from_str::<toml::Table>(&rest).is_err());
        if follows_from_blanking {
            return Err(found);
        }
        let span = error.span();
        found.push(from_toml_error(error.message(), span.clone()));
        let blanked = span.filter(|_| found.len() < 20).and_then(|span| blank_line(&rest, span.start));
        match blanked {
            Some(next) if next != rest => rest = next,
            _ => return Err(found),
        }
    }
}

fn from_toml_error(message: &str, span: Option<Range<usize>>) -> Diagnostic {
    let diagnostic = Diagnostic::new(message.lines().next().unwrap_or(message)).at(span);
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = message.starts_with("unknown field") || message.starts_with("unknown variant");
    match (unknown, quoted.next()) {
        (true, Some(word)) => match did_you_mean(word, quoted) {
            Some(meant) => diagnostic.hint(format!("did you mean `{meant}`?")),
            None => diagnostic,
        },
        _ => diagnostic,
    }
}

/// Overwrites the line that holds `offset` with blanks; `None` when it is a table header, which cannot go alone.
fn blank_line(text: &str, offset: usize) -> Option<String> {
    let start = text.get(..offset)?.rfind('\n').map_or(0, |at| at + 1);
    let end = text.get(offset..)?.find('\n').map_or(text.len(), |at| offset + at);
    let line = text.get(start..end)?;
    if line.trim_start().starts_with('[') {
        return None;
    }
    Some(format!("{}{}{}", &text[..start], " ".repeat(line.len()), &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[expect(dead_code, reason = "only its reading is tested")]
        units: Vec<String>,
        #[serde(default)]
        #[expect(dead_code, reason = "only its reading is tested")]
        limit: Option<crate::Span>,
    }

    #[test]
    fn every_mistake_of_form_is_reported_with_its_place_and_a_suggestion() {
        let text = "units = []\nlimt = \"3s\"\nlimit = \"soon\"\n";
        let found = read_toml::<Sample>(text).unwrap_err();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().any(|d| d.hint.as_deref() == Some("did you mean `limit`?")), "{found:?}");
        let page = found.iter().map(|d| d.render("x.toml", text, false)).collect::<Vec<_>>().join("\n");
        assert!(page.contains("x.toml:2") && page.contains("x.toml:3") && page.contains("^^^^"), "{page}");
    }

    #[test]
    fn a_far_word_is_no_suggestion() {
        assert_eq!(did_you_mean("zzz", ["node", "vip"]), None);
        assert_eq!(did_you_mean("stanby", ["original-standby", "standby"]), Some("standby"));
    }
}

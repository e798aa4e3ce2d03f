//! How text may look: width, colour, characters and time zone, decided once by the caller.
//!
//! Must not decide anything by itself later: a page printed twice with one style is the same text twice.

use std::fmt::Display;

use jiff::tz::TimeZone;

/// How text may look.
#[derive(Debug, Clone)]
pub struct Style {
    /// Columns of a line. Only commands to type are ever longer, since a broken command cannot be copied.
    pub width: usize,
    /// Whether escape codes for colour may be written.
    pub color: bool,
    /// Whether characters outside ASCII may be written.
    pub unicode: bool,
    /// The zone in which times are shown.
    pub zone: TimeZone,
}

/// What a piece of text is meant to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    Plain,
    Strong,
    Dim,
    Good,
    Caution,
    Bad,
}

/// What the first character of a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    Done,
    AlreadySo,
    Failed,
    Retried,
    Outage,
    Note,
    Pending,
}

/// Narrower than this no layout makes sense; wider than the upper end no eye follows a line.
const SENSIBLE: (usize, usize) = (40, 160);

/// The width of text that goes to a file or a pipe.
const UNKNOWN_WIDTH: usize = 120;

impl Style {
    /// No colour, ASCII only, UTC.
    pub fn plain(width: usize) -> Self {
        Self { width, color: false, unicode: false, zone: TimeZone::UTC }
    }

    /// What `term` can show, with times in the zone of this machine. `color` is the caller's answer to `--color` and
    /// `NO_COLOR`.
    pub fn detect(term: &console::Term, color: bool) -> Self {
        let width = term
            .size_checked()
            .map_or(UNKNOWN_WIDTH, |(_, columns)| usize::from(columns).clamp(SENSIBLE.0, SENSIBLE.1));
        let variable = |name: &str| std::env::var(name).ok();
        let unicode = is_unicode_locale(
            variable("LC_ALL").as_deref(),
            variable("LC_CTYPE").as_deref(),
            variable("LANG").as_deref(),
        );
        Self { width, color, unicode, zone: TimeZone::system() }
    }

    /// The same style with another width.
    #[must_use]
    pub fn with_width(&self, width: usize) -> Self {
        Self { width, ..self.clone() }
    }

    pub(crate) fn paint(&self, paint: Paint, text: impl Display) -> String {
        if !self.color || paint == Paint::Plain {
            return text.to_string();
        }
        let style = console::Style::new().force_styling(true);
        let style = match paint {
            Paint::Plain => style,
            Paint::Strong => style.bold(),
            Paint::Dim => style.dim(),
            Paint::Good => style.green(),
            Paint::Caution => style.yellow(),
            Paint::Bad => style.red().bold(),
        };
        style.apply_to(text).to_string()
    }

    /// The painted character of a sign.
    pub(crate) fn sign(&self, sign: Sign) -> String {
        let (unicode, ascii, paint) = match sign {
            Sign::Done => ("✓", "+", Paint::Good),
            Sign::AlreadySo => ("=", "=", Paint::Dim),
            Sign::Failed => ("✗", "x", Paint::Bad),
            Sign::Retried => ("~", "~", Paint::Caution),
            Sign::Outage => ("!", "!", Paint::Caution),
            Sign::Note => ("·", "*", Paint::Dim),
            Sign::Pending => ("·", ".", Paint::Dim),
        };
        self.paint(paint, if self.unicode { unicode } else { ascii })
    }

    /// What stands for text that was cut off.
    pub(crate) fn ellipsis(&self) -> &'static str {
        if self.unicode { "…" } else { "..." }
    }

    /// Between the old and the new.
    pub(crate) fn arrow(&self) -> &'static str {
        if self.unicode { "→" } else { "->" }
    }
}

/// Whether a locale can show characters outside ASCII: the first variable that is set and not empty decides, as in the C
/// library.
pub fn is_unicode_locale(lc_all: Option<&str>, lc_ctype: Option<&str>, lang: Option<&str>) -> bool {
    let decides = [lc_all, lc_ctype, lang].into_iter().flatten().find(|value| !value.is_empty());
    decides.is_some_and(|value| {
        let value = value.to_ascii_lowercase();
        value.contains("utf-8") || value.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_locale_variable_that_is_set_decides() {
        assert!(is_unicode_locale(None, None, Some("de_DE.UTF-8")));
        assert!(is_unicode_locale(Some(""), Some("C.utf8"), Some("C")));
        assert!(!is_unicode_locale(Some("C"), Some("C.UTF-8"), Some("C.UTF-8")));
        assert!(!is_unicode_locale(None, None, None));
    }

    #[test]
    fn without_colour_no_escape_code_is_written() {
        assert_eq!(Style::plain(80).paint(Paint::Bad, "x"), "x");
        let colored = Style { color: true, ..Style::plain(80) };
        assert!(colored.paint(Paint::Bad, "x").contains('\u{1b}'));
    }
}

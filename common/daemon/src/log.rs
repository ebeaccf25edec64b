//! The log: one line per event on stderr, each in one write.
//!
//! With the journal behind stderr a line begins with its `<N>` priority (`sd-daemon(3)`), elsewhere
//! with the daemon's name and the level. Spans are not supported: an event has the fields that
//! its reader needs. Control characters are written as escapes, so that one event is always one line
//! and text from a peer cannot control a terminal.
//!
//! The lines of each level are bounded, so that a peer that causes a flood of them neither fills the
//! medium nor hides an error: a flood at one level takes nothing from another.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::os::linux::fs::MetadataExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::Deserialize;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::config::Validate;
use crate::failure::chain;
use crate::limit::{Pass, RateLimit};

/// The longest line, its newline not included; the rest is cut.
const MAX_LINE: usize = 2048;

/// Lines per minute of each level but debug and trace, which an operator enables. The next line that is written has the number of
/// those dropped.
const PER_MINUTE: u32 = 3000;

/// Libraries that log their internals at `info`; only their warnings are of interest.
const LIBRARIES: [&str; 4] = ["zbus", "tokio", "mio", "inotify"];

static NAME: OnceLock<&'static str> = OnceLock::new();

/// The index in [`LEVELS`] of the level up to which events are written.
static LEVEL: AtomicUsize = AtomicUsize::new(0);

const LEVELS: [LevelFilter; 6] = [
    LevelFilter::OFF,
    LevelFilter::ERROR,
    LevelFilter::WARN,
    LevelFilter::INFO,
    LevelFilter::DEBUG,
    LevelFilter::TRACE,
];

/// The part of the configuration that concerns the log.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct LogConfig {
    log: Section,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Section {
    level: Verbosity,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "kebab-case")]
enum Verbosity {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

impl Validate for LogConfig {}

impl LogConfig {
    /// The configured level, or that of the given number of `-v` if it is higher.
    pub(crate) fn level(&self, verbose: u8) -> LevelFilter {
        let asked = match verbose {
            0 => Verbosity::Error,
            1 => Verbosity::Debug,
            _ => Verbosity::Trace,
        };
        match self.log.level.max(asked) {
            Verbosity::Error => LevelFilter::ERROR,
            Verbosity::Warn => LevelFilter::WARN,
            Verbosity::Info => LevelFilter::INFO,
            Verbosity::Debug => LevelFilter::DEBUG,
            Verbosity::Trace => LevelFilter::TRACE,
        }
    }
}

/// Sets the name in the log; the first call counts.
pub(crate) fn name(name: &'static str) {
    NAME.get_or_init(|| name);
}

/// Starts the log: events up to `level` are written, and a panic is one line too.
pub(crate) fn start(level: LevelFilter) {
    set_level(level);
    let log = Log { style: Style::of_stderr(), bounds: Bounds::new(PER_MINUTE) };
    // Fails only if a subscriber is set already, which then stays.
    let _already_set = tracing::subscriber::set_global_default(log);
    std::panic::set_hook(Box::new(|panic| report(&panic.to_string())));
}

/// Sets the level up to which events are written.
pub(crate) fn set_level(level: LevelFilter) {
    let index = LEVELS.iter().position(|known| *known == level).unwrap_or_default();
    if LEVEL.swap(index, Ordering::Relaxed) != index {
        // Each place that logs remembers whether its events are wanted.
        tracing::callsite::rebuild_interest_cache();
    }
}

fn level() -> LevelFilter {
    LEVELS.get(LEVEL.load(Ordering::Relaxed)).copied().unwrap_or(LevelFilter::OFF)
}

/// Writes one error line, whether or not the log was started.
pub(crate) fn report(text: &str) {
    write(Line::new(Style::of_stderr(), Level::ERROR).text(text));
}

/// How a line begins.
#[derive(Clone, Copy, Debug)]
enum Style {
    /// `<N>`, for the journal, which knows the name itself.
    Priority,
    /// `name: level: `.
    Name,
}

impl Style {
    /// `Priority` if stderr is the stream that the service manager connected to the journal.
    fn of_stderr() -> Self {
        let journal = std::env::var("JOURNAL_STREAM").ok();
        let stderr = std::fs::metadata("/proc/self/fd/2");
        match (journal, stderr) {
            (Some(journal), Ok(stderr))
                if journal == format!("{}:{}", stderr.st_dev(), stderr.st_ino()) =>
            {
                Self::Priority
            }
            _ => Self::Name,
        }
    }
}

#[derive(Debug)]
struct Log {
    style: Style,
    bounds: Bounds,
}

/// How many lines there may be of each level.
#[derive(Debug)]
struct Bounds {
    error: RateLimit,
    warn: RateLimit,
    info: RateLimit,
}

impl Bounds {
    const fn new(per_minute: u32) -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        Self {
            error: RateLimit::new(per_minute, MINUTE),
            warn: RateLimit::new(per_minute, MINUTE),
            info: RateLimit::new(per_minute, MINUTE),
        }
    }

    fn admit(&self, level: Level) -> Option<Pass> {
        match level {
            Level::ERROR => self.error.admit(),
            Level::WARN => self.warn.admit(),
            Level::INFO => self.info.admit(),
            Level::DEBUG | Level::TRACE => Some(Pass { swallowed: None }),
        }
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= limit(metadata.target(), level())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(level())
    }

    fn event(&self, event: &Event<'_>) {
        let level = *event.metadata().level();
        let Some(pass) = self.bounds.admit(level) else {
            return;
        };
        let mut line = Line::new(self.style, level);
        event.record(&mut line);
        if let Some(count) = pass.swallowed {
            let _infallible = write!(line.fields, " lines-swallowed={count}");
        }
        write(line);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The level up to which events of `target` are written.
fn limit(target: &str, level: LevelFilter) -> LevelFilter {
    let library = target.split("::").next().unwrap_or(target);
    if LIBRARIES.contains(&library) && level < LevelFilter::TRACE {
        level.min(LevelFilter::WARN)
    } else {
        level
    }
}

fn write(line: Line) {
    // If stderr is closed, there is nowhere to log that.
    let _closed = std::io::stderr().write_all(&line.finish());
}

/// One line as it grows: prefix, message, fields.
struct Line {
    text: String,
    fields: String,
    prefix: usize,
}

impl Line {
    fn new(style: Style, level: Level) -> Self {
        let (priority, word) = match level {
            Level::ERROR => (3, "error"),
            Level::WARN => (4, "warning"),
            Level::INFO => (6, "info"),
            Level::DEBUG | Level::TRACE => (7, "debug"),
        };
        let text = match style {
            Style::Priority => format!("<{priority}>"),
            Style::Name => format!("{}: {word}: ", NAME.get().unwrap_or(&"daemon")),
        };
        Self { prefix: text.len(), text, fields: String::new() }
    }

    fn text(mut self, text: &str) -> Self {
        escape_into(&mut self.text, text);
        self
    }

    fn field(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if field.name() == "message" {
            let _infallible = Escaped(&mut self.text).write_fmt(value);
        } else {
            let _infallible = write!(self.fields, " {}=", field.name());
            let _infallible = Escaped(&mut self.fields).write_fmt(value);
        }
    }

    /// The bytes to write, cut to [`MAX_LINE`].
    fn finish(mut self) -> Vec<u8> {
        if self.text.len() == self.prefix {
            self.text.push_str(self.fields.trim_start());
        } else {
            self.text.push_str(&self.fields);
        }
        if self.text.len() > MAX_LINE {
            let cut = self.text.floor_char_boundary(MAX_LINE - "...".len());
            self.text.truncate(cut);
            self.text.push_str("...");
        }
        self.text.push('\n');
        self.text.into_bytes()
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.field(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.field(field, format_args!("{value}"));
        } else {
            self.field(field, format_args!("{value:?}"));
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.field(field, format_args!("{}", chain(value)));
    }
}

/// Writes text with its control characters escaped.
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape_into(self.0, text);
        Ok(())
    }
}

/// Appends `text`: control, line-breaking and direction-changing characters as escapes.
fn escape_into(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\u{2028}'
            | '\u{2029}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => out.extend(c.escape_unicode()),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> String {
        String::from_utf8(Line::new(Style::Priority, Level::WARN).text(text).finish()).unwrap()
    }

    #[test]
    fn foreign_control_characters_cannot_forge_a_line() {
        assert_eq!(line("user \"a\nipmid: b\""), "<4>user \"a\\nipmid: b\"\n");
        assert_eq!(
            line("\u{1b}[2J\0\u{9b}\u{2028}\u{202e}ö"),
            "<4>\\u{1b}[2J\\u{0}\\u{9b}\\u{2028}\\u{202e}ö\n"
        );
    }

    #[test]
    fn long_line_is_cut_on_a_character() {
        let text = line(&"ö".repeat(5000));
        assert!(text.len() <= MAX_LINE + 1 && text.ends_with("...\n"), "{}", text.len());
    }

    #[test]
    fn more_v_means_more_and_never_less_than_configured() {
        let config = |level| LogConfig { log: Section { level } };
        assert_eq!(config(Verbosity::Info).level(0), LevelFilter::INFO);
        assert_eq!(config(Verbosity::Warn).level(0), LevelFilter::WARN);
        assert_eq!(config(Verbosity::Warn).level(1), LevelFilter::DEBUG);
        assert_eq!(config(Verbosity::Trace).level(1), LevelFilter::TRACE);
    }

    #[test]
    fn lines_of_a_level_are_bounded_and_leave_room_for_others() {
        let bounds = Bounds::new(2);
        let admitted = |level| (0..5).filter(|_| bounds.admit(level).is_some()).count();
        assert_eq!(admitted(Level::INFO), 2);
        assert_eq!(admitted(Level::WARN), 2);
        assert_eq!(admitted(Level::ERROR), 2);
        assert_eq!(admitted(Level::DEBUG), 5, "debug lines are asked for");
    }

    #[test]
    fn libraries_are_quiet_until_all_is_asked_for() {
        assert_eq!(limit("zbus::connection", LevelFilter::DEBUG), LevelFilter::WARN);
        assert_eq!(limit("zbus", LevelFilter::TRACE), LevelFilter::TRACE);
        assert_eq!(limit("netipmid::front", LevelFilter::DEBUG), LevelFilter::DEBUG);
    }
}

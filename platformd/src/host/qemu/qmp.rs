//! QEMU's control protocol (QMP, docs/interop/qmp-spec of QEMU), as far as a BMC needs it: commands one after the
//! other, and the events between them.
//!
//! What comes from the socket is not trusted: lines are bounded in length, and what is no message ends the
//! connection.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time;

use crate::host::lines::Lines;

/// The longest line; the longest reply to a command used here has some hundred bytes for each processor.
const LONGEST_LINE: usize = 1 << 20;
/// How many events may wait; beyond that the oldest are dropped.
const MOST_EVENTS: usize = 256;
/// How long QEMU may take to greet: it serves one client at a time, and lets others wait.
const GREETING_LIMIT: Duration = Duration::from_secs(2);
/// How long QEMU may take to reply.
const REPLY_LIMIT: Duration = Duration::from_secs(3);

/// A connection to a QEMU.
#[derive(Debug)]
pub(super) struct Qmp {
    lines: Lines<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    events: VecDeque<Event>,
    newest: u64,
}

/// An event that a BMC acts on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Event {
    /// `RESET`.
    Reset { by_guest: bool },
    /// `SHUTDOWN`.
    Shutdown { by_guest: bool, reason: String },
    /// `GUEST_PANICKED`, `GUEST_CRASHLOADED`.
    Panicked,
    /// The run state may have changed.
    RunState,
}

/// Why a command failed, or the connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum QmpError {
    #[error("no connection: {0}")]
    Connect(io::Error),
    #[error("QEMU does not greet: another client is connected to its QMP socket, or it hangs")]
    NoGreeting,
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    #[error("QEMU closed the connection")]
    Closed,
    #[error("what came is no QMP message: {0:?}")]
    NoMessage(String),
    #[error("QEMU does not answer {0}")]
    Late(String),
    #[error("QEMU refuses {command}: {text}")]
    Refused { command: String, text: String },
}

impl QmpError {
    /// Whether there is nobody at the socket.
    pub(super) fn is_absent(&self) -> bool {
        use io::ErrorKind::{ConnectionRefused, NotFound};
        matches!(self, Self::Connect(error) if matches!(error.kind(), ConnectionRefused | NotFound))
    }

    /// Whether the connection can still be used.
    pub(super) const fn leaves_connection(&self) -> bool {
        matches!(self, Self::Late(_) | Self::Refused { .. })
    }
}

/// A message from QEMU.
enum Message {
    Greeting,
    Event(Option<Event>),
    Reply { id: Option<u64>, result: Result<Value, String> },
}

impl Qmp {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    ///
    /// [`QmpError`]; see [`QmpError::is_absent`].
    pub(super) async fn connect(path: &Path) -> Result<Self, QmpError> {
        let stream = UnixStream::connect(path).await.map_err(QmpError::Connect)?;
        Self::over(stream).await
    }

    /// Speaks QMP over `stream`.
    ///
    /// # Errors
    ///
    /// [`QmpError`].
    pub(super) async fn over(stream: UnixStream) -> Result<Self, QmpError> {
        let (reader, writer) = stream.into_split();
        let lines = Lines::new(reader, LONGEST_LINE);
        let mut qmp = Self { lines, writer, events: VecDeque::new(), newest: 0 };
        match time::timeout(GREETING_LIMIT, qmp.message()).await {
            Err(_) => return Err(QmpError::NoGreeting),
            Ok(Ok(Message::Greeting)) => {}
            Ok(Ok(_)) => {
                return Err(QmpError::NoMessage("a message before the greeting".to_owned()));
            }
            Ok(Err(error)) => return Err(error),
        }
        qmp.execute("qmp_capabilities", json!({})).await?;
        Ok(qmp)
    }

    /// Executes a command; events that come meanwhile wait for [`event`](Self::event).
    ///
    /// # Errors
    ///
    /// [`QmpError`]; the connection is of no use any more unless it
    /// [leaves the connection](QmpError::leaves_connection).
    pub(super) async fn execute(
        &mut self,
        command: &str,
        arguments: Value,
    ) -> Result<Value, QmpError> {
        self.newest += 1;
        let id = self.newest;
        let mut line = json!({ "execute": command, "arguments": arguments, "id": id }).to_string();
        line.push('\n');
        let exchange = async {
            self.writer.write_all(line.as_bytes()).await.map_err(QmpError::Broken)?;
            loop {
                match self.message().await? {
                    // A late reply to an earlier command has another number.
                    Message::Reply { id: of, result } if of == Some(id) => return Ok(result),
                    Message::Event(Some(event)) => self.keep(event),
                    Message::Greeting | Message::Event(None) | Message::Reply { .. } => {}
                }
            }
        };
        let result = match time::timeout(REPLY_LIMIT, exchange).await {
            Ok(result) => result?,
            Err(_) => return Err(QmpError::Late(command.to_owned())),
        };
        result.map_err(|text| QmpError::Refused { command: command.to_owned(), text })
    }

    /// The next event. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`QmpError`]; the connection is of no use any more.
    pub(super) async fn event(&mut self) -> Result<Event, QmpError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            if let Message::Event(Some(event)) = self.message().await? {
                return Ok(event);
            }
        }
    }

    fn keep(&mut self, event: Event) {
        if self.events.len() >= MOST_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// The next message. Cancel safe.
    async fn message(&mut self) -> Result<Message, QmpError> {
        let line = self.lines.next().await.map_err(QmpError::Broken)?.ok_or(QmpError::Closed)?;
        parse(&line).ok_or_else(|| {
            let text = String::from_utf8_lossy(&line);
            QmpError::NoMessage(text.chars().take(80).collect())
        })
    }
}

/// Reads a message; `None` if it is none.
fn parse(line: &[u8]) -> Option<Message> {
    let message: Value = serde_json::from_slice(line).ok()?;
    let object = message.as_object()?;
    if object.contains_key("QMP") {
        return Some(Message::Greeting);
    }
    if let Some(name) = object.get("event") {
        let data = object.get("data").unwrap_or(&Value::Null);
        return Some(Message::Event(event(name.as_str()?, data)));
    }
    let id = object.get("id").and_then(Value::as_u64);
    if let Some(value) = object.get("return") {
        return Some(Message::Reply { id, result: Ok(value.clone()) });
    }
    let error = object.get("error")?;
    let text = error.get("desc").and_then(Value::as_str).unwrap_or("without a reason");
    Some(Message::Reply { id, result: Err(text.chars().take(300).collect()) })
}

/// An event that matters here.
fn event(name: &str, data: &Value) -> Option<Event> {
    let by_guest = data.get("guest").and_then(Value::as_bool).unwrap_or(false);
    let reason = data.get("reason").and_then(Value::as_str).unwrap_or_default();
    match name {
        "RESET" => Some(Event::Reset { by_guest }),
        "SHUTDOWN" => Some(Event::Shutdown { by_guest, reason: reason.to_owned() }),
        "GUEST_PANICKED" | "GUEST_CRASHLOADED" => Some(Event::Panicked),
        "STOP" | "RESUME" | "SUSPEND" | "SUSPEND_DISK" | "WAKEUP" => Some(Event::RunState),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, BufReader};

    use super::*;

    const GREETING: &str = "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\n";

    /// A connection whose other end sends `lines` and then closes; what it got is not looked at.
    async fn connect_to(lines: &[u8]) -> Result<Qmp, QmpError> {
        let (here, mut there) = UnixStream::pair().unwrap();
        let lines = lines.to_vec();
        tokio::spawn(async move {
            // It may be given up before all is sent. The end of the stream comes after what was sent.
            let _given_up = there.write_all(&lines).await;
            let _given_up = there.shutdown().await;
            let mut lines = BufReader::new(there).lines();
            while let Ok(Some(_)) = lines.next_line().await {}
        });
        Qmp::over(here).await
    }

    fn lines(rest: &str) -> Vec<u8> {
        format!("{GREETING}{{\"return\": {{}}, \"id\": 1}}\n{rest}").into_bytes()
    }

    #[tokio::test]
    async fn events_between_commands_and_replies_wait() {
        let rest = "{\"event\": \"RESET\", \"data\": {\"guest\": true, \"reason\": \"guest-reset\"}}\n\
                    {\"event\": \"NIC_RX_FILTER_CHANGED\", \"data\": {}}\n\
                    {\"return\": {\"late\": 1}, \"id\": 77}\n\
                    {\"return\": {\"status\": \"running\"}, \"id\": 2}\n\
                    {\"event\": \"SHUTDOWN\", \"data\": {\"guest\": false, \"reason\": \"host-signal\"}}\n";
        let mut qmp = connect_to(&lines(rest)).await.unwrap();
        let status = qmp.execute("query-status", json!({})).await.unwrap();
        assert_eq!(status, json!({ "status": "running" }));
        assert_eq!(qmp.event().await.unwrap(), Event::Reset { by_guest: true });
        let reason = "host-signal".to_owned();
        let shutdown = Event::Shutdown { by_guest: false, reason };
        assert_eq!(qmp.event().await.unwrap(), shutdown);
        assert!(matches!(qmp.event().await, Err(QmpError::Closed)));
    }

    #[tokio::test]
    async fn a_refusal_leaves_the_connection() {
        let rest = "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no NMI\"}, \"id\": 2}\n\
                    {\"return\": {}, \"id\": 3}\n";
        let mut qmp = connect_to(&lines(rest)).await.unwrap();
        let refused = qmp.execute("inject-nmi", json!({})).await.unwrap_err();
        assert_eq!(refused.to_string(), "QEMU refuses inject-nmi: no NMI");
        assert!(refused.leaves_connection());
        qmp.execute("cont", json!({})).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_no_message_ends_the_connection() {
        for garbage in [
            "SSH-2.0-OpenSSH\n",
            "\n",
            "[]\n",
            "{}\n",
            "{\"event\": 7}\n",
            "{\"id\": 2}\n",
            "\u{fffd}\u{0}\n",
            "null\n",
        ] {
            let error = connect_to(garbage.as_bytes()).await.unwrap_err();
            assert!(matches!(error, QmpError::NoMessage(_)), "{garbage:?}: {error}");
            let mut qmp = connect_to(&lines(garbage)).await.unwrap();
            let error = qmp.execute("query-status", json!({})).await.unwrap_err();
            assert!(matches!(error, QmpError::NoMessage(_)), "{garbage:?}: {error}");
            assert!(!error.leaves_connection());
        }
    }

    #[tokio::test]
    async fn a_reply_without_fields_and_deep_nesting_are_no_panic() {
        let deep = format!("{}\n", "[".repeat(100_000));
        assert!(connect_to(deep.as_bytes()).await.is_err());
        let mut qmp = connect_to(&lines("{\"error\": 5, \"id\": 2}\n")).await.unwrap();
        let error = qmp.execute("x", json!({})).await.unwrap_err();
        assert_eq!(error.to_string(), "QEMU refuses x: without a reason");
    }

    #[tokio::test]
    async fn an_endless_line_ends_the_connection() {
        let mut endless = GREETING.as_bytes().to_vec();
        endless.resize(LONGEST_LINE * 2, b'x');
        assert!(matches!(connect_to(&endless).await, Err(QmpError::Broken(_))));
    }

    #[tokio::test]
    async fn more_events_than_there_is_room_for_drop_the_oldest() {
        let mut rest = "{\"event\": \"RESET\"}\n".to_owned();
        rest.push_str(&"{\"event\": \"STOP\"}\n".repeat(MOST_EVENTS));
        rest.push_str("{\"return\": {}, \"id\": 2}\n");
        let mut qmp = connect_to(&lines(&rest)).await.unwrap();
        qmp.execute("x", json!({})).await.unwrap();
        for _ in 0..MOST_EVENTS {
            assert_eq!(qmp.event().await.unwrap(), Event::RunState);
        }
        assert!(qmp.event().await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_that_says_nothing_is_given_up() {
        let (here, _there) = UnixStream::pair().unwrap();
        assert!(matches!(Qmp::over(here).await, Err(QmpError::NoGreeting)));
    }

    #[tokio::test]
    async fn nobody_at_the_socket_is_absence() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("qmp");
        assert!(Qmp::connect(&path).await.unwrap_err().is_absent());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(Qmp::connect(&path).await.unwrap_err().is_absent());
    }
}

//! `metrics --listen`: the metrics over HTTP/1.1 (RFC 9112), for Prometheus.
//!
//! A request is a head of at most [`HEAD`] bytes; each connection has one, and ends within [`LIMIT`]. No more than
//! [`CONNECTIONS`] are served at a time; more wait to be accepted.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time;

use crate::cli::Global;
use crate::counters;
use crate::error::Error;
use crate::output::{Cell, Report};

/// The most bytes of a request.
const HEAD: usize = 8192;
/// How long a connection may take, the reading of the metrics included.
const LIMIT: Duration = Duration::from_secs(10);
/// Connections at a time.
const CONNECTIONS: usize = 8;
/// After a failure to accept, such as for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// The media type of the text (exposition format 0.0.4).
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// Of which BMCs: those with a bus in a folder, or the one of the command line.
pub(crate) type Source = (Option<PathBuf>, Global);

/// Where the metrics are served, as JSON.
#[derive(Serialize)]
struct Listening {
    listening: String,
}

/// Serves the metrics until the program is ended.
pub(crate) async fn serve(
    address: SocketAddr,
    public: bool,
    source: Source,
) -> Result<Report, Error> {
    if !address.ip().to_canonical().is_loopback() && !public {
        let text = format!("{address} is not a loopback address: others could read the metrics");
        return Err(Error::usage(text).remedy("127.0.0.1:PORT or [::1]:PORT, or --public"));
    }
    let failed =
        |error: io::Error| Error::failed(format_args!("cannot listen at {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let listening = Listening { listening: format!("http://{address}/metrics") };
    let report = Report::new(&listening, |page| {
        page.line(Cell::from(format!("serving {}", listening.listening)));
    });
    report.write(source.1.output.json).map_err(Error::failed)?;
    let source = Arc::new(source);
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // Nobody closes it.
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            return Ok(Report::nothing());
        };
        let Ok((stream, _)) = listener.accept().await else {
            time::sleep(PAUSE).await;
            continue;
        };
        let source = Arc::clone(&source);
        tokio::spawn(async move {
            // A client that is gone or slow gets nothing; it asks again.
            let _ended = time::timeout(LIMIT, connection(stream, &source)).await;
            drop(permit);
        });
    }
}

/// A response.
struct Response {
    status: &'static str,
    media_type: &'static str,
    body: String,
}

impl Response {
    fn text(status: &'static str, body: impl Into<String>) -> Self {
        Self { status, media_type: TEXT, body: body.into() + "\n" }
    }

    /// The whole message, without its body if the request was for the head alone.
    fn message(&self, head_only: bool) -> String {
        let Self { status, media_type, body } = self;
        let mut message = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n",
            body.len()
        );
        if status.starts_with("405") {
            message += "Allow: GET, HEAD\r\n";
        }
        let _ = write!(message, "Connection: close\r\n\r\n");
        if !head_only {
            message += body;
        }
        message
    }
}

async fn connection(mut stream: TcpStream, source: &Source) -> io::Result<()> {
    let (response, head_only) = match head(&mut stream).await? {
        None => (Response::text("431 Request Header Fields Too Large", "too long"), false),
        Some(head) => match request(&head) {
            Ok(method) => (metrics(source).await, method == Method::Head),
            Err(refusal) => (refusal, false),
        },
    };
    stream.write_all(response.message(head_only).as_bytes()).await?;
    stream.shutdown().await?;
    // A reset in answer to what is still to be read would take the response with it.
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// The head of a request, up to its empty line; `None` if it is too long.
async fn head(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if head.windows(4).any(|end| end == b"\r\n\r\n") {
            return Ok(Some(head));
        }
        if head.len() >= HEAD {
            return Ok(None);
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Method {
    Get,
    Head,
}

/// What a request asks for, or why it is refused.
fn request(head: &[u8]) -> Result<Method, Response> {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let bad = || Response::text("400 Bad Request", "not a request of HTTP/1");
    let line = std::str::from_utf8(line).map_err(|_| bad())?;
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(bad());
    };
    if !version.starts_with("HTTP/1.") {
        return Err(bad());
    }
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        _ => return Err(Response::text("405 Method Not Allowed", "GET and HEAD alone")),
    };
    match target.split('?').next() {
        Some("/metrics") => Ok(method),
        _ => Err(Response::text("404 Not Found", "see /metrics")),
    }
}

/// The metrics as they are now, on a connection to the bus of their own: the bus may have been restarted.
async fn metrics((each, global): &Source) -> Response {
    match counters::text(each.as_deref(), global).await {
        Ok(body) => Response { status: "200 OK", media_type: METRICS, body },
        Err(error) => Response::text("503 Service Unavailable", error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(head: &str) -> &'static str {
        request(head.as_bytes()).map_or_else(|refusal| refusal.status, |_| "200")
    }

    #[test]
    fn requests_for_the_metrics_are_served_and_others_refused() {
        for (line, expected) in [
            ("GET /metrics HTTP/1.1", "200"),
            ("GET /metrics HTTP/1.0", "200"),
            ("HEAD /metrics?x=y HTTP/1.1", "200"),
            ("GET / HTTP/1.1", "404 Not Found"),
            ("GET /metrics/../etc HTTP/1.1", "404 Not Found"),
            ("POST /metrics HTTP/1.1", "405 Method Not Allowed"),
            ("GET /metrics", "400 Bad Request"),
            ("GET /metrics HTTP/2", "400 Bad Request"),
            ("GET  /metrics HTTP/1.1", "400 Bad Request"),
            ("", "400 Bad Request"),
            ("\u{7f}\u{0}", "400 Bad Request"),
        ] {
            assert_eq!(status(&format!("{line}\r\nHost: x\r\n\r\n")), expected, "{line:?}");
        }
        assert_eq!(request(b"\xff\xfe HTTP/1.1\r\n\r\n").unwrap_err().status, "400 Bad Request");
    }

    #[test]
    fn a_head_has_no_body_and_its_length() {
        let response = Response { status: "200 OK", media_type: METRICS, body: "x 1\n".to_owned() };
        let message = response.message(false);
        assert!(message.contains("Content-Length: 4\r\n") && message.ends_with("\r\n\r\nx 1\n"));
        assert!(response.message(true).ends_with("\r\n\r\n"));
    }
}

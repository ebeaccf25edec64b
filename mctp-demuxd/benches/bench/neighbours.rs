//! The median round trip of one client, alone and beside others that misbehave.

use std::io::Write;
use std::time::Instant;

use super::line::packets;
use super::subject::{Client, Subject};

/// Pairs of rounds, alone and not.
const PAIRS: usize = 9;

/// Round trips in a round: fewer than would have a client disconnected that never reads.
const TRIPS: usize = 400;

/// The measured client's message type.
const KIND: u8 = 0x20;

/// The type of a client that never reads.
const SILENT: u8 = 0x22;

/// What makes one bad neighbour.
type Start = fn(&Subject) -> Client;

/// Writes a row for each way to be a bad neighbour.
pub(crate) fn table(out: &mut impl Write) {
    let head = "beside one that                          alone us  beside us  ratio";
    writeln!(out, "{head}").unwrap();
    let rows: [(&str, Start); 5] = [
        ("never reads what comes", |s| s.client(SILENT)),
        ("floods the line with requests", |s| s.flooder(9, 0x21)),
        ("floods the line with datagrams", |s| s.flooder(9, 1)),
        ("floods a line that stalls", |s| s.flooder(100, 1)),
        ("floods another line", |s| s.flooder(201, 1)),
    ];
    for (name, start) in rows {
        let mut pairs: Vec<(f64, f64)> = (0..PAIRS).map(|_| pair(start)).collect();
        pairs.sort_by(|(a, b), (c, d)| (b / a).total_cmp(&(d / c)));
        let (alone, beside) = pairs[PAIRS / 2];
        let ratio = beside / alone;
        writeln!(out, "{name:<40} {alone:>8.1} {beside:>10.1} {ratio:>6.2}").unwrap();
    }
}

/// The median without the neighbour and with it.
fn pair(start: Start) -> (f64, f64) {
    let mut subject = Subject::with_three_lines();
    let client = subject.client(KIND);
    round_trips(&mut subject, &client);
    let alone = round_trips(&mut subject, &client);
    let _neighbour = start(&subject);
    round_trips(&mut subject, &client);
    (alone, round_trips(&mut subject, &client))
}

/// The far end answers each request, and sends requests to the client that is [`SILENT`].
fn round_trips(subject: &mut Subject, client: &Client) -> f64 {
    let request = [&[9, KIND][..], &[0x41; 30]].concat();
    let unread = packets(8, 9, 0x08, &[SILENT, 1, 2, 3]);
    let mut times: Vec<_> = (0..TRIPS)
        .map(|_| {
            let start = Instant::now();
            client.send(&request);
            subject.line.answer_requests_until(client);
            client.receive();
            let took = start.elapsed();
            subject.line.write(&unread);
            took
        })
        .collect();
    times.sort_unstable();
    times[TRIPS / 2].as_secs_f64() * 1e6
}

//! Messages per second, latency and CPU time per message, and what bad neighbours cost.
//!
//! `cargo bench -p mctp-demuxd`; with `LIBMCTP_DEMUX_DAEMON` naming libmctp's `mctp-demux-daemon`,
//! that one is measured in the same run, turn about. Ratios count, times depend on the machine. With
//! the argument `neighbours` the last table alone is made.

mod bench {
    pub(crate) mod line;
    pub(crate) mod subject;
}

use std::io::Write;
use std::time::{Duration, Instant};

use bench::line::packets;
use bench::subject::{Client, Subject};

const SIZES: [usize; 4] = [16, 64, 1024, 4096];

/// Messages under way at a time; libmctp's daemon drops a client that has much more waiting.
const WINDOW: usize = 16;

/// One line of the table.
struct Row {
    rate: f64,
    cpu: f64,
    median: f64,
    high: f64,
}

fn main() {
    // `cargo test --benches` passes this to make sure that benches still build and start.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let mut out = std::io::stdout();
    if std::env::args().any(|arg| arg == "neighbours") {
        return neighbours(&mut out);
    }
    let mut subjects = vec!["mctp-demuxd"];
    if Subject::libmctp().is_some() {
        subjects.push("libmctp");
    }
    let head = "daemon       direction  bytes clients     msg/s  CPU us/msg   p50 us   p99 us";
    writeln!(out, "{head}").unwrap();
    for clients in [1, 16] {
        for size in SIZES {
            for direction in ["to line", "from line"] {
                for subject in &subjects {
                    let row = best(subject, direction, size, clients);
                    writeln!(
                        out,
                        "{subject:<12} {direction:<10} {size:>5} {clients:>7} {:>9.0} {:>11.2} {:>8.1} {:>8.1}",
                        row.rate, row.cpu, row.median, row.high
                    )
                    .unwrap();
                }
            }
        }
    }
    let subject = Subject::start("mctp-demuxd");
    writeln!(out, "memory: {} kB Pss", subject.pss()).unwrap();
    neighbours(&mut out);
}

/// The best of three, which other load on the machine disturbs least.
fn best(subject: &str, direction: &str, size: usize, clients: usize) -> Row {
    let rows = (0..3).map(|_| {
        let mut subject = Subject::start(subject);
        match direction {
            "to line" => to_line(&mut subject, size, clients),
            _ => from_line(&mut subject, size, clients),
        }
    });
    rows.min_by(|a, b| a.cpu.total_cmp(&b.cpu)).unwrap()
}

fn messages_for(size: usize) -> usize {
    (4_000_000 / (size + 200)).min(10_000)
}

/// PLDM messages that want no answer, so that no tags limit the rate.
fn to_line(subject: &mut Subject, size: usize, count: usize) -> Row {
    let clients: Vec<Client> = (0..count).map(|_| subject.client(1)).collect();
    std::thread::sleep(Duration::from_millis(50));
    let mut message = vec![0x20; size + 1];
    message[..5].copy_from_slice(&[9, 1, 0xc0, 2, 0x0a]);
    let total = messages_for(size);
    let mut latencies = Vec::with_capacity(total);
    let (cpu, start) = (subject.cpu(), Instant::now());
    let mut sent = std::collections::VecDeque::new();
    let (mut given, mut seen) = (0, 0);
    while seen < total {
        while given < total && given - seen < WINDOW {
            sent.push_back(Instant::now());
            clients[given % count].send(&message);
            given += 1;
        }
        for _ in 0..subject.line.messages_ended() {
            latencies.push(sent.pop_front().unwrap().elapsed());
            seen += 1;
        }
    }
    row(subject, total, cpu, start, latencies)
}

/// Each client has a type of its own, and gets each message of its type.
fn from_line(subject: &mut Subject, size: usize, count: usize) -> Row {
    let kinds: Vec<u8> = (0..count)
        .map(|n| u8::try_from(0x20 + n).unwrap())
        .collect();
    let clients: Vec<Client> = kinds.iter().map(|kind| subject.client(*kind)).collect();
    std::thread::sleep(Duration::from_millis(50));
    let frames: Vec<Vec<u8>> = kinds
        .iter()
        .map(|kind| {
            let mut message = vec![0x20; size];
            message[0] = *kind;
            packets(8, 9, 0x08, &message)
        })
        .collect();
    let total = messages_for(size);
    let mut latencies = Vec::with_capacity(total);
    let (cpu, start) = (subject.cpu(), Instant::now());
    let mut sent = std::collections::VecDeque::new();
    let (mut given, mut seen) = (0, 0);
    while seen < total {
        while given < total && given - seen < window_of(size) {
            sent.push_back(Instant::now());
            subject.line.write(&frames[given % count]);
            given += 1;
        }
        clients[seen % count].receive();
        latencies.push(sent.pop_front().unwrap().elapsed());
        seen += 1;
    }
    row(subject, total, cpu, start, latencies)
}

/// What a pty holds at most, with some to spare.
fn window_of(size: usize) -> usize {
    (3000 / (size + 20)).clamp(1, WINDOW)
}

fn row(
    subject: &Subject,
    total: usize,
    cpu: Duration,
    start: Instant,
    mut latencies: Vec<Duration>,
) -> Row {
    let (cpu, took) = (subject.cpu() - cpu, start.elapsed());
    latencies.sort_unstable();
    let at = |share: usize| latencies[(latencies.len() - 1) * share / 100].as_secs_f64() * 1e6;
    Row {
        rate: total as f64 / took.as_secs_f64(),
        cpu: cpu.as_secs_f64() * 1e6 / total as f64,
        median: at(50),
        high: at(99),
    }
}

/// The median round trip of one client, alone and beside others that misbehave.
fn neighbours(out: &mut impl Write) {
    let mut alone = Vec::new();
    for (name, run) in [
        ("alone", (|_| Vec::new()) as fn(&Subject) -> Vec<Client>),
        ("one never reads", |subject| vec![subject.client(0x20)]),
        ("one floods with requests", |subject| {
            vec![subject.flooder(9, 0x21)]
        }),
        ("one floods a stalled line", |subject| {
            vec![subject.flooder(100, 1)]
        }),
        ("one floods another line", |subject| {
            vec![subject.flooder(201, 1)]
        }),
    ] {
        let median = {
            let mut subject = Subject::with_three_lines();
            let others = run(&subject);
            std::thread::sleep(Duration::from_millis(300));
            let median = round_trips(&mut subject);
            drop(others);
            median
        };
        alone.push(median);
        writeln!(
            out,
            "{name:<26} median {:>7.1} us, {:.2} x",
            median,
            median / alone[0]
        )
        .unwrap();
    }
}

fn round_trips(subject: &mut Subject) -> f64 {
    let client = subject.client(0x20);
    std::thread::sleep(Duration::from_millis(50));
    let request = [&[9, 0x20][..], &[0x41; 30]].concat();
    let mut times: Vec<Duration> = (0..2000)
        .map(|_| {
            let start = Instant::now();
            client.send(&request);
            subject.line.answer_requests_until(&client);
            client.receive();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

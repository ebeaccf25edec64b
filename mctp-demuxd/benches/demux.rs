//! Messages per second, latency and CPU time per message, and what bad neighbours cost.
//!
//! `cargo bench -p mctp-demuxd`; with `LIBMCTP_DEMUX_DAEMON` naming libmctp's `mctp-demux-daemon`,
//! both are measured turn about, in short rounds, and each row tells the ratio of their CPU times:
//! the median over the pairs of rounds. Ratios count, times depend on the machine. With the argument
//! `neighbours` the last table alone is made.

mod bench {
    pub(crate) mod line;
    pub(crate) mod neighbours;
    pub(crate) mod subject;
}

use std::io::Write;
use std::time::{Duration, Instant};

use bench::line::packets;
use bench::subject::{Client, Subject};

const SIZES: [usize; 4] = [16, 64, 1024, 4096];

/// Messages under way at a time; libmctp's daemon drops a client that has much more waiting.
const WINDOW: usize = 16;

/// Rounds of each daemon.
const ROUNDS: usize = 15;

/// What one round came to.
#[derive(Clone, Copy)]
struct Round {
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
    if !std::env::args().any(|arg| arg == "neighbours") {
        throughput(&mut out);
    }
    bench::neighbours::table(&mut out);
}

fn throughput(out: &mut impl Write) {
    let mut names = vec!["mctp-demuxd"];
    if Subject::libmctp().is_some() {
        names.push("libmctp");
    }
    let head =
        "direction  bytes clients  daemon           msg/s   p50 us   p99 us  CPU us/msg  ratio";
    writeln!(out, "{head}").unwrap();
    for direction in [Direction::ToLine, Direction::FromLine] {
        for clients in [1, 16] {
            for size in SIZES {
                let mut sides: Vec<Side> =
                    names.iter().map(|name| Side::start(name, direction, size, clients)).collect();
                for _ in 0..ROUNDS {
                    for side in &mut sides {
                        side.run();
                    }
                }
                let base = sides.last().map(|side| side.rounds.clone()).unwrap();
                for (name, side) in names.iter().zip(&sides) {
                    let pairs = side.rounds.iter().zip(&base);
                    let ratio = median(pairs.map(|(own, base)| own.cpu / base.cpu));
                    let of = |what: fn(&Round) -> f64| median(side.rounds.iter().map(what));
                    writeln!(
                        out,
                        "{:<10} {size:>5} {clients:>7}  {name:<11} {:>10.0} {:>8.1} {:>8.1} {:>11.2} {ratio:>6.2}",
                        direction.name(),
                        of(|round| round.rate),
                        of(|round| round.median),
                        of(|round| round.high),
                        of(|round| round.cpu),
                    )
                    .unwrap();
                }
            }
        }
    }
    let subject = Subject::start("mctp-demuxd");
    writeln!(out, "memory: {} kB Pss", subject.pss()).unwrap();
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Direction {
    ToLine,
    FromLine,
}

impl Direction {
    const fn name(self) -> &'static str {
        match self {
            Self::ToLine => "to line",
            Self::FromLine => "from line",
        }
    }

    /// Messages under way at a time: a pty holds no more of those from the line.
    fn window(self, size: usize) -> usize {
        match self {
            Self::ToLine => WINDOW,
            Self::FromLine => (3000 / (size + 20)).clamp(1, WINDOW),
        }
    }
}

/// One daemon with its clients, and the messages for each of them.
struct Side {
    subject: Subject,
    clients: Vec<Client>,
    direction: Direction,
    size: usize,
    messages: Vec<Vec<u8>>,
    rounds: Vec<Round>,
}

impl Side {
    /// To the line go PLDM messages that want no answer, so that no tags limit the rate. From it
    /// each client gets messages of a type of its own.
    fn start(name: &str, direction: Direction, size: usize, clients: usize) -> Self {
        let subject = Subject::start(name);
        let first_kind = 0x20;
        let kinds = (0..clients).map(|n| match direction {
            Direction::ToLine => 1,
            Direction::FromLine => first_kind + u8::try_from(n).unwrap(),
        });
        let (clients, messages) = kinds
            .map(|kind| {
                let mut message = vec![0x20; size];
                let message = match direction {
                    Direction::ToLine => {
                        message[..4].copy_from_slice(&[1, 0xc0, 2, 0x0a]);
                        [&[9], &message[..]].concat()
                    }
                    Direction::FromLine => {
                        message[0] = kind;
                        packets(8, 9, 0x08, &message)
                    }
                };
                (subject.client(kind), message)
            })
            .unzip();
        // Registration is not acknowledged.
        std::thread::sleep(Duration::from_millis(50));
        let mut side = Self { subject, clients, direction, size, messages, rounds: Vec::new() };
        // The first messages find cold caches and short buffers.
        side.run();
        side.rounds.clear();
        side
    }

    fn run(&mut self) {
        let total = (4_000_000 / (self.size + 200)).min(10_000);
        let window = self.direction.window(self.size);
        let mut latencies = Vec::with_capacity(total);
        let (cpu, start) = (self.subject.cpu(), Instant::now());
        let mut sent = std::collections::VecDeque::new();
        let (mut given, mut seen) = (0, 0);
        while seen < total {
            while given < total && given - seen < window {
                sent.push_back(Instant::now());
                self.give(given);
                given += 1;
            }
            for _ in 0..self.take(seen) {
                latencies.push(sent.pop_front().unwrap().elapsed());
                seen += 1;
            }
        }
        let (cpu, took) = (self.subject.cpu() - cpu, start.elapsed());
        latencies.sort_unstable();
        let at = |share: usize| latencies[(latencies.len() - 1) * share / 100].as_secs_f64() * 1e6;
        self.rounds.push(Round {
            rate: total as f64 / took.as_secs_f64(),
            cpu: cpu.as_secs_f64() * 1e6 / total as f64,
            median: at(50),
            high: at(99),
        });
    }

    /// Puts in message number `number`.
    fn give(&mut self, number: usize) {
        let turn = number % self.clients.len();
        match self.direction {
            Direction::ToLine => self.clients[turn].send(&self.messages[turn]),
            Direction::FromLine => self.subject.line.write(&self.messages[turn]),
        }
    }

    /// Waits for some message to come out, of which the first is number `number`.
    fn take(&mut self, number: usize) -> usize {
        match self.direction {
            Direction::ToLine => self.subject.line.messages_ended(),
            Direction::FromLine => {
                self.clients[number % self.clients.len()].receive();
                1
            }
        }
    }
}

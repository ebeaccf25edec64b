//! Two ends over a network that loses, doubles and reorders: what arrives is what was sent.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use super::testing::origin;
use super::{Console, ConsoleEvent, Event, Instance, Parameters, Ring, Role};

const SEEDS: u64 = 10_000;

/// Random numbers of a run, which its seed determines.
struct Random(fastrand::Rng);

impl Random {
    fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0.u64(..limit)
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn text(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.0.u8(..)).collect()
    }
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum End {
    Bmc,
    Console,
}

/// Time of arrival, a unique number, the receiver, the bytes.
type Datagram = (Instant, u64, End, Vec<u8>);

/// Datagrams on their way. One takes 5 to 10 ms, a late one up to 60 ms more: less than the eleven
/// round trips after which a number could be mistaken for a newer one.
struct Network {
    random: Random,
    loss: u64,
    doubled: u64,
    late: u64,
    flying: BinaryHeap<Reverse<Datagram>>,
    sent: u64,
}

impl Network {
    fn new(mut random: Random) -> Self {
        let (loss, doubled, late) = (random.below(31), random.below(31), random.below(31));
        Self { random, loss, doubled, late, flying: BinaryHeap::new(), sent: 0 }
    }

    fn send(&mut self, now: Instant, to: End, bytes: &[u8]) {
        let copies = 1 + u64::from(self.random.percent(self.doubled));
        for _ in 0..copies {
            if self.random.percent(self.loss) {
                continue;
            }
            let late = if self.random.percent(self.late) { self.random.below(60_000) } else { 0 };
            let delay = Duration::from_micros(5_000 + self.random.below(5_000) + late);
            self.sent += 1;
            self.flying.push(Reverse((now + delay, self.sent, to, bytes.to_vec())));
        }
    }

    fn next_time(&self) -> Option<Instant> {
        self.flying.peek().map(|Reverse((time, ..))| *time)
    }

    fn arrived(&mut self, now: Instant) -> Option<(End, Vec<u8>)> {
        if self.next_time().is_none_or(|time| time > now) {
            return None;
        }
        let Reverse((_, _, end, bytes)) = self.flying.pop()?;
        Some((end, bytes))
    }
}

/// One console, one writer's instance, and what passed between them.
struct World {
    now: Instant,
    network: Network,
    ring: Ring,
    instance: Instance,
    console: Console,
    parameters: Parameters,
    /// Output of the host not yet in the ring, and what the console has of it.
    output: Vec<u8>,
    output_done: usize,
    displayed: Vec<u8>,
    overruns: usize,
    /// Characters and breaks (`None`) typed, and what the source took.
    typed: Vec<Option<u8>>,
    typed_done: usize,
    taken: Vec<Option<u8>>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let retry_interval = u8::try_from(1 + random.below(10)).unwrap();
        let threshold = u8::try_from(random.below(64)).unwrap();
        let accumulate = u8::try_from(random.below(20)).unwrap();
        let payload = usize::try_from(5 + random.below(60)).unwrap();
        let parameters = Parameters::from_wire(accumulate, threshold, 7, retry_interval)
            .with_max_payload(payload);
        let output_len = usize::try_from(random.below(1500)).unwrap();
        let typed_len = usize::try_from(random.below(300)).unwrap();
        let output = random.text(output_len);
        let typed = random
            .text(typed_len)
            .into_iter()
            .map(|byte| if random.percent(5) { None } else { Some(byte) })
            .collect();
        Self {
            now: origin(),
            network: Network::new(random),
            ring: Ring::new(256),
            instance: Instance::new(Role::Writer, parameters, 0, false),
            console: Console::new(&parameters),
            parameters,
            output,
            output_done: 0,
            displayed: Vec::new(),
            overruns: 0,
            typed,
            typed_done: 0,
            taken: Vec::new(),
        }
    }

    fn done(&self) -> bool {
        self.displayed.len() == self.output.len() && self.taken.len() == self.typed.len()
    }

    /// The host writes, the user types, both in bursts and no more than there is room for.
    fn produce(&mut self) {
        let burst = usize::try_from(self.network.random.below(80)).unwrap();
        let room = self.ring.room(self.instance.position()).min(burst);
        let end = (self.output_done + room).min(self.output.len());
        self.ring.write(&self.output[self.output_done..end]);
        self.output_done = end;
        for _ in 0..self.network.random.below(6) {
            match self.typed.get(self.typed_done) {
                Some(Some(byte)) => self.typed_done += self.console.type_chars(&[*byte]),
                Some(None) => self.typed_done += usize::from(self.console.type_break()),
                None => break,
            }
        }
    }

    /// The source takes some of the input; the user reads some of the output.
    fn consume(&mut self) {
        for _ in 0..self.network.random.below(20) {
            if self.instance.take_break() {
                self.taken.push(None);
            } else if let Some(&byte) = self.instance.chars().first() {
                self.instance.consume(1);
                self.taken.push(Some(byte));
            }
        }
        let room = self.network.random.below(100);
        self.console.set_room(usize::try_from(room).unwrap());
    }

    fn drain(&mut self) {
        while let Some(bytes) = self.instance.poll_transmit(self.now, &self.ring) {
            assert!(bytes.len() <= self.parameters.max_chars + 4);
            self.network.send(self.now, End::Console, &bytes);
        }
        while let Some(event) = self.instance.poll_event() {
            assert_eq!(event, Event::Unanswered);
        }
        while let Some(bytes) = self.console.poll_transmit(self.now) {
            self.network.send(self.now, End::Bmc, &bytes);
        }
        while let Some(event) = self.console.poll_event() {
            match event {
                ConsoleEvent::Chars(chars) => self.displayed.extend(chars),
                ConsoleEvent::Overrun => self.overruns += 1,
                ConsoleEvent::Unanswered | ConsoleEvent::Refused => {}
                event => panic!("{event:?}"),
            }
        }
    }

    fn step(&mut self) {
        self.drain();
        let tick = self.now + Duration::from_millis(self.network.random.below(40));
        let timers = [
            self.network.next_time(),
            self.instance.poll_timeout(&self.ring),
            self.console.poll_timeout(),
        ];
        let next = timers.into_iter().flatten().fold(tick, Instant::min);
        self.now = next.max(self.now);
        while let Some((end, bytes)) = self.network.arrived(self.now) {
            match end {
                End::Bmc => self.instance.handle_packet(self.now, &bytes).unwrap(),
                End::Console => self.console.handle_packet(self.now, &bytes).unwrap(),
            }
            self.drain();
        }
        self.instance.handle_timeout(self.now);
        self.console.handle_timeout(self.now);
        if next == tick {
            self.produce();
            self.consume();
        }
    }

    fn run(mut self, seed: u64) -> Duration {
        let start = self.now;
        while !self.done() {
            self.step();
            assert!(self.now - start < Duration::from_secs(3600), "seed {seed}: stuck");
            assert_eq!(
                self.displayed,
                self.output[..self.displayed.len().min(self.output.len())],
                "seed {seed}: output"
            );
        }
        assert_eq!(self.taken, self.typed, "seed {seed}: input");
        assert_eq!(self.overruns, 0, "seed {seed}: an overrun that was none");
        self.now - start
    }
}

/// Runs the seeds of one of [`PARTS`] tests, which a slow machine runs beside each other.
fn both_streams_arrive_whole_over_any_network(part: u64) {
    for seed in (part..SEEDS).step_by(PARTS) {
        World::new(seed).run(seed);
    }
}

macro_rules! parts {
    ($($name:ident = $part:literal,)*) => {
        /// How many tests share the seeds.
        const PARTS: usize = [$($part),*].len();

        $(#[test]
        fn $name() {
            both_streams_arrive_whole_over_any_network($part);
        })*
    };
}

parts! {
    both_streams_arrive_whole_over_any_network_0 = 0,
    both_streams_arrive_whole_over_any_network_1 = 1,
    both_streams_arrive_whole_over_any_network_2 = 2,
    both_streams_arrive_whole_over_any_network_3 = 3,
    both_streams_arrive_whole_over_any_network_4 = 4,
    both_streams_arrive_whole_over_any_network_5 = 5,
    both_streams_arrive_whole_over_any_network_6 = 6,
    both_streams_arrive_whole_over_any_network_7 = 7,
}

/// A viewer's characters are the writer's, but for gaps that are marked.
#[test]
fn a_viewer_misses_nothing_without_a_mark() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        let mut ring = Ring::new(200);
        let mut viewer = Instance::new(Role::Viewer, world.parameters, 0, false);
        let text: Vec<u8> = (0..2000_u32).map(|at| (at % 251).to_le_bytes()[0]).collect();
        let mut shown: Vec<Option<u8>> = Vec::new();
        let mut rest = &text[..];
        while ring.available(viewer.position()) > 0 || !rest.is_empty() {
            let burst = usize::try_from(world.network.random.below(50)).unwrap().min(rest.len());
            let (now, later) = rest.split_at(burst);
            ring.write(now);
            rest = later;
            world.now += Duration::from_millis(5);
            viewer.handle_timeout(world.now);
            world.console.handle_timeout(world.now);
            while let Some((end, bytes)) = world.network.arrived(world.now) {
                match end {
                    End::Bmc => viewer.handle_packet(world.now, &bytes).unwrap(),
                    End::Console => world.console.handle_packet(world.now, &bytes).unwrap(),
                }
            }
            while let Some(bytes) = viewer.poll_transmit(world.now, &ring) {
                world.network.send(world.now, End::Console, &bytes);
            }
            while let Some(bytes) = world.console.poll_transmit(world.now) {
                world.network.send(world.now, End::Bmc, &bytes);
            }
            while let Some(event) = world.console.poll_event() {
                match event {
                    ConsoleEvent::Chars(chars) => shown.extend(chars.into_iter().map(Some)),
                    ConsoleEvent::Overrun => shown.push(None),
                    _ => {}
                }
            }
        }
        check_marked(&shown, &text, seed);
    }
}

/// Without its marks, `shown` is a part of `text`, and it skips only at a mark. The text repeats
/// after 251 characters, more than fit into the ring.
fn check_marked(shown: &[Option<u8>], text: &[u8], seed: u64) {
    let mut at = 0;
    let mut may_skip = false;
    for item in shown {
        let Some(byte) = item else {
            may_skip = true;
            continue;
        };
        if may_skip {
            let skipped = text[at..].iter().position(|next| next == byte);
            at += skipped.unwrap_or_else(|| panic!("seed {seed}: not in the text"));
        }
        assert_eq!(text.get(at), Some(byte), "seed {seed}: unmarked gap at {at}");
        at += 1;
        may_skip = false;
    }
}

use std::collections::BTreeMap;

use ipmi_proto::Lun;

use super::*;

const STEP: Duration = Duration::from_millis(1);

fn request(command: u8, data: Vec<u8>) -> Request {
    Request { netfn: NetFn::APP, lun: Lun::BMC, command, data }
}

fn exchange() -> (Exchange, Instant) {
    (Exchange::new(Limits::default()), Instant::now())
}

fn ask(exchange: &mut Exchange, now: Instant, seq: u8) -> Execute {
    exchange.handle_request(now, seq, request(0x01, vec![seq]));
    exchange.poll_execute().unwrap()
}

fn answer(execute: &Execute) -> Response {
    Response::to(&execute.request, CompletionCode::OK, execute.request.data.clone())
}

#[test]
fn request_is_answered_with_its_sequence() {
    let (mut exchange, now) = exchange();
    let execute = ask(&mut exchange, now, 7);
    assert_eq!(exchange.poll_timeout(), Some(now + Duration::from_secs(3)));
    exchange.handle_response(execute.token, answer(&execute));
    let reply = exchange.poll_transmit().unwrap();
    assert_eq!((reply.seq, reply.response), (7, answer(&execute)));
    assert_eq!(exchange.poll_transmit(), None);
    assert_eq!(exchange.poll_timeout(), None);
}

#[test]
fn silence_is_answered_c3_and_the_late_answer_is_dropped() {
    let (mut exchange, now) = exchange();
    let first = ask(&mut exchange, now, 1);
    exchange.handle_timeout(now + Duration::from_secs(3) - STEP);
    assert_eq!(exchange.poll_transmit(), None);
    exchange.handle_timeout(now + Duration::from_secs(3));
    let reply = exchange.poll_transmit().unwrap();
    assert_eq!((reply.seq, reply.response.completion), (1, CompletionCode::TIMEOUT));
    let second = ask(&mut exchange, now + Duration::from_secs(4), 2);
    exchange.handle_response(first.token, answer(&first));
    assert_eq!(exchange.poll_transmit(), None);
    exchange.handle_response(second.token, answer(&second));
    assert_eq!(exchange.poll_transmit().unwrap().response, answer(&second));
    let counters = exchange.counters();
    assert_eq!((counters.timed_out, counters.late, counters.answered), (1, 1, 2));
}

#[test]
fn reset_forgets_the_request_and_an_unsent_answer() {
    let (mut exchange, now) = exchange();
    let execute = ask(&mut exchange, now, 1);
    exchange.handle_reset();
    exchange.handle_response(execute.token, answer(&execute));
    assert_eq!(exchange.poll_transmit(), None);
    assert_eq!(exchange.poll_timeout(), None);

    let execute = ask(&mut exchange, now, 2);
    exchange.handle_response(execute.token, answer(&execute));
    exchange.handle_reset();
    assert_eq!(exchange.poll_transmit(), None);
    assert_eq!((exchange.counters().abandoned, exchange.running()), (1, 0));
}

#[test]
fn too_many_that_still_run_are_answered_busy() {
    let (mut exchange, now) = exchange();
    let stuck: Vec<_> = (0..8).map(|seq| ask(&mut exchange, now, seq)).collect();
    exchange.handle_request(now, 9, request(0x01, vec![]));
    assert_eq!(exchange.poll_execute(), None);
    let reply = exchange.poll_transmit().unwrap();
    assert_eq!((reply.seq, reply.response.completion), (9, CompletionCode::BUSY));
    exchange.handle_response(stuck[0].token, answer(&stuck[0]));
    assert_eq!(ask(&mut exchange, now, 10).request.data, [10]);
}

#[test]
fn request_overtaken_before_it_ran_does_not_run() {
    let (mut exchange, now) = exchange();
    exchange.handle_request(now, 1, request(0x01, vec![1]));
    exchange.handle_request(now, 2, request(0x01, vec![2]));
    assert_eq!(exchange.poll_execute().unwrap().request.data, [2]);
    assert_eq!(exchange.poll_execute(), None);
    assert_eq!(exchange.running(), 1);
}

#[test]
fn answer_longer_than_the_transport_is_ca() {
    let (mut exchange, now) = exchange();
    let execute = ask(&mut exchange, now, 1);
    let long = Response::to(&execute.request, CompletionCode::OK, vec![0; 251]);
    exchange.handle_response(execute.token, long);
    let reply = exchange.poll_transmit().unwrap();
    assert_eq!(reply.response.completion, CompletionCode::CANNOT_RETURN_BYTES);
}

#[test]
fn header_of_the_answer_is_the_requests() {
    let (mut exchange, now) = exchange();
    let execute = ask(&mut exchange, now, 1);
    let other = Response::to(&request(0x77, vec![]), CompletionCode::OK, vec![]);
    exchange.handle_response(execute.token, other);
    assert_eq!(exchange.poll_transmit().unwrap().response.command, 0x01);
}

#[test]
fn interrupt_follows_global_enables_that_succeeded() {
    for (enables, completion, interrupt) in [
        (0x0d, CompletionCode::OK, Some(true)),
        (0x08, CompletionCode::OK, Some(false)),
        (0x0d, CompletionCode::INVALID_DATA_FIELD, None),
    ] {
        let (mut exchange, now) = exchange();
        exchange.handle_request(now, 1, request(0x2e, vec![enables]));
        let execute = exchange.poll_execute().unwrap();
        exchange.handle_response(execute.token, Response::failure(&execute.request, completion));
        assert_eq!(exchange.poll_transmit().unwrap().interrupt, interrupt);
    }
}

/// A small generator, so that a run can be repeated from its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Host, `ipmid` and clock around one exchange; each request bears a number of its own.
struct World {
    exchange: Exchange,
    start: Instant,
    now: Duration,
    dice: Dice,
    sent: u32,
    /// The request the host waits for: its sequence, its number, when it was sent.
    waiting: Option<(u8, u32, Duration)>,
    /// What runs in `ipmid`, by the time at which it answers.
    running: BTreeMap<(Duration, Token), Execute>,
    answered: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            exchange: Exchange::new(Limits::default()),
            start: Instant::now(),
            now: Duration::ZERO,
            dice: Dice(seed),
            sent: 0,
            waiting: None,
            running: BTreeMap::new(),
            answered: 0,
        }
    }

    fn host_asks(&mut self) {
        self.sent += 1;
        let seq = self.sent.to_le_bytes()[0];
        let request = request(0x01, self.sent.to_le_bytes().to_vec());
        self.waiting = Some((seq, self.sent, self.now));
        self.exchange.handle_request(self.start + self.now, seq, request);
    }

    /// Most answers are quick; many are within 2 ms of the deadline; some never come in time.
    fn delay(&mut self) -> Duration {
        match self.dice.roll(10) {
            0..4 => Duration::from_millis(self.dice.roll(3)),
            4..8 => Duration::from_millis(2998 + self.dice.roll(5)),
            _ => Duration::from_millis(self.dice.roll(20_000)),
        }
    }

    fn drain(&mut self) {
        while let Some(execute) = self.exchange.poll_execute() {
            let due = self.now + self.delay();
            self.running.insert((due, execute.token), execute);
        }
        while let Some(reply) = self.exchange.poll_transmit() {
            let (seq, number, since) = self.waiting.take().expect("a response without a request");
            assert_eq!(reply.seq, seq, "an answer with another request's sequence");
            assert!(self.now - since <= Duration::from_secs(3), "an answer after the deadline");
            match reply.response.completion {
                CompletionCode::OK => assert_eq!(reply.response.data, number.to_le_bytes()),
                CompletionCode::TIMEOUT => assert_eq!(self.now - since, Duration::from_secs(3)),
                code => assert_eq!(code, CompletionCode::BUSY),
            }
            self.answered += 1;
        }
    }

    /// Moves the clock to the next thing that happens, and lets it happen.
    fn step(&mut self) {
        let deadline = self.exchange.poll_timeout().map(|at| at - self.start);
        let answer = self.running.first_key_value().map(|(&(due, _), _)| due);
        let host = match self.waiting {
            None => Some(self.now + Duration::from_millis(self.dice.roll(3))),
            // Now and then the host loses patience, is reset, or does both.
            Some(_) if self.dice.roll(16) == 0 => {
                Some(self.now + Duration::from_millis(self.dice.roll(4000)))
            }
            Some(_) => None,
        };
        let next = [deadline, answer, host].into_iter().flatten().min().expect("a next event");
        self.now = next.max(self.now);
        // Events at the same time come in either order.
        if self.dice.roll(2) == 0 {
            self.exchange.handle_timeout(self.start + self.now);
            self.drain();
        }
        if answer == Some(next) {
            let (_, execute) = self.running.pop_first().expect("an answer that is due");
            let response =
                Response::to(&execute.request, CompletionCode::OK, execute.request.data.clone());
            self.exchange.handle_response(execute.token, response);
        }
        self.drain();
        self.exchange.handle_timeout(self.start + self.now);
        self.drain();
        if host == Some(next) {
            if self.waiting.is_some() && self.dice.roll(2) == 0 {
                self.waiting = None;
                self.exchange.handle_reset();
            } else {
                self.host_asks();
            }
            self.drain();
        }
    }
}

#[test]
fn no_answer_goes_astray_in_a_million_cases() {
    let mut world = World::new(0x9e37_79b9_7f4a_7c15);
    while world.sent < 1_000_000 {
        world.step();
        assert!(world.exchange.running() <= Limits::default().running);
        assert_eq!(world.exchange.running(), world.running.len());
    }
    let counters = world.exchange.counters();
    assert_eq!(counters.requests, 1_000_000);
    let waiting = u64::from(world.waiting.is_some());
    assert!(counters.answered == world.answered);
    assert!(counters.answered + counters.abandoned + waiting >= counters.requests);
    // The mix is what it is meant to be: all outcomes are common.
    for count in [counters.timed_out, counters.late, counters.abandoned] {
        assert!(count > 10_000, "{counters:?}");
    }
}

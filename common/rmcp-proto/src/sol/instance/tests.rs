use std::time::Duration;

use hex_literal::hex;

use super::super::testing::origin;
use super::*;

const RING: usize = 4096;

/// An instance, what it reads from, and a clock.
struct BmcEnd {
    now: Instant,
    ring: Ring,
    instance: Instance,
}

impl BmcEnd {
    fn new(role: Role, parameters: Parameters) -> Self {
        let instance = Instance::new(role, parameters, 0, false);
        Self { now: origin(), ring: Ring::new(RING), instance }
    }

    fn writer() -> Self {
        Self::new(Role::Writer, Parameters::default())
    }

    fn pass(&mut self, milliseconds: u64) {
        self.now += Duration::from_millis(milliseconds);
        self.instance.handle_timeout(self.now);
    }

    fn packet(&mut self, bytes: &[u8]) {
        self.instance.handle_packet(self.now, bytes).unwrap();
    }

    fn sent(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.instance.poll_transmit(self.now, &self.ring)).collect()
    }

    fn output(&mut self, chars: &[u8]) -> Vec<Vec<u8>> {
        self.ring.write(chars);
        self.sent()
    }

    fn answers(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.packet(bytes);
        self.sent()
    }
}

fn one(bytes: &[u8]) -> Vec<Vec<u8>> {
    vec![bytes.to_vec()]
}

const NOTHING: Vec<Vec<u8>> = Vec::new();

#[test]
fn an_idle_line_sends_at_once() {
    let mut end = BmcEnd::new(Role::Writer, Parameters::from_wire(20, 100, 7, 100));
    assert_eq!(end.output(b"l"), one(&hex!("01 00 00 00 6c")));
    assert_eq!(end.answers(&hex!("00 01 01 00")), NOTHING);
    end.pass(500);
    assert_eq!(end.output(b"ogin"), one(&hex!("02 00 00 00 6f 67 69 6e")));
}

#[test]
fn a_busy_line_accumulates_until_the_interval_or_the_threshold() {
    let mut end = BmcEnd::new(Role::Writer, Parameters::from_wire(20, 4, 7, 100));
    assert_eq!(end.output(b"a").len(), 1);
    assert_eq!(end.answers(&hex!("00 01 01 00")), NOTHING);
    assert_eq!(end.output(b"b"), NOTHING);
    assert_eq!(end.instance.poll_timeout(&end.ring), Some(end.now + Duration::from_millis(100)));
    end.pass(99);
    assert_eq!(end.output(b"c"), NOTHING);
    end.pass(1);
    assert_eq!(end.sent(), one(&hex!("02 00 00 00 62 63")));
    assert_eq!(end.answers(&hex!("00 02 02 00")), NOTHING);
    assert_eq!(end.output(b"defg"), one(&hex!("03 00 00 00 64 65 66 67")));
}

#[test]
fn the_next_packet_goes_in_the_turn_of_the_acknowledgement() {
    let mut end = BmcEnd::new(Role::Writer, Parameters::from_wire(20, 100, 7, 100));
    assert_eq!(end.output(b"a").len(), 1);
    assert_eq!(end.output(b"bc"), NOTHING);
    assert_eq!(end.answers(&hex!("00 01 01 00")), one(&hex!("02 00 00 00 62 63")));
}

#[test]
fn an_echo_has_the_acknowledgement() {
    let mut end = BmcEnd::writer();
    end.packet(&hex!("01 00 00 00 61"));
    assert_eq!(end.instance.chars(), b"a");
    end.instance.consume(1);
    assert_eq!(end.output(b"a"), one(&hex!("01 01 01 00 61")));
}

#[test]
fn a_duplicate_is_acknowledged_again_and_not_taken_twice() {
    let mut end = BmcEnd::writer();
    for _ in 0..3 {
        assert_eq!(end.answers(&hex!("01 00 00 00 61 62")), one(&hex!("00 01 02 00")));
    }
    assert_eq!(end.instance.chars(), b"ab");
    assert_eq!(end.answers(&hex!("02 00 00 00 63")), one(&hex!("00 02 01 00")));
    assert_eq!(end.answers(&hex!("0e 00 00 00 7a")), NOTHING, "a late copy of an old packet");
    assert_eq!(end.instance.chars(), b"abc");
}

#[test]
fn the_tail_of_a_partly_accepted_packet_goes_under_a_new_number() {
    let mut end = BmcEnd::writer();
    assert_eq!(end.output(b"abcdef"), one(&hex!("01 00 00 00 61 62 63 64 65 66")));
    assert_eq!(end.answers(&hex!("00 01 02 00")), one(&hex!("02 00 00 00 63 64 65 66")));
    assert_eq!(end.answers(&hex!("00 01 02 00")), NOTHING, "an answer that came twice");
    assert_eq!(end.answers(&hex!("00 02 04 00")), NOTHING);
    assert_eq!(end.instance.position(), 6);
}

#[test]
fn a_refused_packet_is_sent_again_after_the_retry_interval() {
    let mut end = BmcEnd::writer();
    assert_eq!(end.output(b"ab").len(), 1);
    assert_eq!(end.answers(&hex!("00 01 00 40")), NOTHING);
    assert_eq!(end.instance.poll_timeout(&end.ring), Some(end.now + Duration::from_secs(1)));
    end.pass(1000);
    assert_eq!(end.sent(), one(&hex!("02 00 00 00 61 62")));
}

#[test]
fn a_lost_packet_is_retried_with_its_number_and_never_dropped() {
    let mut end = BmcEnd::new(Role::Writer, Parameters::from_wire(20, 1, 3, 10));
    let first = end.output(b"ab");
    end.ring.write(b"more");
    for _ in 0..3 {
        end.pass(100);
        assert_eq!(end.sent(), first);
        assert_eq!(end.instance.poll_event(), None);
    }
    end.pass(100);
    assert_eq!(end.sent(), first);
    assert_eq!(end.instance.poll_event(), Some(Event::Unanswered));
    for _ in 0..5 {
        end.pass(249);
        assert_eq!(end.sent(), NOTHING);
        end.pass(1);
        assert_eq!(end.sent(), first);
        assert_eq!(end.instance.poll_event(), None);
    }
    let again = end.answers(&hex!("01 00 00 00 78"));
    assert_eq!(again, one(&hex!("01 01 01 00 61 62")), "heard again, so sent at once");
    assert_eq!(end.answers(&hex!("00 01 02 00")), one(&hex!("02 00 00 00 6d 6f 72 65")));
}

#[test]
fn a_console_silent_for_five_seconds_beyond_its_retries_is_gone() {
    let mut end = BmcEnd::new(Role::Writer, Parameters::from_wire(20, 1, 3, 10));
    end.output(b"ab");
    let mut events = Vec::new();
    for _ in 0..200 {
        end.pass(25);
        end.sent();
        events.extend(std::iter::from_fn(|| end.instance.poll_event()));
    }
    assert_eq!(events, [Event::Unanswered]);
    end.pass(150);
    assert_eq!(end.instance.poll_event(), Some(Event::Gone));
    let back = end.answers(&hex!("00 01 02 00"));
    assert_eq!(back, NOTHING, "what it had is acknowledged all the same");
    assert_eq!(end.instance.position(), 2);
}

#[test]
fn a_break_stays_between_the_same_characters_and_comes_once() {
    let mut end = BmcEnd::writer();
    assert_eq!(end.answers(&hex!("01 00 00 00 61")), one(&hex!("00 01 01 00")));
    for _ in 0..2 {
        assert_eq!(end.answers(&hex!("02 00 00 10 62")), one(&hex!("00 02 01 00")));
    }
    assert!(!end.instance.take_break());
    end.instance.consume(1);
    assert!(end.instance.take_break());
    assert!(!end.instance.take_break());
    assert_eq!(end.instance.chars(), b"b");
}

#[test]
fn input_that_finds_no_room_is_accepted_in_part_and_then_refused() {
    let mut end = BmcEnd::writer();
    let mut full = vec![1, 0, 0, 0];
    full.resize(4 + 600, b'x');
    assert_eq!(end.answers(&full), one(&hex!("00 01 ff 00")), "255 is all that an answer can say");
    for seq in 2..5 {
        full[0] = seq;
        assert_eq!(end.answers(&full), vec![vec![0, seq, 255, 0]]);
    }
    full[0] = 5;
    assert_eq!(end.answers(&full), one(&hex!("00 05 04 00")));
    full[0] = 6;
    assert_eq!(end.answers(&full), one(&hex!("00 06 00 40")));
    assert_eq!(end.answers(&full), NOTHING, "refusals are paced");
    end.pass(250);
    assert_eq!(end.sent(), one(&hex!("00 06 00 40")));
    end.instance.consume(1000);
    full[0] = 7;
    assert_eq!(end.answers(&full), one(&hex!("00 07 ff 00")));
}

#[test]
fn a_viewer_reads_and_what_it_types_is_refused() {
    let mut end = BmcEnd::new(Role::Viewer, Parameters::default());
    assert_eq!(end.output(b"a"), one(&hex!("01 00 00 00 61")));
    assert_eq!(end.answers(&hex!("01 01 01 00 7a")), one(&hex!("00 01 00 40")));
    assert_eq!(end.instance.chars(), b"");
    end.pass(1000);
    assert_eq!(end.answers(&hex!("02 00 00 1f")), one(&hex!("00 02 00 40")), "a break");
    assert!(!end.instance.take_break());
    assert_eq!(end.instance.poll_event(), None, "lines are the writer's");
    assert_eq!(end.answers(&hex!("03 00 00 00")), one(&hex!("00 03 00 00")), "kept alive");
}

#[test]
fn a_viewer_that_falls_behind_gets_an_overrun_mark() {
    let mut end = BmcEnd::new(Role::Viewer, Parameters::default());
    assert_eq!(end.output(b"first").len(), 1);
    assert_eq!(end.output(&[b'.'; RING]), NOTHING);
    let next = end.answers(&hex!("00 01 05 00"));
    assert_eq!(next[0][..4], hex!("02 00 00 00"), "nothing is missing yet");
    end.ring.write(&[b','; RING]);
    let after = end.answers(&hex!("00 02 fb 00"));
    assert_eq!(after[0][..5], hex!("03 00 00 08 2c"));
    assert_eq!(end.answers(&hex!("00 03 00 40")), NOTHING);
    end.pass(1000);
    assert_eq!(end.sent()[0][..5], hex!("04 00 00 08 2c"), "reported until it is accepted");
    assert_eq!(end.answers(&hex!("00 04 fb 00"))[0][..4], hex!("05 00 00 00"));
    let counts = end.instance.take_counts();
    assert_eq!((counts.to_console, counts.overruns, counts.retries), (5 + 2 * 0xfb, 2, 0));
    assert_eq!(end.instance.take_counts(), Counts::default());
}

#[test]
fn a_loss_that_the_source_reports_is_marked_where_it_was() {
    let mut end = BmcEnd::writer();
    end.ring.write(b"ab");
    end.ring.mark_loss();
    end.ring.write(b"cd");
    assert_eq!(end.sent(), one(&hex!("01 00 00 00 61 62")));
    assert_eq!(end.answers(&hex!("00 01 02 00")), one(&hex!("02 00 00 08 63 64")));
}

#[test]
fn a_host_console_that_goes_away_and_comes_back_is_reported() {
    let mut end = BmcEnd::writer();
    end.instance.set_available(true);
    assert_eq!(end.sent(), NOTHING);
    end.instance.set_available(false);
    end.instance.set_available(false);
    assert_eq!(end.sent(), one(&hex!("00 00 00 20")));
    assert_eq!(end.answers(&hex!("01 00 00 00 61")), one(&hex!("00 01 00 60")));
    end.instance.set_available(true);
    assert_eq!(end.sent(), one(&hex!("00 00 00 00")));
    assert_eq!(end.answers(&hex!("02 00 00 00 61")), one(&hex!("00 02 01 00")));
}

#[test]
fn lines_ring_and_flush_are_executed() {
    let mut end = BmcEnd::writer();
    end.packet(&hex!("01 00 00 00 61"));
    end.packet(&hex!("02 00 00 2e 62"));
    assert_eq!(end.instance.poll_event(), Some(Event::Ring));
    let lines = Lines { cts_hold: true, dcd_dsr_dropped: true };
    assert_eq!(end.instance.poll_event(), Some(Event::Lines(lines)));
    assert_eq!(end.instance.lines(), lines);
    assert_eq!(end.instance.chars(), b"b", "what came before is flushed");
    end.packet(&hex!("00 00 00 00"));
    assert_eq!(end.instance.poll_event(), Some(Event::Lines(Lines::default())));
    end.sent();
    end.output(b"out");
    end.ring.write(b"put");
    assert_eq!(end.answers(&hex!("03 00 00 01")), one(&hex!("00 03 00 00")));
    assert_eq!(end.instance.position(), 6);
    end.pass(5000);
    assert_eq!(end.sent(), NOTHING, "a flushed packet is not retried");
    assert_eq!(end.output(b"x"), one(&hex!("02 00 00 00 78")));
}

#[test]
fn a_break_from_the_host_is_reported_with_what_follows_it() {
    let mut end = BmcEnd::writer();
    end.instance.handle_break();
    assert_eq!(end.sent(), one(&hex!("01 00 00 04")));
    // FreeIPMI's way to acknowledge a packet without characters.
    assert_eq!(end.answers(&hex!("00 01 00 40")), NOTHING);
    assert_eq!(end.output(b"x"), one(&hex!("02 00 00 00 78")));
}

#[test]
fn the_deactivation_notice_is_retried_and_ends_with_its_answer() {
    let mut end = BmcEnd::new(Role::Writer, Parameters::from_wire(20, 1, 2, 10));
    end.output(b"under way");
    end.instance.deactivate();
    let notice = end.sent();
    assert_eq!(notice, one(&hex!("02 00 00 10")));
    assert_eq!(end.output(b"later"), NOTHING);
    assert_eq!(end.answers(&hex!("01 00 00 00 61")), one(&hex!("00 01 00 50")));
    end.pass(100);
    assert_eq!(end.sent(), notice);
    assert_eq!(end.answers(&hex!("00 02 00 00")), NOTHING);
    assert_eq!(end.instance.poll_event(), Some(Event::Closed));
    assert_eq!(end.instance.poll_timeout(&end.ring), None);
}

#[test]
fn a_deactivation_notice_without_an_answer_ends_too() {
    let mut end = BmcEnd::new(Role::Writer, Parameters::from_wire(20, 1, 2, 10));
    end.instance.deactivate();
    assert_eq!(end.sent().len(), 1);
    for _ in 0..2 {
        end.pass(100);
        assert_eq!(end.sent().len(), 1);
    }
    end.pass(100);
    assert_eq!(end.sent(), NOTHING);
    assert_eq!(end.instance.poll_event(), Some(Event::Closed));
}

#[test]
fn a_gap_before_the_first_character_is_reported() {
    let mut end = BmcEnd::writer();
    end.ring.write(&[b'.'; 3 * RING]);
    let position = end.ring.head() - 4;
    end.instance = Instance::new(Role::Writer, Parameters::default(), position, true);
    assert_eq!(end.sent(), one(&hex!("01 00 00 08 2e 2e 2e 2e")));
}

#[test]
fn events_are_bounded() {
    let mut end = BmcEnd::writer();
    for round in 0..1000 {
        end.packet(&[0, 0, 0, if round % 2 == 0 { 8 } else { 0 }]);
    }
    assert!(end.instance.events.len() <= EVENTS);
}

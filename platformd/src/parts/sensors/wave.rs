//! How values move.

use std::time::Duration;

use super::ticks::Tick;
use crate::config::{Sensor, Wave};

/// A walk that was not measured for longer goes on as if it had been measured so often.
const MOST_STEPS: Tick = 10_000;

/// A sensor's value over time.
#[derive(Debug)]
pub(super) struct Signal {
    wave: Wave,
    middle: f64,
    resolution: f64,
    /// Where in its period it is ahead of others, 0 to 1.
    phase: f64,
    walk: Walk,
}

/// A measurement and its time.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) tick: Tick,
    pub(super) uptime: Duration,
}

/// Where a walk is.
#[derive(Clone, Copy, Debug)]
struct Walk {
    /// The measurement that it was there at.
    tick: Tick,
    /// The distance from the middle.
    distance: f64,
    random: u64,
}

/// A signal's values after the last one that it had, without a change of the signal.
pub(super) struct Ahead<'a> {
    signal: &'a Signal,
    walk: Walk,
}

impl Ahead<'_> {
    /// The value at a measurement; to be asked in the order of time.
    pub(super) fn value(&mut self, at: At) -> f64 {
        self.signal.compute(&mut self.walk, at)
    }
}

impl Signal {
    /// The signal of the sensor `number` of a row.
    pub(super) fn new(sensor: &Sensor, number: u32, resolution: f64) -> Self {
        let middle = f64::from(number).mul_add(sensor.step, sensor.value);
        let random = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self {
            wave: sensor.wave.clone(),
            middle,
            resolution,
            // Neighbours in a row are far apart, and no two of a short row are alike.
            phase: (f64::from(number) * 0.618_034).fract(),
            walk: Walk { tick: 0, distance: 0.0, random },
        }
    }

    /// Whether the value never changes by itself.
    pub(super) fn stands(&self) -> bool {
        self.wave == Wave::Constant
    }

    /// Whether the value does not change any more.
    pub(super) fn has_ended(&self, uptime: Duration) -> bool {
        match &self.wave {
            Wave::Script { points, repeat_ms: None } => {
                points.iter().all(|(at, _)| u128::from(*at) <= uptime.as_millis())
            }
            _ => self.stands(),
        }
    }

    /// The least and the greatest value that it may have.
    pub(super) fn range(&self) -> (f64, f64) {
        let around = |amplitude: f64| (self.middle - amplitude, self.middle + amplitude);
        let (least, most) = match &self.wave {
            Wave::Constant => around(0.0),
            Wave::Sine { amplitude, .. }
            | Wave::Ramp { amplitude, .. }
            | Wave::Walk { amplitude } => around(*amplitude),
            Wave::Script { points, .. } => {
                let values = points.iter().map(|(_, value)| *value);
                values.fold(around(0.0), |(least, most), value| (least.min(value), most.max(value)))
            }
        };
        (self.round(least), self.round(most))
    }

    /// The value at a measurement; to be asked in the order of time.
    pub(super) fn value(&mut self, at: At) -> f64 {
        let mut walk = self.walk;
        let value = self.compute(&mut walk, at);
        self.walk = walk;
        value
    }

    /// The values from the last one on.
    pub(super) const fn ahead(&self) -> Ahead<'_> {
        Ahead { signal: self, walk: self.walk }
    }

    fn compute(&self, walk: &mut Walk, at: At) -> f64 {
        let value = match &self.wave {
            Wave::Constant => self.middle,
            Wave::Sine { amplitude, period_ms } => {
                let turn = self.turn(at.uptime, *period_ms) * std::f64::consts::TAU;
                amplitude.mul_add(turn.sin(), self.middle)
            }
            Wave::Ramp { amplitude, period_ms } => {
                let turn = self.turn(at.uptime, *period_ms);
                amplitude.mul_add(turn.mul_add(2.0, -1.0), self.middle)
            }
            Wave::Walk { amplitude } => self.middle + walk.to(at.tick, *amplitude),
            Wave::Script { points, repeat_ms } => {
                scripted(points, *repeat_ms, at.uptime).unwrap_or(self.middle)
            }
        };
        self.round(value)
    }

    fn round(&self, value: f64) -> f64 {
        if self.resolution > 0.0 {
            (value / self.resolution).round() * self.resolution
        } else {
            value
        }
    }

    /// How far into a period it is, 0 to 1.
    fn turn(&self, uptime: Duration, period_ms: u64) -> f64 {
        let period = Duration::from_millis(period_ms.max(1)).as_secs_f64();
        (uptime.as_secs_f64() / period + self.phase).fract()
    }
}

impl Walk {
    /// The distance from the middle at a measurement, a step for each since the last.
    fn to(&mut self, tick: Tick, amplitude: f64) -> f64 {
        let step = amplitude / 10.0;
        for _ in 0..tick.saturating_sub(self.tick).min(MOST_STEPS) {
            let there = step.mul_add(self.random_step(), self.distance);
            self.distance = there.clamp(-amplitude, amplitude);
        }
        self.tick = self.tick.max(tick);
        self.distance
    }

    /// A number from -1 to 1; the same row of them at each start (xorshift).
    fn random_step(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let fraction = u32::try_from(self.random >> 33).unwrap_or_default();
        f64::from(fraction) / f64::from(u32::MAX >> 1) * 2.0 - 1.0
    }
}

fn scripted(points: &[(u64, f64)], repeat_ms: Option<u64>, uptime: Duration) -> Option<f64> {
    let now = u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX);
    let now = repeat_ms.filter(|repeat| *repeat > 0).map_or(now, |repeat| now % repeat);
    points.iter().take_while(|(at, _)| *at <= now).last().map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Platform;

    fn signal(wave: &str, number: u32) -> Signal {
        let text = format!(
            "[[sensor]]\nkind = \"temperature\"\nname = \"T\"\nvalue = 50.0\nstep = 1.0\nwave = {wave}\n"
        );
        let sensor = Platform::parse("test.toml", &text).unwrap().sensor.remove(0);
        Signal::new(&sensor, number, 0.0)
    }

    fn at(second: u64) -> At {
        At { tick: second, uptime: Duration::from_secs(second) }
    }

    fn values(signal: &mut Signal) -> Vec<f64> {
        (0..1000).map(|tick| signal.value(at(tick))).collect()
    }

    #[test]
    fn waves_stay_within_their_amplitude_and_use_it() {
        for wave in [
            "{ shape = \"sine\", amplitude = 10.0, period-ms = 60000 }",
            "{ shape = \"ramp\", amplitude = 10.0, period-ms = 60000 }",
            "{ shape = \"walk\", amplitude = 10.0 }",
        ] {
            let values = values(&mut signal(wave, 0));
            assert!(values.iter().all(|value| (40.0..=60.0).contains(value)), "{wave}");
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            assert!(most - least > 10.0, "{wave}: {least} to {most}");
        }
    }

    #[test]
    fn a_script_is_followed_and_repeated() {
        let wave = "{ shape = \"script\", points = [[0, 1.0], [2000, 2.0]], repeat-ms = 4000 }";
        let values = values(&mut signal(wave, 0));
        assert_eq!(values[..8], [1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0]);
    }

    #[test]
    fn a_constant_depends_on_the_number_in_the_row() {
        let mut signal = signal("{ shape = \"constant\" }", 3);
        assert!(signal.stands());
        assert!((signal.value(at(0)) - 53.0).abs() < 1e-9);
    }

    #[test]
    fn a_walk_that_is_read_seldom_is_where_it_would_be_if_it_were_read_each_time() {
        let wave = "{ shape = \"walk\", amplitude = 10.0 }";
        let (mut often, mut seldom) = (signal(wave, 1), signal(wave, 1));
        let values = values(&mut often);
        assert_eq!(seldom.value(at(700)).to_bits(), values[700].to_bits());
        assert_eq!(seldom.ahead().value(at(999)).to_bits(), values[999].to_bits());
        assert_eq!(
            seldom.value(at(700)).to_bits(),
            values[700].to_bits(),
            "looking ahead changed it"
        );
        assert!((40.0..=60.0).contains(&seldom.value(at(u64::MAX))));
    }

    #[test]
    fn a_script_without_repetition_ends() {
        let wave = "{ shape = \"script\", points = [[0, 1.0], [2000, 2.0]] }";
        let script = signal(wave, 0);
        assert!(!script.has_ended(Duration::from_millis(1999)));
        assert!(script.has_ended(Duration::from_millis(2000)));
        assert_eq!(script.range(), (1.0, 50.0), "the middle is what it has before its first point");
    }
}

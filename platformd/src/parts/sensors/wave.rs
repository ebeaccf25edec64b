//! How values move.

use std::time::Duration;

use crate::config::{Sensor, Wave};

/// A sensor's value over time.
#[derive(Debug)]
pub(super) struct Signal {
    wave: Wave,
    middle: f64,
    resolution: f64,
    /// Where in its period it is ahead of others, 0 to 1.
    phase: f64,
    walk: f64,
    random: u64,
}

impl Signal {
    /// The signal of the sensor `number` of a row.
    pub(super) fn new(sensor: &Sensor, number: u32, resolution: f64) -> Self {
        let middle = f64::from(number).mul_add(sensor.step, sensor.value);
        Self {
            wave: sensor.wave.clone(),
            middle,
            resolution,
            // Neighbours in a row are far apart, and no two of a short row are alike.
            phase: (f64::from(number) * 0.618_034).fract(),
            walk: 0.0,
            random: u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        }
    }

    /// Whether the value never changes by itself.
    pub(super) fn stands(&self) -> bool {
        self.wave == Wave::Constant
    }

    /// The value at `uptime`; to be asked in the order of time.
    pub(super) fn value(&mut self, uptime: Duration) -> f64 {
        let value = match &self.wave {
            Wave::Constant => self.middle,
            Wave::Sine { amplitude, period_ms } => {
                let turn = self.turn(uptime, *period_ms) * std::f64::consts::TAU;
                amplitude.mul_add(turn.sin(), self.middle)
            }
            Wave::Ramp { amplitude, period_ms } => {
                let turn = self.turn(uptime, *period_ms);
                amplitude.mul_add(turn.mul_add(2.0, -1.0), self.middle)
            }
            Wave::Walk { amplitude } => {
                let (amplitude, step) = (*amplitude, amplitude / 10.0);
                let there = step.mul_add(self.random_step(), self.walk);
                self.walk = there.clamp(-amplitude, amplitude);
                self.middle + self.walk
            }
            Wave::Script { points, repeat_ms } => {
                scripted(points, *repeat_ms, uptime).unwrap_or(self.middle)
            }
        };
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

    fn values(signal: &mut Signal) -> Vec<f64> {
        (0..1000).map(|second| signal.value(Duration::from_secs(second))).collect()
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
        assert!((signal.value(Duration::ZERO) - 53.0).abs() < 1e-9);
    }
}

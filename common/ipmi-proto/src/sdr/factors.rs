//! Sensor readings: the linear formula of IPMI v2.0 §36.3 and its inverse.
//!
//! `y = (M·x + B·10^Bexp)·10^Rexp`, with `x` the raw byte, `M` and `B` ten bits and the exponents
//! four, all in two's complement. [`Factors::spanning`] finds the factors for a range.

use std::cmp::Ordering;

/// The most a ten-bit factor holds.
const MAX_FACTOR: f64 = 511.0;
/// The least it holds.
const MIN_FACTOR: f64 = -512.0;
/// The four-bit exponents.
const EXPONENTS: std::ops::RangeInclusive<i8> = -8..=7;
/// What of a step is taken for rounding noise when a limit is met exactly.
const NOISE: f64 = 1e-9;
/// How much wider than the finest a round step may be: the next of 1, 2, 2.5 and 5 is at most twice as wide, and the
/// one after it serves where no offset fits the next.
const WIDEST: f64 = 2.5 * (1.0 + 2.0 * NOISE);

/// How raw bytes become readings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Factors {
    m: i16,
    b: i16,
    r_exp: i8,
    b_exp: i8,
    signed: bool,
}

/// Why no factors exist for a range.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FactorError {
    /// A limit is not finite, or the lower is not below the upper.
    #[error("the limits are no range")]
    NoRange,
    /// The range is too wide, too narrow or too far from zero for ten-bit factors.
    #[error("no ten-bit factors cover the range")]
    OutOfScale,
}

impl Factors {
    /// Readings that are the raw byte itself.
    pub const IDENTITY: Self = Self { m: 1, b: 0, r_exp: 0, b_exp: 0, signed: false };

    /// These factors; `None` when one does not fit its field or `m` is zero, for which the formula
    /// has no inverse.
    #[must_use]
    pub const fn new(m: i16, b: i16, r_exp: i8, b_exp: i8, signed: bool) -> Option<Self> {
        let ten_bits = m >= -512 && m <= 511 && b >= -512 && b <= 511;
        let four_bits = r_exp >= -8 && r_exp <= 7 && b_exp >= -8 && b_exp <= 7;
        if m != 0 && ten_bits && four_bits {
            Some(Self { m, b, r_exp, b_exp, signed })
        } else {
            None
        }
    }

    /// Factors that cover every value from `min` to `max`, with a round step where one fits: 0.5 rather than 0.499 for
    /// 0 to 127, so that limits that people write read back as they were written.
    ///
    /// Of the steps of two digits that are at most two and a half times the finest, those win that meet most of `marks`
    /// exactly, then the roundest (1, 2, 2.5 or 5 times a power of ten), then the finest. The offset is a multiple of the
    /// step. Where no such step fits, the step is the finest.
    ///
    /// Raw bytes are signed when `min` is negative, as in OpenBMC (`dbus-sdr/sensorutils.cpp`). Unlike there both ends are
    /// covered: a reading is at most half a step off, a step being `M·10^Rexp`.
    ///
    /// # Errors
    ///
    /// [`FactorError`] when the limits are no range, or out of the factors' scale.
    pub fn spanning(min: f64, max: f64, marks: &[f64]) -> Result<Self, FactorError> {
        let finest = Self::finest(min, max)?;
        let least = (max - min) / 255.0;
        let width = least * (1.0 - NOISE)..least * WIDEST;
        let steps = EXPONENTS.flat_map(|r_exp| (1..100).map(move |m| (m, r_exp)));
        let steps = steps
            .filter(|(m, r_exp)| m % 10 != 0 && width.contains(&(f64::from(*m) * power(*r_exp))));
        let round = steps.filter_map(|(m, r_exp)| Self::aligned(min, max, m, r_exp));
        let missed = |f: &Self| marks.iter().filter(|mark| !f.is_exact(**mark)).count();
        let order = |a: &Self, b: &Self| {
            let (one, other) = ((missed(a), a.roughness()), (missed(b), b.roughness()));
            one.cmp(&other).then(a.step().total_cmp(&b.step()))
        };
        Ok(round.min_by(order).unwrap_or(finest))
    }

    /// The factors with the smallest step that cover every value from `min` to `max`: `M` is rounded up and `B` down.
    fn finest(min: f64, max: f64) -> Result<Self, FactorError> {
        if !(min.is_finite() && max.is_finite() && (max - min).is_finite() && min < max) {
            return Err(FactorError::NoRange);
        }
        EXPONENTS
            .flat_map(|r_exp| EXPONENTS.map(move |b_exp| (r_exp, b_exp)))
            .filter_map(|(r_exp, b_exp)| Self::covering(min, max, r_exp, b_exp))
            .min_by(Self::preference)
            .ok_or(FactorError::OutOfScale)
    }

    /// The factors with the step `m·10^r_exp`, and an offset that is a multiple of it, the plainest that lets them cover
    /// the range.
    fn aligned(min: f64, max: f64, m: i16, r_exp: i8) -> Option<Self> {
        let signed = min < 0.0;
        let (low, high) = raw_limits(signed);
        let step = f64::from(m) * power(r_exp);
        // The offset in steps.
        let (least, most) = (max / step - high, min / step - low);
        let noise = NOISE.max(1e-12 * max.abs().max(min.abs()) / step);
        let (least, most) = ((least - noise).ceil(), (most + noise).floor());
        if least > most {
            return None;
        }
        if (least..=most).contains(&0.0) {
            return Self::new(m, 0, r_exp, 0, signed);
        }
        let step = f64::from(m);
        (0..=7_i8).rev().find_map(|b_exp| {
            let unit = power(b_exp);
            let first = (least * step / unit).ceil().max(MIN_FACTOR);
            let last = (most * step / unit).floor().min(MAX_FACTOR);
            // At most as many as `B` has values.
            let all = (0..=1023).map(|n| first + f64::from(n)).take_while(|b| *b <= last);
            let aligned = all.filter(|b| (b * unit) % step == 0.0);
            let plainest = aligned.min_by(|one, other| one.abs().total_cmp(&other.abs()))?;
            Self::new(m, whole(plainest), r_exp, b_exp, signed)
        })
    }

    /// Whether a raw byte means `value` and no value near it.
    fn is_exact(&self, value: f64) -> bool {
        let steps = self.steps(value);
        (steps - steps.round()).abs() < 1e-6
    }

    /// 0 for a step of 1, 2, 2.5 or 5 times a power of ten, 1 for others that people count in, 2 for the rest.
    const fn roughness(&self) -> u8 {
        match self.m {
            1 | 2 | 5 | 25 => 0,
            4 | 8 | 15 | 75 => 1,
            _ => 2,
        }
    }

    /// The least `M`, with its `B`, that covers the range with these exponents.
    fn covering(min: f64, max: f64, r_exp: i8, b_exp: i8) -> Option<Self> {
        let signed = min < 0.0;
        let (low, high) = raw_limits(signed);
        let unit = power(r_exp);
        let offset_unit = power(r_exp + b_exp);
        let mut m = at_least((max - min) / (high - low) / unit).max(1.0);
        // B is rounded down, which may put the top out of reach: then M grows until it is not.
        for _ in 0..8 {
            let step = m * unit;
            let b = at_most((min - low * step) / offset_unit, step / offset_unit);
            if m > MAX_FACTOR || !(MIN_FACTOR..=MAX_FACTOR).contains(&b) {
                return None;
            }
            let bottom = b * offset_unit + low * step;
            let needed = at_least((max - bottom) / (high - low) / unit);
            if needed <= m {
                return Self::new(whole(m), whole(b), r_exp, b_exp, signed);
            }
            m = needed;
        }
        None
    }

    /// Smaller steps first; among equal ones the plainest numbers.
    fn preference(&self, other: &Self) -> Ordering {
        let noise = NOISE * self.step().min(other.step());
        if (self.step() - other.step()).abs() > noise {
            return self.step().total_cmp(&other.step());
        }
        let plainness = |f: &Self| {
            (f.m.unsigned_abs(), f.b.unsigned_abs(), f.b_exp.unsigned_abs(), f.r_exp.unsigned_abs())
        };
        plainness(self).cmp(&plainness(other))
    }

    /// The reading of `raw`.
    #[must_use]
    pub fn value_from_raw(&self, raw: u8) -> f64 {
        let x = if self.signed { f64::from(raw.cast_signed()) } else { f64::from(raw) };
        (f64::from(self.m) * x + f64::from(self.b) * power(self.b_exp)) * power(self.r_exp)
    }

    /// The raw byte for `value`, rounded half away from zero and clamped to the byte's range, as
    /// OpenBMC does (`scaleIPMIValueFromDouble`). `None` for NaN, which no byte means.
    #[must_use]
    pub fn raw_from_value(&self, value: f64) -> Option<u8> {
        if value.is_nan() {
            return None;
        }
        let x = self.steps(value).round();
        let (low, high) = raw_limits(self.signed);
        let [byte, _] = whole(x.clamp(low, high)).to_le_bytes();
        Some(byte)
    }

    /// As [`raw_from_value`](Self::raw_from_value); `None` also for a value that no byte means.
    #[must_use]
    pub fn raw_if_covered(&self, value: f64) -> Option<u8> {
        let (low, high) = raw_limits(self.signed);
        let is_covered = (low..=high).contains(&self.steps(value).round());
        self.raw_from_value(value).filter(|_| is_covered)
    }

    /// `x` of the formula for `value`, not rounded.
    fn steps(&self, value: f64) -> f64 {
        let offset = f64::from(self.b) * power(self.b_exp) * power(self.r_exp);
        (value - offset) / self.signed_step()
    }

    /// The bytes that a delta of `value` takes, such as a hysteresis: at least one when `value` is not zero.
    #[must_use]
    pub fn raw_from_delta(&self, value: f64) -> u8 {
        let steps = (value.abs() / self.step()).ceil();
        let [byte, _] = whole(if steps.is_nan() { 0.0 } else { steps.min(255.0) }).to_le_bytes();
        byte
    }

    /// The distance between two neighbouring readings.
    #[must_use]
    pub fn step(&self) -> f64 {
        self.signed_step().abs()
    }

    fn signed_step(&self) -> f64 {
        f64::from(self.m) * power(self.r_exp)
    }

    /// Whether raw bytes are in two's complement.
    #[must_use]
    pub const fn signed(&self) -> bool {
        self.signed
    }

    /// The six bytes from M to the exponents (§43.1, bytes 25-30), with tolerance and accuracy.
    #[must_use]
    pub const fn to_bytes(&self, accuracy: Accuracy) -> [u8; 6] {
        let [m_low, m_high] = self.m.to_le_bytes();
        let [b_low, b_high] = self.b.to_le_bytes();
        let [accuracy_low, accuracy_high] = accuracy.value.to_le_bytes();
        [
            m_low,
            m_high << 6 | accuracy.tolerance & 0x3f,
            b_low,
            b_high << 6 | accuracy_low & 0x3f,
            (accuracy_high << 2 | accuracy_low >> 6) << 4
                | (accuracy.exponent & 0x03) << 2
                | accuracy.direction & 0x03,
            self.r_exp.cast_unsigned() << 4 | self.b_exp.cast_unsigned() & 0x0f,
        ]
    }

    /// Decodes the six bytes. An `M` of zero, which other record types have, is read as one.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 6], signed: bool) -> (Self, Accuracy) {
        let [m_low, m_high, b_low, b_high, accuracy, exponents] = bytes;
        let m = i16::from_le_bytes([m_low, (m_high.cast_signed() >> 6).cast_unsigned()]);
        let b = i16::from_le_bytes([b_low, (b_high.cast_signed() >> 6).cast_unsigned()]);
        let factors = Self {
            m: if m == 0 { 1 } else { m },
            b,
            r_exp: exponents.cast_signed() >> 4,
            b_exp: (exponents << 4).cast_signed() >> 4,
            signed,
        };
        let accuracy = Accuracy {
            tolerance: m_high & 0x3f,
            value: u16::from_le_bytes([b_high & 0x3f | accuracy << 2 & 0xc0, accuracy >> 6]),
            exponent: accuracy >> 2 & 0x03,
            direction: accuracy & 0x03,
        };
        (factors, accuracy)
    }
}

/// What a full record says of a reading's quality (§43.1, bytes 26-29).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Accuracy {
    /// In half raw counts, six bits.
    pub tolerance: u8,
    /// In hundredths of a percent, times ten to `exponent`; ten bits.
    pub value: u16,
    /// Two bits.
    pub exponent: u8,
    /// Two bits: 0 unspecified, 1 input, 2 output.
    pub direction: u8,
}

const fn raw_limits(signed: bool) -> (f64, f64) {
    if signed { (-128.0, 127.0) } else { (0.0, 255.0) }
}

fn power(exponent: i8) -> f64 {
    10f64.powi(i32::from(exponent))
}

/// The least whole number not below `value`, but for rounding noise.
fn at_least(value: f64) -> f64 {
    (value - value.abs() * NOISE).ceil()
}

/// The greatest whole number not above `value`, but for noise far below a step.
fn at_most(value: f64, step: f64) -> f64 {
    (value + (value.abs() * 1e-12).max(step.min(1.0) * NOISE)).floor()
}

/// A number that is whole and within sixteen bits already.
#[expect(clippy::cast_possible_truncation, reason = "whole and clamped by the callers")]
const fn whole(value: f64) -> i16 {
    value as i16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn factors(m: i16, b: i16, r_exp: i8, b_exp: i8, signed: bool) -> Factors {
        Factors::new(m, b, r_exp, b_exp, signed).unwrap()
    }

    #[test]
    fn plain_ranges_give_plain_factors() {
        let cases = [
            (0.0, 255.0, factors(1, 0, 0, 0, false)),
            (-128.0, 127.0, factors(1, 0, 0, 0, true)),
            (0.0, 25500.0, factors(1, 0, 2, 0, false)),
            (0.0, 2.55, factors(1, 0, -2, 0, false)),
            (10.0, 265.0, factors(1, 1, 0, 1, false)),
        ];
        for (min, max, expected) in cases {
            assert_eq!(Factors::spanning(min, max, &[]), Ok(expected), "{min}..{max}");
        }
    }

    #[test]
    fn steps_are_round_where_they_can_be() {
        // Range, limits, and the step.
        let cases: [(f64, f64, &[f64], f64); 13] = [
            (0.0, 127.0, &[85.0, 95.0, 0.0, 5.0], 0.5),
            (0.0, 127.0, &[], 0.5),
            (-50.0, 150.0, &[], 1.0),
            (-60.0, -20.0, &[-55.4], 0.2),
            (0.0, 20_000.0, &[500.0], 100.0),
            (0.0, 15.0, &[11.4, 12.6], 0.1),
            (0.0, 3.6, &[3.3], 0.02),
            (0.0, 3.6, &[3.135, 3.465], 0.015),
            (10.0, 14.0, &[11.4], 0.02),
            (0.0, 1.0e6, &[900_000.0], 5000.0),
            (0.0, 0.001, &[], 0.000_005),
            // No round step meets it.
            (0.0, 60.0, &[], 0.25),
            (0.0, 127.0, &[std::f64::consts::PI], 0.5),
        ];
        for (min, max, limits, step) in cases {
            let factors = Factors::spanning(min, max, limits).unwrap();
            assert!((factors.step() - step).abs() < step * 1e-9, "{min}..{max}: {factors:?}");
            let readings = [min, max].map(|value| factors.raw_if_covered(value));
            assert!(readings.iter().all(Option::is_some), "{min}..{max}: {factors:?}");
        }
        let centred = Factors::spanning(-50.0, 150.0, &[]).unwrap();
        assert_eq!(centred, factors(1, 3, 0, 1, true));
    }

    #[test]
    fn what_is_beyond_the_bytes_is_no_reading() {
        let temperature = factors(1, 0, 0, 0, true);
        for (value, raw) in
            [(127.4, Some(127)), (127.6, None), (-128.4, Some(0x80)), (-129.0, None)]
        {
            assert_eq!(temperature.raw_if_covered(value), raw, "{value}");
        }
        assert_eq!(temperature.raw_if_covered(f64::INFINITY), None);
        assert_eq!(temperature.raw_if_covered(f64::NAN), None);
    }

    #[test]
    fn factors_match_golden_bytes() {
        let accuracy = Accuracy { tolerance: 0x3f, value: 0x3ff, exponent: 3, direction: 2 };
        let cases = [
            (factors(1, 0, 0, 0, false), Accuracy::default(), [1, 0, 0, 0, 0, 0]),
            (factors(-2, -512, -3, 2, true), Accuracy::default(), [0xfe, 0xc0, 0, 0x80, 0, 0xd2]),
            (factors(511, 511, 7, -8, false), accuracy, [0xff, 0x7f, 0xff, 0x7f, 0xfe, 0x78]),
        ];
        for (factors, accuracy, bytes) in cases {
            assert_eq!(factors.to_bytes(accuracy), bytes);
            assert_eq!(Factors::from_bytes(bytes, factors.signed), (factors, accuracy));
        }
    }

    #[test]
    fn readings_follow_the_formula() {
        // (59·x + 12·10^1)·10^-3
        let voltage = factors(59, 12, -3, 1, false);
        assert!((voltage.value_from_raw(200) - 11.92).abs() < 1e-9);
        assert_eq!(voltage.raw_from_value(11.92), Some(200));
        assert_eq!(voltage.raw_from_value(f64::INFINITY), Some(255));
        assert_eq!(voltage.raw_from_value(f64::NAN), None);
        let temperature = factors(1, 0, 0, 0, true);
        assert_eq!(temperature.raw_from_value(-40.0), Some(0xd8));
        assert_eq!(temperature.raw_from_value(-300.0), Some(0x80));
        assert!((temperature.value_from_raw(0xd8) + 40.0).abs() < 1e-9);
    }

    #[test]
    fn ranges_that_are_none_are_refused() {
        for (min, max) in [(1.0, 1.0), (2.0, 1.0), (f64::NAN, 1.0), (0.0, f64::INFINITY)] {
            assert_eq!(Factors::spanning(min, max, &[]), Err(FactorError::NoRange));
        }
        assert_eq!(Factors::spanning(0.0, 1e15, &[]), Err(FactorError::OutOfScale));
    }

    #[test]
    fn delta_takes_whole_steps() {
        let half = factors(5, 0, -1, 0, false);
        assert_eq!(half.raw_from_delta(0.0), 0);
        assert_eq!(half.raw_from_delta(0.1), 1);
        assert_eq!(half.raw_from_delta(2.0), 4);
        assert_eq!(half.raw_from_delta(1e9), 255);
    }

    /// Ranges from millionths to millions wide, on both sides of zero and far from it.
    fn ranges() -> impl Strategy<Value = (f64, f64)> {
        (-6.0..6.0f64, -1.0..1.0f64, 0.0..100.0f64).prop_map(|(scale, start, ratio)| {
            let width = 10f64.powf(scale);
            let min = start * width * ratio;
            (min, min + width)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn reading_is_within_one_step_of_the_value((min, max) in ranges(), at in 0.0..=1.0f64) {
            let factors = Factors::spanning(min, max, &[]);
            prop_assert!(factors.is_ok(), "{min}..{max}: {factors:?}");
            let factors = factors.unwrap();
            let value = min + (max - min) * at;
            let reading = factors.value_from_raw(factors.raw_from_value(value).unwrap());
            prop_assert!((reading - value).abs() <= factors.step() * 0.5001,
                "{min}..{max}: {value} reads {reading} by {factors:?}");
        }

        #[test]
        fn step_is_not_wasted(scale in -4.0..5.0f64, start in -1.0..1.0f64) {
            let width = 10f64.powf(scale);
            let (min, max) = (start * width, start * width + width);
            let factors = Factors::spanning(min, max, &[]).unwrap();
            prop_assert!(factors.step() <= width / 255.0 * 2.51, "{min}..{max}: {factors:?}");
        }

        /// What people write, whole steps of a round number, reads back.
        #[test]
        fn limit_that_is_written_reads_back(
            scale in -3i32..=4, low in -200i32..=200, width in 1i32..=500,
            limits in prop::collection::vec(0i32..=100, 0..6), written in 0.0..=1.0f64,
        ) {
            let unit = 10f64.powi(scale);
            let (min, max) = (f64::from(low) * unit, f64::from(low + width) * unit);
            let limits: Vec<f64> =
                limits.iter().map(|percent| f64::from(low + width * percent / 100) * unit).collect();
            let factors = Factors::spanning(min, max, &limits).unwrap();
            let read = |value| factors.value_from_raw(factors.raw_if_covered(value).unwrap());
            let steps = ((min + (max - min) * written) / factors.step()).round();
            let value = (steps * factors.step()).clamp(min, max);
            if steps * factors.step() == value {
                prop_assert!((read(value) - value).abs() < factors.step() * 1e-6, "{value}: {factors:?}");
            }
            // Whole numbers of a unit that 255 steps reach are always met.
            if width <= 255 {
                for limit in limits {
                    prop_assert!((read(limit) - limit).abs() < unit * 1e-6, "{limit}: {factors:?}");
                }
            }
        }

        #[test]
        fn every_raw_byte_survives(m in 1i16..=511, b in -512i16..=511, r in -8i8..=7, e in -3i8..=1, signed: bool, raw: u8) {
            let factors = factors(m, b, r, e, signed);
            prop_assert_eq!(factors.raw_from_value(factors.value_from_raw(raw)), Some(raw));
        }

        #[test]
        fn any_factor_bytes_survive(bytes in any::<[u8; 6]>(), signed: bool) {
            let (factors, accuracy) = Factors::from_bytes(bytes, signed);
            let again = Factors::from_bytes(factors.to_bytes(accuracy), signed);
            prop_assert_eq!(again, (factors, accuracy));
        }
    }
}

//! The six thresholds of a sensor, their masks, and when they are crossed (IPMI v2.0 §35.13, §36.2).

/// One of the six thresholds; the number is its bit in masks and readings.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum Threshold {
    /// At or below: degraded.
    LowerNonCritical = 0,
    /// At or below: failing.
    LowerCritical = 1,
    /// At or below: damage.
    LowerNonRecoverable = 2,
    /// At or above: degraded.
    UpperNonCritical = 3,
    /// At or above: failing.
    UpperCritical = 4,
    /// At or above: damage.
    UpperNonRecoverable = 5,
}

impl Threshold {
    /// All six, in the order of their bits.
    pub const ALL: [Self; 6] = [
        Self::LowerNonCritical,
        Self::LowerCritical,
        Self::LowerNonRecoverable,
        Self::UpperNonCritical,
        Self::UpperCritical,
        Self::UpperNonRecoverable,
    ];

    /// Whether it is crossed by falling.
    #[must_use]
    pub const fn is_lower(self) -> bool {
        (self as u8) < Self::UpperNonCritical as u8
    }

    /// The offset of the event that says the threshold was crossed outwards: "going low" of a lower,
    /// "going high" of an upper one (§42.1, Table 42-2, event type 01h).
    #[must_use]
    pub const fn event_offset(self) -> u8 {
        self as u8 * 2 + !self.is_lower() as u8
    }

    /// The threshold and whether going high is meant, of an event's offset.
    #[must_use]
    pub fn of_event(offset: u8) -> Option<(Self, bool)> {
        let threshold = Self::ALL.get(usize::from(offset / 2))?;
        Some((*threshold, offset & 1 == 1))
    }

    /// Whether `reading` has crossed `limit` outwards, given whether it had before: once crossed, it
    /// has to come back by more than the hysteresis (§35.13.1).
    #[must_use]
    pub fn crossed(self, reading: f64, limit: f64, hysteresis: f64, before: bool) -> bool {
        let slack = if before { hysteresis } else { 0.0 };
        if self.is_lower() { reading <= limit + slack } else { reading >= limit - slack }
    }
}

/// A set of thresholds: a mask or a state byte (§35.13, §35.14).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct ThresholdSet(u8);

impl ThresholdSet {
    /// No threshold.
    pub const EMPTY: Self = Self(0);

    /// The set in bits 5:0; the upper bits are ignored.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 0x3f)
    }

    /// Bits 5:0.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether `threshold` is in it.
    #[must_use]
    pub const fn contains(self, threshold: Threshold) -> bool {
        self.0 >> threshold as u8 & 1 == 1
    }

    /// Adds `threshold`, or removes it.
    pub const fn set(&mut self, threshold: Threshold, present: bool) {
        if present {
            self.0 |= 1 << threshold as u8;
        } else {
            self.0 &= !(1 << threshold as u8);
        }
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether none is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Its members in the order of their bits.
    pub fn iter(self) -> impl Iterator<Item = Threshold> {
        Threshold::ALL.into_iter().filter(move |threshold| self.contains(*threshold))
    }

    /// The events by which its members are crossed outwards, as a mask of event offsets.
    #[must_use]
    pub fn event_mask(self) -> u16 {
        self.iter().fold(0, |mask, threshold| mask | 1 << threshold.event_offset())
    }
}

impl FromIterator<Threshold> for ThresholdSet {
    fn from_iter<I: IntoIterator<Item = Threshold>>(members: I) -> Self {
        let mut set = Self::EMPTY;
        for threshold in members {
            set.set(threshold, true);
        }
        set
    }
}

/// A value for each threshold.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PerThreshold<T>([T; 6]);

impl<T: Copy> PerThreshold<T> {
    /// From the values in the order of the thresholds' bits (Get Sensor Thresholds, §35.9).
    #[must_use]
    pub const fn new(values: [T; 6]) -> Self {
        Self(values)
    }

    /// The values in the order of the thresholds' bits.
    #[must_use]
    pub const fn values(self) -> [T; 6] {
        self.0
    }

    /// The value for `threshold`.
    #[must_use]
    pub const fn get(&self, threshold: Threshold) -> T {
        let [lnc, lc, lnr, unc, uc, unr] = self.0;
        match threshold {
            Threshold::LowerNonCritical => lnc,
            Threshold::LowerCritical => lc,
            Threshold::LowerNonRecoverable => lnr,
            Threshold::UpperNonCritical => unc,
            Threshold::UpperCritical => uc,
            Threshold::UpperNonRecoverable => unr,
        }
    }

    /// The value for `threshold`.
    pub const fn get_mut(&mut self, threshold: Threshold) -> &mut T {
        let [lnc, lc, lnr, unc, uc, unr] = &mut self.0;
        match threshold {
            Threshold::LowerNonCritical => lnc,
            Threshold::LowerCritical => lc,
            Threshold::LowerNonRecoverable => lnr,
            Threshold::UpperNonCritical => unc,
            Threshold::UpperCritical => uc,
            Threshold::UpperNonRecoverable => unr,
        }
    }
}

impl<T: Copy> PerThreshold<Option<T>> {
    /// The thresholds that have a value.
    #[must_use]
    pub fn present(&self) -> ThresholdSet {
        Threshold::ALL.into_iter().filter(|threshold| self.get(*threshold).is_some()).collect()
    }
}

/// How far a raw reading has to come back before a threshold's state ends (§35.6).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Hysteresis {
    /// For thresholds crossed by rising: below them.
    pub positive: u8,
    /// For thresholds crossed by falling: above them.
    pub negative: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_alternate_low_and_high() {
        assert_eq!(Threshold::LowerNonCritical.event_offset(), 0x00);
        assert_eq!(Threshold::LowerNonRecoverable.event_offset(), 0x04);
        assert_eq!(Threshold::UpperNonCritical.event_offset(), 0x07);
        assert_eq!(Threshold::UpperNonRecoverable.event_offset(), 0x0b);
        assert_eq!(Threshold::of_event(0x09), Some((Threshold::UpperCritical, true)));
        assert_eq!(Threshold::of_event(0x0c), None);
    }

    #[test]
    fn hysteresis_holds_a_state_until_the_reading_is_well_back() {
        let upper = Threshold::UpperCritical;
        assert!(!upper.crossed(89.9, 90.0, 2.0, false));
        assert!(upper.crossed(90.0, 90.0, 2.0, false));
        assert!(upper.crossed(88.0, 90.0, 2.0, true));
        assert!(!upper.crossed(87.9, 90.0, 2.0, true));
        let lower = Threshold::LowerCritical;
        assert!(lower.crossed(10.0, 10.0, 2.0, false));
        assert!(lower.crossed(12.0, 10.0, 2.0, true));
        assert!(!lower.crossed(12.1, 10.0, 2.0, true));
        assert!(!upper.crossed(f64::NAN, 90.0, 2.0, true));
    }

    #[test]
    fn sets_are_their_bits() {
        let set: ThresholdSet =
            [Threshold::UpperCritical, Threshold::LowerNonCritical].into_iter().collect();
        assert_eq!(set.bits(), 0x11);
        assert_eq!(set.event_mask(), 0x0201);
        assert_eq!(ThresholdSet::from_bits(0xff).bits(), 0x3f);
        let mut values = PerThreshold::<Option<u8>>::default();
        *values.get_mut(Threshold::UpperNonRecoverable) = Some(7);
        assert_eq!(values.present().bits(), 0x20);
    }
}

//! How long answers may take.

use std::time::Duration;

use mctp_proto::MessageType;
use mctp_proto::tags::TAG_LIFE;

/// What NVMe-MI allows: a device that needs more announces it (More Processing Required) with its own
/// time. Linux waits as long for an administrative command.
const NVME_MI: Duration = Duration::from_secs(60);

/// What SPDM allows is up to the responder (DSP0274, "Timing requirements": 2 to the power of its
/// `CTExponent` microseconds). 2^25 is double the largest that requesters in the field accept.
const SPDM: Duration = Duration::from_secs(34);

/// The time for an answer, for each message type.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AnswerLimits {
    /// For all types; by default [`TAG_LIFE`], and more for types whose specification allows it.
    pub all: Option<Duration>,
    /// For single types; they take precedence.
    pub by_type: Vec<(MessageType, Duration)>,
}

impl AnswerLimits {
    /// How long an answer of a type may take.
    #[must_use]
    pub fn of(&self, kind: MessageType) -> Duration {
        let own = self.by_type.iter().find(|(other, _)| *other == kind);
        let by_specification = match kind {
            MessageType::NVME_MI => NVME_MI,
            MessageType::SPDM | MessageType::SECURED => SPDM,
            _ => TAG_LIFE,
        };
        own.map(|(_, limit)| *limit).or(self.all).unwrap_or(by_specification)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_has_its_own_limit_before_that_of_all_before_its_specifications() {
        let mut limits = AnswerLimits::default();
        assert_eq!(limits.of(MessageType::PLDM), TAG_LIFE);
        assert_eq!(limits.of(MessageType::NVME_MI), NVME_MI);
        limits.all = Some(Duration::from_secs(1));
        limits.by_type.push((MessageType::SPDM, Duration::from_secs(9)));
        assert_eq!(limits.of(MessageType::NVME_MI), Duration::from_secs(1));
        assert_eq!(limits.of(MessageType::SPDM), Duration::from_secs(9));
    }
}

//! The completion codes of the model's errors (IPMI v2.0 §5.2, Table 5-2).

use ipmi_proto::CompletionCode;

use crate::model::StoreError;

/// `80h`: the record is not as long as its header says (IPMI v2.0 §33.14).
const LENGTH_MISMATCH: CompletionCode = CompletionCode(0x80);

impl From<StoreError> for CompletionCode {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy => Self::BUSY,
            StoreError::NoSpace => Self::OUT_OF_SPACE,
            StoreError::Cancelled => Self::RESERVATION_CANCELLED,
            StoreError::LengthMismatch => LENGTH_MISMATCH,
            StoreError::TooLong => Self::REQUEST_LENGTH_EXCEEDED,
            StoreError::OutOfRange => Self::PARAMETER_OUT_OF_RANGE,
            StoreError::DoesNotFit => Self::CANNOT_RETURN_BYTES,
            StoreError::NotFound => Self::NOT_PRESENT,
            StoreError::InvalidRecord => Self::INVALID_DATA_FIELD,
            StoreError::BuiltIn => Self::ILLEGAL_FOR_SENSOR,
            StoreError::Storage => Self::UNSPECIFIED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_of_the_model_has_its_completion_code() {
        let codes = [
            (StoreError::LengthMismatch, 0x80),
            (StoreError::Busy, 0xc0),
            (StoreError::NoSpace, 0xc4),
            (StoreError::Cancelled, 0xc5),
            (StoreError::TooLong, 0xc8),
            (StoreError::OutOfRange, 0xc9),
            (StoreError::DoesNotFit, 0xca),
            (StoreError::NotFound, 0xcb),
            (StoreError::InvalidRecord, 0xcc),
            (StoreError::BuiltIn, 0xcd),
            (StoreError::Storage, 0xff),
        ];
        for (error, code) in codes {
            assert_eq!(CompletionCode::from(error), CompletionCode(code), "{error}");
        }
    }
}

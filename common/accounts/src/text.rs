//! The names that files use for values of the vocabulary.

use ipmi_proto::Privilege;

const NO_ACCESS: &str = "no-access";

const LEVELS: [(&str, Privilege); 5] = [
    ("callback", Privilege::Callback),
    ("user", Privilege::User),
    ("operator", Privilege::Operator),
    ("administrator", Privilege::Administrator),
    ("oem", Privilege::Oem),
];

fn level_name(level: Privilege) -> &'static str {
    LEVELS.iter().find(|(_, named)| *named == level).map_or(NO_ACCESS, |(name, _)| name)
}

fn level_from_name(name: &str) -> Option<Privilege> {
    LEVELS.iter().find(|(known, _)| *known == name).map(|(_, level)| *level)
}

/// A privilege level by name.
pub(crate) mod privilege {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Privilege, level_from_name, level_name};

    pub(crate) fn serialize<S: Serializer>(level: &Privilege, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(level_name(*level))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Privilege, D::Error> {
        let name = String::deserialize(d)?;
        level_from_name(&name).ok_or_else(|| {
            D::Error::custom(format!(
                "`{name}` is not callback, user, operator, administrator or oem"
            ))
        })
    }
}

/// A privilege limit by name, `no-access` included.
pub(crate) mod limit {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::{NO_ACCESS, Privilege, level_from_name, level_name};

    pub(crate) fn serialize<S: Serializer>(
        limit: &Option<Privilege>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        s.serialize_str(limit.map_or(NO_ACCESS, level_name))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Option<Privilege>, D::Error> {
        let name = String::deserialize(d)?;
        match level_from_name(&name) {
            Some(level) => Ok(Some(level)),
            None if name == NO_ACCESS => Ok(None),
            None => Err(D::Error::custom(format!("`{name}` is no privilege limit"))),
        }
    }
}

/// A (de)serializer for an enumeration of the vocabulary that knows its names.
macro_rules! by_name {
    ($module:ident, $type:ident, $what:literal) => {
        #[doc = concat!($what, " by name.")]
        pub(crate) mod $module {
            use ipmi_proto::$type;
            use serde::de::Error;
            use serde::{Deserialize, Deserializer, Serializer};

            #[allow(dead_code, reason = "some are only read")]
            pub(crate) fn serialize<S: Serializer>(value: &$type, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(value.name())
            }

            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<$type, D::Error> {
                let name = String::deserialize(d)?;
                $type::from_name(&name)
                    .ok_or_else(|| D::Error::custom(format!(concat!("`{}` is no ", $what), name)))
            }
        }
    };
}

by_name!(access_mode, AccessMode, "access mode");
by_name!(medium, Medium, "channel medium");
by_name!(protocol, ChannelProtocol, "channel protocol");
by_name!(sessions, SessionSupport, "session support");

/// Bytes as hexadecimal digits.
pub(crate) mod hex {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use zeroize::Zeroizing;

    pub(crate) fn serialize<S: Serializer>(
        bytes: &impl AsRef<[u8]>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        let mut digits = Zeroizing::new(String::with_capacity(2 * bytes.as_ref().len()));
        for byte in bytes.as_ref() {
            for nibble in [byte >> 4, byte & 0x0f] {
                digits.extend(char::from_digit(nibble.into(), 16));
            }
        }
        s.serialize_str(&digits)
    }

    pub(crate) fn deserialize<'de, D, B>(d: D) -> Result<B, D::Error>
    where
        D: Deserializer<'de>,
        B: TryFrom<Vec<u8>>,
    {
        let digits = Zeroizing::new(String::deserialize(d)?);
        let bytes = parse(&digits).ok_or_else(|| D::Error::custom("not hexadecimal digits"))?;
        B::try_from(bytes).map_err(|_| D::Error::custom("not the right number of digits"))
    }

    fn parse(digits: &str) -> Option<Vec<u8>> {
        let (pairs, []) = digits.as_bytes().as_chunks::<2>() else {
            return None;
        };
        pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
    }

    fn digit(digit: u8) -> Option<u8> {
        char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
    }
}

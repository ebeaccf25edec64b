//! Descriptions of interfaces: properties with their types, methods and signals.
//!
//! One description serves both sides. A client reads and writes a [`Property<T>`] and gets a `T`;
//! a service takes names, signatures and access from the [`Interface`] to reply to `Introspect` and
//! to refuse what does not match. The descriptions are constants, so that a daemon has code for
//! the properties which it uses and not for all that exist.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use zbus::wire::{OwnedObjectPath, Signature, Type, Variant};

/// One D-Bus interface, as a service shows it to `Introspect`.
#[derive(Clone, Copy, Debug)]
pub struct Interface {
    /// The interface's full name.
    pub name: &'static str,
    /// Its properties, in the order of its definition.
    pub properties: &'static [PropertyInfo],
    /// Its methods.
    pub methods: &'static [Method],
    /// Its signals.
    pub signals: &'static [Signal],
}

impl Interface {
    /// The property called `name`.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&'static PropertyInfo> {
        self.properties.iter().find(|property| property.name == name)
    }

    /// The method called `name`.
    #[must_use]
    pub fn method(&self, name: &str) -> Option<&'static Method> {
        self.methods.iter().find(|method| method.name == name)
    }
}

/// What a client may do with a property.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// Only the service changes it.
    Read,
    /// Clients may set it.
    ReadWrite,
}

/// A property with its type left out: what introspection and a generic service need.
#[derive(Clone, Copy, Debug)]
pub struct PropertyInfo {
    /// The property's name.
    pub name: &'static str,
    /// The type on the bus.
    pub signature: &'static Signature,
    /// Whether clients may set it.
    pub access: Access,
    /// Refuses values that the property cannot have.
    pub check: fn(Variant<'_>) -> Result<(), ValueError>,
}

/// A property of one interface whose value is a `T`.
#[derive(Debug)]
pub struct Property<T> {
    /// The interface which has it.
    pub interface: &'static str,
    /// The property's name.
    pub name: &'static str,
    /// Whether clients may set it.
    pub access: Access,
    value: PhantomData<fn() -> T>,
}

impl<T> Clone for Property<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Property<T> {}

impl<T: PropertyValue> Property<T> {
    /// Describes a property; used by the `interface!` macro.
    #[must_use]
    pub const fn new(interface: &'static str, name: &'static str, access: Access) -> Self {
        Self { interface, name, access, value: PhantomData }
    }

    /// The same property without its Rust type.
    #[must_use]
    pub const fn info(&self) -> PropertyInfo {
        PropertyInfo {
            name: self.name,
            signature: T::SIGNATURE,
            access: self.access,
            check: |value| T::from_variant(value).map(drop),
        }
    }
}

/// A method of one interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Method {
    /// The interface which has it.
    pub interface: &'static str,
    /// The method's name.
    pub name: &'static str,
    /// Signature of the arguments, without the outer parentheses.
    pub input: &'static str,
    /// Signature of the results, without the outer parentheses.
    pub output: &'static str,
}

/// A signal of one interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Signal {
    /// The interface which has it.
    pub interface: &'static str,
    /// The signal's name.
    pub name: &'static str,
    /// Signature of the arguments, without the outer parentheses.
    pub arguments: &'static str,
}

/// A value did not have the type, or is not one of the names, of its property.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ValueError {
    /// The value has another D-Bus type.
    #[error("a value of type {got} where {want} is expected")]
    Type {
        /// The signature expected.
        want: String,
        /// The signature received.
        got: String,
    },
    /// The string is not a value of the enumeration.
    #[error("{value:?} is no value of {enumeration}")]
    Unknown {
        /// The enumeration's full name.
        enumeration: &'static str,
        /// What was received.
        value: String,
    },
}

/// A Rust type that a property can have.
pub trait PropertyValue: Type + Sized {
    /// The value as it is sent.
    fn into_variant(self) -> Variant<'static>;

    /// The value of a variant that a peer sent.
    ///
    /// # Errors
    ///
    /// [`ValueError`] when the variant holds another type, or a string that the enumeration lacks.
    fn from_variant(value: Variant<'_>) -> Result<Self, ValueError>;
}

/// The error for a `value` which is no `T`.
fn wrong_type<T: Type>(value: &Variant<'_>) -> ValueError {
    ValueError::Type { want: T::SIGNATURE.to_string(), got: value.value_signature().to_string() }
}

macro_rules! simple_values {
    ($($kind:ident($type:ty)),+ $(,)?) => {$(
        impl PropertyValue for $type {
            fn into_variant(self) -> Variant<'static> {
                Variant::from(self)
            }

            fn from_variant(value: Variant<'_>) -> Result<Self, ValueError> {
                match value {
                    Variant::$kind(value) => Ok(value.into()),
                    other => Err(wrong_type::<Self>(&other)),
                }
            }
        }
    )+};
}

simple_values! {
    Bool(bool), U8(u8), I16(i16), U16(u16), I32(i32), U32(u32), I64(i64), U64(u64), F64(f64),
    Str(String),
}

macro_rules! container_values {
    ($($type:ty),+ $(,)?) => {$(
        impl PropertyValue for $type {
            fn into_variant(self) -> Variant<'static> {
                Variant::from(self)
            }

            fn from_variant(value: Variant<'_>) -> Result<Self, ValueError> {
                let error = wrong_type::<Self>(&value);
                value.downcast().map_err(|_| error)
            }
        }
    )+};
}

container_values! {
    Vec<u8>, Vec<String>, Vec<OwnedObjectPath>, OwnedObjectPath, BTreeMap<String, String>,
}

macro_rules! lists_of_structures {
    ($($type:ty),+ $(,)?) => {$(
        impl PropertyValue for Vec<$type> {
            fn into_variant(self) -> Variant<'static> {
                Variant::from(self)
            }

            fn from_variant(value: Variant<'_>) -> Result<Self, ValueError> {
                let error = wrong_type::<Self>(&value);
                let Variant::Array(array) = value else {
                    return Err(error);
                };
                array
                    .iter()
                    .map(|item| match item {
                        Variant::Structure(fields) => {
                            <$type>::try_from(fields.try_clone().ok()?).ok()
                        }
                        _ => None,
                    })
                    .collect::<Option<_>>()
                    .ok_or(error)
            }
        }
    )+};
}

lists_of_structures! { (String, String, String), (u8, u32, u8, bool) }

impl PropertyValue for (Vec<u8>, Vec<u8>) {
    fn into_variant(self) -> Variant<'static> {
        Variant::from(zbus::wire::Structure::from(self))
    }

    fn from_variant(value: Variant<'_>) -> Result<Self, ValueError> {
        let error = wrong_type::<Self>(&value);
        match value {
            Variant::Structure(fields) => Self::try_from(fields).map_err(|_| error),
            _ => Err(error),
        }
    }
}

/// Describes one interface: a constant per property, method and signal, and `INTERFACE` with all.
macro_rules! interface {
    (
        $name:literal
        $(; properties { $($(#[$pdoc:meta])* $access:ident $property:ident: $type:ty = $pname:literal;)+ })?
        $(; methods { $($(#[$mdoc:meta])* $method:ident = $mname:literal ($input:literal) -> ($output:literal);)+ })?
        $(; signals { $($(#[$sdoc:meta])* $signal:ident = $sname:literal ($arguments:literal);)+ })?
        $(;)?
    ) => {
        /// The interface's full name.
        pub const NAME: &str = $name;

        $($(
            $(#[$pdoc])*
            #[doc = concat!("\n\nProperty `", $pname, "` of `", $name, "`.")]
            pub const $property: $crate::interface::Property<$type> =
                $crate::interface::Property::new(NAME, $pname, $crate::interface::Access::$access);
        )+)?
        $($(
            $(#[$mdoc])*
            #[doc = concat!("\n\nMethod `", $mname, "(", $input, ") -> (", $output, ")` of `", $name, "`.")]
            pub const $method: $crate::interface::Method = $crate::interface::Method {
                interface: NAME, name: $mname, input: $input, output: $output,
            };
        )+)?
        $($(
            $(#[$sdoc])*
            #[doc = concat!("\n\nSignal `", $sname, "(", $arguments, ")` of `", $name, "`.")]
            pub const $signal: $crate::interface::Signal = $crate::interface::Signal {
                interface: NAME, name: $sname, arguments: $arguments,
            };
        )+)?

        /// The whole interface, for a service that shows it.
        pub static INTERFACE: $crate::interface::Interface = $crate::interface::Interface {
            name: NAME,
            properties: &[$($($property.info(),)+)?],
            methods: &[$($($method,)+)?],
            signals: &[$($($signal,)+)?],
        };
    };
}

/// Defines an enumeration whose values travel as fully qualified strings, such as
/// `xyz.openbmc_project.State.Host.Transition.Reboot`.
macro_rules! enumeration {
    (
        $(#[$doc:meta])*
        $type:ident = $name:literal { $($value:ident),+ $(,)? }
    ) => {
        $(#[$doc])*
        #[allow(non_camel_case_types, reason = "the names are those of the interface definition")]
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum $type {
            $(
                #[doc = concat!("`", $name, ".", stringify!($value), "`")]
                $value,
            )+
        }

        impl $type {
            /// All values, in the order of the interface definition.
            pub const ALL: &[Self] = &[$(Self::$value,)+];

            /// The fully qualified string.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => concat!($name, ".", stringify!($value)),)+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::interface::ValueError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|value| value.as_str() == text).ok_or_else(|| {
                    $crate::interface::ValueError::Unknown {
                        enumeration: $name,
                        value: text.to_owned(),
                    }
                })
            }
        }

        impl zbus::wire::Type for $type {
            const SIGNATURE: &'static zbus::wire::Signature = <str as zbus::wire::Type>::SIGNATURE;
        }

        impl $crate::interface::PropertyValue for $type {
            fn into_variant(self) -> zbus::wire::Variant<'static> {
                zbus::wire::Variant::from(self.as_str())
            }

            fn from_variant(
                value: zbus::wire::Variant<'_>,
            ) -> Result<Self, $crate::interface::ValueError> {
                String::from_variant(value)?.parse()
            }
        }
    };
}

pub(crate) use enumeration;
pub(crate) use interface;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::host::{self, RestartCause, Transition};

    #[test]
    fn an_enumeration_is_its_fully_qualified_string() {
        assert_eq!(Transition::Reboot.as_str(), "xyz.openbmc_project.State.Host.Transition.Reboot");
        for value in RestartCause::ALL {
            assert_eq!(value.as_str().parse(), Ok(*value));
            assert_eq!(RestartCause::from_variant(value.into_variant()), Ok(*value));
        }
    }

    #[test]
    fn an_unknown_value_is_in_the_error() {
        let text = "xyz.openbmc_project.State.Host.Transition.Fly";
        let error = text.parse::<Transition>().unwrap_err();
        assert_eq!(
            error,
            ValueError::Unknown {
                enumeration: "xyz.openbmc_project.State.Host.Transition",
                value: text.to_owned()
            }
        );
    }

    #[test]
    fn a_value_of_another_type_is_an_error() {
        let error = bool::from_variant(Variant::from(1_u8)).unwrap_err();
        assert_eq!(error, ValueError::Type { want: "b".to_owned(), got: "y".to_owned() });
        assert!(Transition::from_variant(Variant::from(true)).is_err());
        assert!(Vec::<String>::from_variant(Variant::from("x")).is_err());
    }

    #[test]
    fn containers_survive_the_way_there_and_back() {
        let triples = vec![("a".to_owned(), "b".to_owned(), "c".to_owned())];
        assert_eq!(Vec::from_variant(triples.clone().into_variant()), Ok(triples));
        let strings = vec!["x".to_owned()];
        assert_eq!(Vec::from_variant(strings.clone().into_variant()), Ok(strings));
        let code = (vec![1_u8, 2], vec![]);
        assert_eq!(<(Vec<u8>, Vec<u8>)>::from_variant(code.clone().into_variant()), Ok(code));
        let map = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
        assert_eq!(BTreeMap::from_variant(map.clone().into_variant()), Ok(map));
    }

    #[test]
    fn an_interface_knows_its_members() {
        let property = host::INTERFACE.property("RequestedHostTransition").unwrap();
        assert_eq!(property.signature.to_string(), "s");
        assert_eq!(property.access, Access::ReadWrite);
        assert!((property.check)(Transition::On.into_variant()).is_ok());
        assert!((property.check)(Variant::from("On")).is_err());
        assert!(host::INTERFACE.property("Nonsense").is_none());
    }
}

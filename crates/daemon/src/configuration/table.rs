//! Declares a table once: its struct, documentation, defaults, rules, reading and writing.

/// Declares a struct that is a table of the configuration. The documentation comments become both the struct's and
/// the reference's; a field is a key of the same name, or of the one after `as`.
///
/// `field as "key": Type = default, in Rule, or "what holds without it", and required;`
///
/// A field that ends in `and part` is no key: its type is a table whose keys stand among this one's.
macro_rules! table {
    (
        $(#[doc = $about:literal])+
        pub struct $Table:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident $(as $key:literal)?: $type:ty = $default:expr
                    $(, in $rule:expr)? $(, or $otherwise:literal)? $(, and $how:ident)?;
            )+
        }
        $(beside { $(#[doc = $beside_doc:literal])+ $beside:ident: $beside_type:ty })?
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $Table {
            $( $(#[doc = $doc])+ pub $field: $type, )+
            $( $(#[doc = $beside_doc])+ pub $beside: $beside_type, )?
        }

        impl Default for $Table {
            fn default() -> Self {
                Self { $( $field: $default, )+ $( $beside: <$beside_type>::default(), )? }
            }
        }

        $crate::configuration::table::table_of! {
            $(#[doc = $about])+
            $Table {
                $(
                    $(#[doc = $doc])+
                    $field $(as $key)?: $type = $default $(, in $rule)? $(, or $otherwise)? $(, and $how)?;
                )+
            }
        }
    };
}

/// As [`table!`], for a struct that exists already. What it holds beside the keys is as by default.
macro_rules! table_of {
    (
        $(#[doc = $about:literal])+
        $Table:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident $(as $key:literal)?: $type:ty = $default:expr
                    $(, in $rule:expr)? $(, or $otherwise:literal)? $(, and $how:ident)?;
            )+
        }
    ) => {
        impl $crate::configuration::setting::Setting for $Table {
            fn kind() -> String {
                "table".to_owned()
            }

            fn shape() -> $crate::configuration::shape::Shape {
                const TABLE: &$crate::configuration::shape::TableInfo =
                    &$crate::configuration::shape::TableInfo {
                        about: &[$($about),+],
                        fields: &[$(
                            $crate::configuration::shape::KeyInfo {
                                name: $crate::configuration::table::key_name!($field $(as $key)?),
                                about: &[$($doc),+],
                                kind: <$type as $crate::configuration::setting::Setting>::kind,
                                rule: || $crate::configuration::table::rule!($($rule)?),
                                default: || {
                                    let default: $type = $default;
                                    $crate::configuration::setting::Setting::write(&default)
                                },
                                otherwise: $crate::configuration::table::otherwise!($($otherwise)?),
                                required: $crate::configuration::table::is!(required, $($how)?),
                                is_part: $crate::configuration::table::is!(part, $($how)?),
                                shape: <$type as $crate::configuration::setting::Setting>::shape,
                            },
                        )+],
                    };
                $crate::configuration::shape::Shape::Table(TABLE)
            }

            fn read(
                value: &toml::Spanned<toml::de::DeValue<'_>>,
                _rule: &$crate::configuration::rule::Rule,
                reader: &mut $crate::configuration::reader::Reader,
            ) -> Option<Self> {
                let table = reader.open(value, <Self as $crate::configuration::setting::Setting>::shape().table()?)?;
                Some(<Self as $crate::configuration::setting::Table>::read_keys(table, reader))
            }

            fn write(&self) -> Option<toml::Value> {
                let mut table = toml::Table::new();
                $(
                    match $crate::configuration::setting::Setting::write(&self.$field) {
                        Some(toml::Value::Table(part))
                            if $crate::configuration::table::is!(part, $($how)?) =>
                        {
                            table.extend(part);
                        }
                        Some(value) => {
                            let key = $crate::configuration::table::key_name!($field $(as $key)?);
                            table.insert(key.to_owned(), value);
                        }
                        None => {}
                    }
                )+
                Some(toml::Value::Table(table))
            }
        }

        impl $crate::configuration::setting::Table for $Table {
            fn read_keys(
                table: &toml::de::DeTable<'_>,
                reader: &mut $crate::configuration::reader::Reader,
            ) -> Self {
                let shape = <Self as $crate::configuration::setting::Setting>::shape();
                let mut fields = shape.table().into_iter().flat_map(|info| info.fields);
                let mut read = Self::default();
                $(
                    read.$field = $crate::configuration::table::read_field!(
                        $($how)?, $type, $default, fields.next(), table, reader
                    );
                )+
                read
            }
        }
    };
}

/// Declares how the variants of an enum are spelled in the file: as said here, or as its own `ALL` and `name` say.
macro_rules! choices {
    ($type:ty { $($variant:ident => $name:literal),+ $(,)? }) => {
        $crate::configuration::table::choices!($type: [$((<$type>::$variant, $name)),+].into_iter());
    };
    ($type:ty) => {
        $crate::configuration::table::choices!(
            $type: <$type>::ALL.into_iter().map(|choice| (choice, choice.name()))
        );
    };
    ($type:ty: $names:expr) => {
        impl $crate::configuration::setting::Setting for $type {
            fn kind() -> String {
                $names.map(|(_, name)| format!("\"{name}\"")).collect::<Vec<_>>().join(" or ")
            }

            fn read(
                value: &toml::Spanned<toml::de::DeValue<'_>>,
                _rule: &$crate::configuration::rule::Rule,
                reader: &mut $crate::configuration::reader::Reader,
            ) -> Option<Self> {
                let toml::de::DeValue::String(text) = value.get_ref() else {
                    return reader.wrong_type(value, &Self::kind());
                };
                let choice = $names.find(|(_, name)| name == text).map(|(choice, _)| choice);
                choice.or_else(|| reader.refuse(value, "is not one of the allowed values", &Self::kind()))
            }

            fn write(&self) -> Option<toml::Value> {
                $names
                    .find(|(choice, _)| choice == self)
                    .map(|(_, name)| toml::Value::String(name.to_owned()))
            }
        }
    };
}

macro_rules! key_name {
    ($field:ident as $key:literal) => {
        $key
    };
    ($field:ident) => {
        stringify!($field)
    };
}

macro_rules! rule {
    () => {
        $crate::configuration::rule::Rule::Any
    };
    ($rule:expr) => {
        $rule
    };
}

macro_rules! otherwise {
    () => {
        None
    };
    ($otherwise:literal) => {
        Some($otherwise)
    };
}

/// Whether a key is said to be so.
macro_rules! is {
    (required, required) => {
        true
    };
    (part, part) => {
        true
    };
    ($asked:ident, $($said:ident)?) => {
        false
    };
}

macro_rules! read_field {
    (part, $type:ty, $default:expr, $info:expr, $table:ident, $reader:ident) => {{
        let _part = $info;
        <$type as $crate::configuration::setting::Table>::read_keys($table, $reader)
    }};
    ($($required:ident)?, $type:ty, $default:expr, $info:expr, $table:ident, $reader:ident) => {
        $info
            .and_then(|info| $crate::configuration::setting::read_key($reader, $table, info))
            .unwrap_or_else(|| $default)
    };
}

pub(super) use {choices, is, key_name, otherwise, read_field, rule, table, table_of};

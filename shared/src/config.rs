//! Loading of settings: defaults < `quintet.toml` < `QUINTET_SECTION__KEY` variables < flags.
//!
//! One file serves the whole product. [`Common`] holds what several services read; each service owns one section
//! of its own and reads it with [`Source::section`]. A key nobody knows stops the start and names file and key.

mod address;
mod common;
mod described;
mod origin;
mod secret;
mod variables;

use described::{described, place};
use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Deserializer};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use variables::Variables;

pub use address::is_base_url;
pub use common::{Auth, AuthMode, Common};
pub use described::without_login;
pub use origin::is_origin;
pub use secret::Secret;

/// Default settings file, read when it exists.
pub const DEFAULT_FILE: &str = "quintet.toml";

/// Why the settings were refused; the text names the file or variable and the key.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value has the wrong form, or nobody knows the key.
    #[error("{}", described(.0))]
    Invalid(Box<figment::Error>),
    /// The settings file that was asked for, or a file of `data_dir/secrets`, cannot be read.
    #[error("{}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Values that are right one by one and wrong together.
    #[error("{0}")]
    Conflict(String),
}

/// Reads a list given as a list, or as one text with commas (the form a variable can carry).
///
/// # Errors
/// When the value is neither.
pub fn list_or_commas<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        List(Vec<String>),
        Text(String),
    }
    Ok(match Form::deserialize(deserializer)? {
        Form::List(list) => list,
        Form::Text(text) => {
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
        }
    })
}

/// All settings of a process, before they are taken apart into sections.
#[derive(Debug, Clone)]
pub struct Source {
    file: Figment,
    variables: Variables,
    flags: Figment,
}

impl Source {
    /// Reads the file (`quintet.toml` when none is named; then it may be missing) and the `QUINTET_*` variables.
    /// Variables of the command line (`QUINTET_CONFIG`, …) and of tests (`QUINTET_TEST_*`) are passed over.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`] when a named file is missing.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        if let Some(path) = file {
            std::fs::metadata(path)
                .map_err(|cause| ConfigError::Unreadable { path: path.to_owned(), cause })?;
        }
        let file = Figment::new().merge(Toml::file(file.unwrap_or(Path::new(DEFAULT_FILE))));
        Ok(Self { file, variables: Variables::read(), flags: Figment::new() })
    }

    /// [`Source::load`] with the file that `QUINTET_CONFIG` names.
    ///
    /// # Errors
    /// As [`Source::load`].
    pub fn of_program() -> Result<Self, ConfigError> {
        Self::load(std::env::var_os("QUINTET_CONFIG").as_deref().map(Path::new))
    }

    /// Everything, for the settings that `schema` describes; their keys begin with `prefix`.
    fn merged(&self, prefix: &str, schema: &Json) -> Figment {
        self.variables.over(self.file.clone(), prefix, schema).merge(&self.flags)
    }

    /// Lays a flag over what file and variables say; `key` is dotted, as in `gateway.listen`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Serialize) -> Self {
        self.flags = self.flags.merge(Serialized::global(key, value));
        self
    }

    /// The settings that several services read.
    ///
    /// # Errors
    /// Unknown keys, wrong values, unreadable secret files.
    pub fn common(&self) -> Result<Common, ConfigError> {
        let settings = self.merged("", schemars::schema_for!(Common).as_value());
        let common: Common = settings.extract().map_err(|error| ConfigError::Invalid(Box::new(error)))?;
        common.checked().map_err(|error| match self.located(&error.to_string()) {
            Some(text) => ConfigError::Conflict(text),
            None => error,
        })
    }

    /// One service's own section over its defaults.
    ///
    /// # Errors
    /// Unknown keys and wrong values of this section.
    pub fn section<T>(&self, name: &str) -> Result<T, ConfigError>
    where
        T: DeserializeOwned + Serialize + JsonSchema + Default,
    {
        let settings = self.merged(&format!("{name}."), schemars::schema_for!(T).as_value());
        let with_defaults = Figment::from(Serialized::default(name, T::default())).merge(settings);
        with_defaults.extract_inner(name).map_err(|mut error| {
            // The library adds the section behind the key that it found wrong.
            if error.path.last().is_some_and(|last| last.eq_ignore_ascii_case(name)) {
                error.path.rotate_right(1);
            }
            ConfigError::Invalid(Box::new(error))
        })
    }

    /// A refusal of settings begins with their key; this puts in front of it where the key is set. `None` when that is
    /// neither a file nor a variable, or when it is no refusal of settings.
    #[must_use]
    pub fn located(&self, refusal: &str) -> Option<String> {
        let (key, _) = refusal.split_once(':')?;
        Some(format!("{}: {refusal}", self.whence(key)?))
    }

    /// Where a dotted key is set: a file, or a variable. `None` when it is not, or by a flag.
    #[must_use]
    pub fn whence(&self, key: &str) -> Option<String> {
        place(self.merged("", &Json::Null).find_metadata(key)?, key)
    }
}

#[cfg(test)]
#[expect(clippy::result_large_err, reason = "the closure type of figment's jail is not ours")]
mod tests {
    use super::*;
    use figment::Jail;
    use std::collections::BTreeMap;

    #[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
    #[serde(deny_unknown_fields, default)]
    struct Section {
        limit: u32,
        #[serde(deserialize_with = "list_or_commas")]
        names: Vec<String>,
        owners: BTreeMap<String, Owner>,
    }

    #[derive(Debug, Deserialize, Serialize, JsonSchema)]
    struct Owner {
        name: Option<String>,
        token: Option<Secret>,
    }

    #[test]
    fn variables_win_over_the_file_and_flags_over_both() {
        Jail::expect_with(|jail| {
            jail.create_file("quintet.toml", "data_dir = \"a\"\n[events]\nlimit = 1\n")?;
            jail.set_env("QUINTET_EVENTS__LIMIT", "2");
            jail.set_env("QUINTET_EVENTS__NAMES", "x, y");
            let source = Source::load(None).unwrap();
            assert_eq!(source.common().unwrap().data_dir, Path::new("a"));
            let section: Section = source.section("events").unwrap();
            assert_eq!((section.limit, section.names), (2, vec!["x".to_owned(), "y".to_owned()]));
            let section: Section = source.with("events.limit", 3).section("events").unwrap();
            assert_eq!(section.limit, 3);
            Ok(())
        });
    }

    #[test]
    fn an_unknown_key_is_refused_with_file_and_key() {
        Jail::expect_with(|jail| {
            jail.create_file("quintet.toml", "[events]\nlimti = 1\n")?;
            let error = Source::load(None).unwrap().section::<Section>("events").unwrap_err().to_string();
            assert!(error.contains("events.limti") && error.contains("quintet.toml"), "{error}");
            jail.create_file("quintet.toml", "[events]\nlimit = \"x\"\n")?;
            let error = Source::load(None).unwrap().section::<Section>("events").unwrap_err();
            assert!(error.to_string().contains("events.limit"), "{error}");
            assert!(std::error::Error::source(&error).is_none(), "said once: {error:?}");
            jail.create_file("quintet.toml", "dta_dir = 1\n")?;
            let error = Source::load(None).unwrap().common().unwrap_err().to_string();
            assert!(error.contains(" for key dta_dir in ") && error.contains("quintet.toml"), "{error}");
            jail.set_env("QUINTET_EVENTS__LIMIT", "x");
            jail.create_file("quintet.toml", "data_dir = \"a\"\n")?;
            let source = Source::load(None).unwrap();
            let error = source.section::<Section>("events").unwrap_err().to_string();
            assert!(error.ends_with(" for key events.limit in QUINTET_EVENTS__LIMIT"), "{error}");
            assert_eq!(source.whence("events.limit").as_deref(), Some("QUINTET_EVENTS__LIMIT"));
            assert!(source.whence("data_dir").unwrap().ends_with("quintet.toml"));
            assert_eq!(source.with("events.names", "a").whence("events.names"), None);
            Ok(())
        });
    }

    #[test]
    fn a_secret_in_a_variable_is_every_character_of_it() {
        for text in [
            "0012345678",
            "+5",
            "-0",
            "1234567.10",
            "1e5",
            "12345678901234567890",
            "99999999999999999999999",
            "[x]",
            "{a=1}",
            "true",
            "\"quoted\"",
            "'x'",
            " spaced ",
        ] {
            Jail::expect_with(|jail| {
                jail.set_env("QUINTET_AUTH__SNAP_PASSWORD", text);
                jail.set_env("QUINTET_EVENTS__OWNERS__ADA__TOKEN", text);
                let source = Source::load(None).unwrap();
                assert_eq!(source.common().unwrap().auth.snap_password.unwrap().reveal(), text);
                let section: Section = source.section("events").unwrap();
                assert_eq!(section.owners["ada"].token.as_ref().unwrap().reveal(), text);
                Ok(())
            });
        }
    }

    #[test]
    fn a_text_in_a_variable_may_be_digits_and_have_quotes_around_it() {
        for (text, expected) in
            [("007", "007"), ("+5", "+5"), ("true", "true"), ("\"007\"", "007"), (" a ", "a")]
        {
            Jail::expect_with(|jail| {
                jail.set_env("QUINTET_AUTH__ADMIN_USER", text);
                jail.set_env("QUINTET_EVENTS__NAMES", text);
                jail.set_env("QUINTET_EVENTS__OWNERS__ADA__NAME", text);
                jail.set_env("QUINTET_EVENTS__LIMIT", "007");
                let source = Source::load(None).unwrap();
                assert_eq!(source.common().unwrap().auth.admin_user.as_deref(), Some(expected));
                let section: Section = source.section("events").unwrap();
                assert_eq!((section.limit, section.names.as_slice()), (7, [expected.to_owned()].as_slice()));
                assert_eq!(section.owners["ada"].name.as_deref(), Some(expected));
                Ok(())
            });
        }
        Jail::expect_with(|jail| {
            jail.set_env("QUINTET_EVENTS__NAMES", "[x, \"007\"]");
            jail.set_env("QUINTET_EVENTS__OWNERS", "{ada={name=\"a\"}}");
            let section: Section = Source::load(None).unwrap().section("events").unwrap();
            assert_eq!((section.names.join(" "), section.owners.len()), ("x 007".to_owned(), 1));
            Ok(())
        });
    }
}

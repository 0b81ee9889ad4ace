//! Loading of settings: defaults < `quintet.toml` < `QUINTET_SECTION__KEY` variables < flags.
//!
//! One file serves the whole product. [`Common`] holds what several services read; each service owns one section
//! of its own and reads it with [`Source::section`]. A key nobody knows stops the start and names file and key.

mod described;
mod origin;
mod variables;

use described::{described, place};
use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use variables::Variables;

pub use described::without_login;
pub use origin::is_origin;

/// Default settings file, read when it exists.
pub const DEFAULT_FILE: &str = "quintet.toml";

/// Longest time that open requests may get after SIGTERM: a day.
const LONGEST_SHUTDOWN_SECS: u64 = 86_400;

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

/// A value that never shows in logs or in `config print`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("********")
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("********")
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "writeOnly": true })
    }
}

impl<'de> Deserialize<'de> for Secret {
    /// Takes numbers and booleans too: in a file, the quotes around a password of digits are easily forgotten.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Scalar {
            Text(String),
            Integer(i64),
            Float(f64),
            Bool(bool),
        }
        Ok(Self(match Scalar::deserialize(deserializer)? {
            Scalar::Text(text) => text,
            Scalar::Integer(number) => number.to_string(),
            Scalar::Float(number) => number.to_string(),
            Scalar::Bool(word) => word.to_string(),
        }))
    }
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

/// Who may call, and the first accounts.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// `open`: nobody logs in; `secure`: deny by default. Unset: `open` on loopback, refused elsewhere.
    pub mode: Option<AuthMode>,
    /// Name of the first user, who holds all permissions. Unset: `admin`.
    pub admin_user: Option<String>,
    /// Password of the first user, 8 characters or more. Unset: generated on first start into `data_dir/secrets`.
    pub admin_password: Option<Secret>,
    /// File that holds `admin_password`.
    pub admin_password_file: Option<PathBuf>,
    /// Password of Snap's basic authentication (user `snap`). Unset: generated.
    pub snap_password: Option<Secret>,
    /// File that holds `snap_password`.
    pub snap_password_file: Option<PathBuf>,
    /// Key with which the gateway signs identities for the services, the same for all of one installation.
    /// Unset: generated into `data_dir/secrets`.
    pub internal_key: Option<Secret>,
    /// File that holds `internal_key`.
    pub internal_key_file: Option<PathBuf>,
}

/// Whether callers must log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Nobody logs in; Panko's identity headers are believed.
    Open,
    /// Deny by default.
    Secure,
}

/// Settings that several services read.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Common {
    /// Folder of the SQLite files, secrets and uploads.
    pub data_dir: PathBuf,
    /// `postgres://…`: one database, one schema per service; through `PgBouncer` in session mode only. Unset: SQLite files in `data_dir`.
    pub database_url: Option<Secret>,
    /// File that holds `database_url`.
    pub database_url_file: Option<PathBuf>,
    /// Database connections each service holds open at most for reading, 2 to 64; on PostgreSQL half as many more write, and two more for group commit.
    pub database_connections: u32,
    /// Who may call, and the first accounts.
    pub auth: Auth,
    /// An original `winchester.yaml`.
    pub winchester_config: Option<PathBuf>,
    /// `event_definitions.yaml` in ceilometer's dialect, unless `winchester_config` names a `distiller_config`. Unset: a
    /// built-in catch-all.
    pub event_definitions: Option<PathBuf>,
    /// Seconds that open requests get to end after SIGTERM, 0 to 86 400.
    pub shutdown_timeout_secs: u64,
    #[serde(skip_serializing)]
    #[schemars(skip)]
    #[doc(hidden)]
    pub gateway: IgnoredAny,
    #[serde(skip_serializing)]
    #[schemars(skip)]
    #[doc(hidden)]
    pub events: IgnoredAny,
    #[serde(skip_serializing)]
    #[schemars(skip)]
    #[doc(hidden)]
    pub streams: IgnoredAny,
    #[serde(skip_serializing)]
    #[schemars(skip)]
    #[doc(hidden)]
    pub tasks: IgnoredAny,
    #[serde(skip_serializing)]
    #[schemars(skip)]
    #[doc(hidden)]
    pub tribe: IgnoredAny,
    #[serde(skip_serializing)]
    #[schemars(skip)]
    #[doc(hidden)]
    pub annotate: IgnoredAny,
    #[serde(skip_serializing)]
    #[schemars(skip)]
    #[doc(hidden)]
    pub dtrace: IgnoredAny,
}

impl Default for Common {
    fn default() -> Self {
        Self {
            data_dir: "data".into(),
            database_url: None,
            database_url_file: None,
            database_connections: 8,
            auth: Auth::default(),
            winchester_config: None,
            event_definitions: None,
            shutdown_timeout_secs: 30,
            gateway: IgnoredAny,
            events: IgnoredAny,
            streams: IgnoredAny,
            tasks: IgnoredAny,
            tribe: IgnoredAny,
            annotate: IgnoredAny,
            dtrace: IgnoredAny,
        }
    }
}

impl Common {
    /// The engine and place of `service`'s own tables: its schema on PostgreSQL, its file in `data_dir` on SQLite.
    ///
    /// # Errors
    /// [`ConfigError::Conflict`] when `database_url` is no PostgreSQL address.
    pub fn database(&self, service: &str) -> Result<crate::db::Target, ConfigError> {
        match &self.database_url {
            None => Ok(crate::db::Target::Sqlite { file: self.data_dir.join(format!("{service}.sqlite")) }),
            Some(url) => crate::db::Target::postgres(url.reveal(), service).ok_or_else(|| {
                let key = if self.database_url_file.is_some() { "database_url_file" } else { "database_url" };
                ConfigError::Conflict(format!(
                    "{key}: expected postgres://user:password@host:port/database, with % as %25 (leave it out for SQLite)"
                ))
            }),
        }
    }

    /// Reads the files of secrets, and refuses what cannot work.
    fn checked(mut self) -> Result<Self, ConfigError> {
        let auth = &mut self.auth;
        for (key, secret, file) in [
            ("database_url_file", &mut self.database_url, &self.database_url_file),
            ("auth.admin_password_file", &mut auth.admin_password, &auth.admin_password_file),
            ("auth.snap_password_file", &mut auth.snap_password, &auth.snap_password_file),
            ("auth.internal_key_file", &mut auth.internal_key, &auth.internal_key_file),
        ] {
            fill(key, secret, file.as_deref())?;
        }
        self.database("any")?;
        if !(2..=64).contains(&self.database_connections) {
            let found = self.database_connections;
            return Err(ConfigError::Conflict(format!(
                "database_connections: expected 2 to 64, found {found}"
            )));
        }
        if self.shutdown_timeout_secs > LONGEST_SHUTDOWN_SECS {
            return Err(ConfigError::Conflict(format!(
                "shutdown_timeout_secs: expected 0 to {LONGEST_SHUTDOWN_SECS}, found {}",
                self.shutdown_timeout_secs
            )));
        }
        Ok(self)
    }
}

/// Fills an unset secret from the file that `key` names; the last line break is not part of it. No name is no file: that
/// is what a variable comes to that was filled from an empty one. Of two secrets nobody knows which is meant.
fn fill(key: &str, secret: &mut Option<Secret>, file: Option<&Path>) -> Result<(), ConfigError> {
    if let Some(path) = file.filter(|path| !path.as_os_str().is_empty()) {
        if secret.is_some() {
            let value = key.trim_end_matches("_file");
            return Err(ConfigError::Conflict(format!("{key}: {value} is set too; leave one of them out")));
        }
        let text = std::fs::read_to_string(path)
            .map_err(|cause| ConfigError::Conflict(format!("{key}: {}: {cause}", path.display())))?;
        *secret = Some(Secret::new(text.trim_end_matches(['\n', '\r'])));
    }
    Ok(())
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
    fn a_database_of_another_kind_is_refused_before_it_is_asked_for() {
        Jail::expect_with(|jail| {
            jail.set_env("QUINTET_DATABASE_URL", "mysql://ada:hunter2@db/x");
            let error = Source::load(None).unwrap().common().unwrap_err().to_string();
            assert!(error.contains("database_url") && !error.contains("hunter2"), "{error}");
            Ok(())
        });
    }

    #[test]
    fn an_address_of_no_database_is_refused_with_where_it_is_set() {
        Jail::expect_with(|jail| {
            for url in
                ["postgres://u:hunter2@db:99999/x", "postgres://u:hunter2@a:1,b:x/y", "postgres://[::1]:0/x"]
            {
                jail.set_env("QUINTET_DATABASE_URL", url);
                let error = Source::load(None).unwrap().common().unwrap_err().to_string();
                assert!(
                    error.starts_with("QUINTET_DATABASE_URL: database_url: expected postgres://"),
                    "{error}"
                );
                assert!(!error.contains("hunter2"), "{error}");
            }
            for url in [
                "postgres:///x?host=/run",
                "postgres://u:p@[::1]:5432/x",
                "postgres://a:1,b,c/x",
                "postgres://",
            ] {
                jail.set_env("QUINTET_DATABASE_URL", url);
                assert!(Source::load(None).unwrap().common().is_ok(), "{url}");
            }
            Ok(())
        });
    }

    #[test]
    fn a_stop_takes_a_day_at_most() {
        let refusal = |secs: u64| {
            let source = Source::load(None).unwrap().with("shutdown_timeout_secs", secs);
            source.common().map_or_else(|error| error.to_string(), |_| "accepted".into())
        };
        // An instant that far away panics.
        let expected = "shutdown_timeout_secs: expected 0 to 86400, found 18446744073709551615";
        assert_eq!(refusal(u64::MAX), expected);
        assert!(refusal(86_401).starts_with("shutdown_timeout_secs: "));
        assert_eq!((refusal(0).as_str(), refusal(86_400).as_str()), ("accepted", "accepted"));
    }

    #[test]
    fn a_secret_and_its_file_together_are_refused_by_name() {
        Jail::expect_with(|jail| {
            jail.create_file("pw", "hunter2\n")?;
            jail.set_env("QUINTET_AUTH__ADMIN_PASSWORD", "hunter3");
            jail.set_env("QUINTET_AUTH__ADMIN_PASSWORD_FILE", "pw");
            let error = Source::load(None).unwrap().common().unwrap_err().to_string();
            let expected = "QUINTET_AUTH__ADMIN_PASSWORD_FILE: auth.admin_password_file: auth.admin_password is set too; \
                            leave one of them out";
            assert_eq!(error, expected);
            jail.set_env("QUINTET_AUTH__ADMIN_PASSWORD_FILE", "");
            assert!(Source::load(None).unwrap().common().is_ok(), "no name is no file");
            Ok(())
        });
    }

    #[test]
    fn secrets_come_from_files_may_be_digits_and_never_show() {
        Jail::expect_with(|jail| {
            jail.create_file("pw", "hunter2\n")?;
            jail.set_env("QUINTET_AUTH__ADMIN_PASSWORD_FILE", "pw");
            jail.set_env("QUINTET_AUTH__SNAP_PASSWORD", "1234");
            let common = Source::load(None).unwrap().common().unwrap();
            assert_eq!(common.auth.admin_password.as_ref().unwrap().reveal(), "hunter2");
            assert_eq!(common.auth.snap_password.as_ref().unwrap().reveal(), "1234");
            let shown = format!("{common:?}{}", serde_json::to_string(&common).unwrap());
            assert!(!shown.contains("hunter2") && !shown.contains("1234"), "{shown}");
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

//! Settings that several services read.

use super::{ConfigError, Secret};
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Longest time that open requests may get after SIGTERM: a day.
const LONGEST_SHUTDOWN_SECS: u64 = 86_400;

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
    pub(super) fn checked(mut self) -> Result<Self, ConfigError> {
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
/// is what a variable comes to that was filled from an empty one. A secret and its file together are refused, because
/// nothing tells which of the two is meant.
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

#[cfg(test)]
#[expect(clippy::result_large_err, reason = "the closure type of figment's jail is not ours")]
mod tests {
    use crate::config::Source;
    use figment::Jail;

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
}

//! Secrets of one installation: taken from the settings, or made on first start into `data_dir/secrets`.
//!
//! Each secret is a file of its own with mode 0600 in a folder with mode 0700. Making one is safe against several
//! processes that start at once: the text is written to a private file first and then linked to its name, which
//! only one of them can do; the others read what the winner wrote.

use crate::config::{Common, ConfigError, Secret};
use crate::identity::IdentityKey;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Folder below `data_dir`.
const FOLDER: &str = "secrets";

/// Random bytes of a generated secret; 192 bits cannot be guessed.
const GENERATED_BYTES: usize = 24;

/// Fewest characters of an internal key from the settings.
const INTERNAL_KEY_CHARS: usize = 16;

/// Fewest characters of the first user's password, as of every user's.
const PASSWORD_CHARS: usize = 8;

/// Name of the first user when the settings give none.
pub const DEFAULT_ADMIN_USER: &str = "admin";

/// The secrets that an installation cannot do without.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// Signs and verifies identities between the gateway and the services.
    pub internal_key: IdentityKey,
    /// Name of the first user.
    pub admin_user: String,
    /// Password of the first user.
    pub admin_password: Secret,
    /// Password of Snap's basic authentication.
    pub snap_password: Secret,
}

impl Secrets {
    /// All of them; what the settings leave out is read from `data_dir/secrets`, or made there.
    ///
    /// # Errors
    /// [`ConfigError::Conflict`] for an empty password or a short key, and when the folder cannot be used.
    pub fn load_or_create(common: &Common) -> Result<Self, ConfigError> {
        let auth = &common.auth;
        Ok(Self {
            internal_key: internal_key(common)?,
            admin_user: auth.admin_user.clone().unwrap_or_else(|| DEFAULT_ADMIN_USER.into()),
            admin_password: choose(common, auth.admin_password.as_ref(), "admin_password", PASSWORD_CHARS)?,
            snap_password: choose(common, auth.snap_password.as_ref(), "snap_password", 1)?,
        })
    }
}

/// The key alone: all that a service other than the gateway needs.
///
/// # Errors
/// As [`Secrets::load_or_create`].
pub fn internal_key(common: &Common) -> Result<IdentityKey, ConfigError> {
    let text = choose(common, common.auth.internal_key.as_ref(), "internal_key", INTERNAL_KEY_CHARS)?;
    Ok(IdentityKey::new(text.reveal().as_bytes()))
}

/// Checks what [`Secrets::load_or_create`] would refuse, without making anything.
///
/// # Errors
/// As [`Secrets::load_or_create`].
pub fn check(common: &Common) -> Result<(), ConfigError> {
    let auth = &common.auth;
    for (name, given, fewest_chars) in [
        ("internal_key", &auth.internal_key, INTERNAL_KEY_CHARS),
        ("admin_password", &auth.admin_password, PASSWORD_CHARS),
        ("snap_password", &auth.snap_password, 1),
    ] {
        if given.is_some() || path(common, name).exists() {
            choose(common, given.as_ref(), name, fewest_chars)?;
        }
    }
    Ok(())
}

/// The path of a generated secret, for telling the operator where to look.
#[must_use]
pub fn path(common: &Common, name: &str) -> PathBuf {
    common.data_dir.join(FOLDER).join(name)
}

/// The secret kept under `name`; the first caller stores `make()` there.
///
/// # Errors
/// [`ConfigError::Unreadable`] when the file can be neither read nor made, [`ConfigError::Conflict`] when it is empty.
pub fn stored(common: &Common, name: &str, make: impl FnOnce() -> String) -> Result<Secret, ConfigError> {
    let path = path(common, name);
    let text =
        read_or_make(&path, make).map_err(|cause| ConfigError::Unreadable { path: path.clone(), cause })?;
    if text.is_empty() {
        return Err(ConfigError::Conflict(format!("{}: the file is empty", path.display())));
    }
    Ok(Secret::new(text))
}

/// A fresh random text of 32 URL-safe characters.
#[must_use]
pub fn generate() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; GENERATED_BYTES]>())
}

/// The secret of the settings, else the stored one.
fn choose(
    common: &Common,
    given: Option<&Secret>,
    name: &str,
    fewest_chars: usize,
) -> Result<Secret, ConfigError> {
    let auth = &common.auth;
    let files = [
        ("internal_key", &auth.internal_key_file),
        ("admin_password", &auth.admin_password_file),
        ("snap_password", &auth.snap_password_file),
    ];
    let is_of_file = files.iter().any(|(own, file)| *own == name && file.is_some());
    let key = if is_of_file { format!("auth.{name}_file") } else { format!("auth.{name}") };
    match given {
        None => stored(common, name, generate).map_err(|cause| {
            ConfigError::Conflict(format!("{key}: it is not set, and its file is of no use: {cause}"))
        }),
        Some(secret) if secret.reveal().chars().count() < fewest_chars => {
            Err(ConfigError::Conflict(format!("{key}: expected at least {fewest_chars} characters")))
        }
        Some(secret) => Ok(secret.clone()),
    }
}

fn read_or_make(path: &Path, make: impl FnOnce() -> String) -> io::Result<String> {
    match read(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => create(path, &make()),
        outcome => outcome,
    }
}

/// The last line break is not part of the secret: an editor may have added it.
fn read(path: &Path) -> io::Result<String> {
    Ok(fs::read_to_string(path)?.trim_end_matches(['\n', '\r']).to_owned())
}

/// Stores `text` under `path` unless somebody was faster; answers what is stored there now.
fn create(path: &Path, text: &str) -> io::Result<String> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let draft = folder.join(format!(".{}", uuid::Uuid::new_v4().simple()));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = writeln!(file, "{text}").and_then(|()| file.sync_all());
    let linked = written.and_then(|()| fs::hard_link(&draft, path));
    fs::remove_file(&draft)?;
    match linked {
        Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => Err(cause),
        Ok(()) | Err(_) => {
            fs::File::open(folder)?.sync_all()?;
            read(path)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn installation() -> (Common, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let common = Common { data_dir: folder.path().join("data"), ..Common::default() };
        (common, folder)
    }

    #[test]
    fn generated_secrets_stay_the_same_and_belong_to_the_owner_alone() {
        let (common, _folder) = installation();
        let first = Secrets::load_or_create(&common).unwrap();
        let second = Secrets::load_or_create(&common).unwrap();
        assert_eq!(first.admin_password, second.admin_password);
        assert_ne!(first.admin_password, first.snap_password);
        for name in ["internal_key", "admin_password", "snap_password"] {
            let mode = fs::metadata(path(&common, name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        let folder = path(&common, "internal_key");
        let mode = fs::metadata(folder.parent().unwrap()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert_eq!(fs::read_dir(folder.parent().unwrap()).unwrap().count(), 3, "no draft stays behind");
    }

    #[test]
    fn sixteen_starts_at_once_agree_on_one_secret() {
        let (common, _folder) = installation();
        let texts: Vec<String> = std::thread::scope(|scope| {
            let starts: Vec<_> =
                (0..16).map(|_| scope.spawn(|| stored(&common, "one", generate).unwrap())).collect();
            starts.into_iter().map(|start| start.join().unwrap().reveal().to_owned()).collect()
        });
        assert!(texts.iter().all(|text| text == &texts[0] && text.len() == 32), "{texts:?}");
    }

    #[test]
    fn a_check_makes_nothing() {
        let (common, folder) = installation();
        check(&common).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn settings_win_over_files_and_short_secrets_are_refused() {
        let (mut common, _folder) = installation();
        common.auth.admin_password = Some(Secret::new("chosen by hand"));
        assert_eq!(Secrets::load_or_create(&common).unwrap().admin_password.reveal(), "chosen by hand");
        common.auth.admin_password = Some(Secret::new("seven.."));
        let error = Secrets::load_or_create(&common).unwrap_err().to_string();
        assert_eq!(error, "auth.admin_password: expected at least 8 characters");
        assert_eq!(check(&common).unwrap_err().to_string(), error);
        common.auth.internal_key = Some(Secret::new("fifteen letters"));
        assert!(internal_key(&common).is_err());
        common.auth.internal_key = Some(Secret::new("sixteen letters."));
        assert!(internal_key(&common).is_ok());
        fs::write(path(&common, "snap_password"), "\n").unwrap();
        common.auth.admin_password = None;
        assert!(check(&common).unwrap_err().to_string().ends_with("the file is empty"));
        assert!(Secrets::load_or_create(&common).unwrap_err().to_string().ends_with("the file is empty"));
    }
}

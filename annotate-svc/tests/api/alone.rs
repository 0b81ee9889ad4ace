//! The program `annotate-svc`.

use std::process::Command;

#[test]
fn a_setting_that_cannot_work_is_named_with_where_it_is_set() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |variable: &str, value: &str| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_annotate-svc"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("QUINTET_")) {
            program.env_remove(name);
        }
        let ended = program.current_dir(folder.path()).env(variable, value).output().unwrap();
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        let database = folder.path().join("data/annotate.sqlite");
        assert!(!database.exists(), "no database is made before the settings are good");
        // A backtrace may follow.
        String::from_utf8(ended.stderr).unwrap().lines().next().unwrap().to_owned()
    };
    assert_eq!(
        refused("QUINTET_ANNOTATE__LISTEN__WORKERS", "0"),
        "Error: QUINTET_ANNOTATE__LISTEN__WORKERS: annotate.listen.workers: expected 1 to 64, found 0"
    );
    assert_eq!(
        refused("QUINTET_ANNOTATE__LISTEN__ADDRESS", "nowhere"),
        "Error: QUINTET_ANNOTATE__LISTEN__ADDRESS: annotate.listen.address: expected host:port, found nowhere"
    );
    assert_eq!(
        refused("QUINTET_ANNOTATE__MAX_PAGE", "0"),
        "Error: QUINTET_ANNOTATE__MAX_PAGE: annotate.max_page: expected 1 to 100000"
    );
    let key = folder.path().join("key");
    std::fs::write(&key, "short\n").unwrap();
    assert_eq!(
        refused("QUINTET_AUTH__INTERNAL_KEY_FILE", key.to_str().unwrap()),
        "Error: QUINTET_AUTH__INTERNAL_KEY_FILE: auth.internal_key_file: expected at least 16 characters"
    );
    assert_eq!(
        refused("QUINTET_AUTH__INTERNAL_KEY", "short"),
        "Error: QUINTET_AUTH__INTERNAL_KEY: auth.internal_key: expected at least 16 characters"
    );
}

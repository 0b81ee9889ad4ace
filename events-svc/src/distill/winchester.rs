//! The part of a `winchester.yaml` that is about definitions.
//!
//! Keys: `distiller_config`, `config_path`, `catch_all_notifications`, `distiller_trait_plugins`. All others
//! are for somebody else.

use std::path::{Path, PathBuf};

use shared::yaml::{self, Error, Node};

use super::{Dialect, Distiller};

/// See [`Distiller::from_winchester`].
pub(super) fn load(path: &Path) -> Result<Option<Distiller>, Error> {
    let root = yaml::load(path)?;
    if root.as_map().is_none() && !root.is_null() {
        return Err(root.error(format!("a mapping of settings is expected, not {}", root.kind())));
    }
    let Some(config) = setting(&root, "distiller_config") else { return Ok(None) };
    let name = config.as_str().ok_or_else(|| config.error("distiller_config must be a file name"))?;
    let folders = folders(&root, path)?;
    let found = folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file());
    let found = found.ok_or_else(|| {
        let tried: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
        config.error(format!("distiller_config: no file {name} in {}", tried.join(", ")))
    })?;
    let catch_all = match setting(&root, "catch_all_notifications") {
        None => false,
        Some(node) => {
            node.as_bool().ok_or_else(|| node.error("catch_all_notifications must be true or false"))?
        }
    };
    let mut plugins = Dialect::Stackdistiller.plugins();
    if let Some(classes) = setting(&root, "distiller_trait_plugins") {
        let wrong = || classes.error("distiller_trait_plugins must map names to classes");
        for (name, class) in classes.as_map().ok_or_else(wrong)? {
            let (Some(name), Some(class)) = (name.as_str(), class.as_str()) else { return Err(wrong()) };
            plugins.register_class(name, class);
        }
    }
    Distiller::load_with(&found, Dialect::Stackdistiller, catch_all, &plugins).map(Some)
}

fn setting<'a>(root: &'a Node, key: &str) -> Option<&'a Node> {
    root.get(key).filter(|node| !node.is_null())
}

/// Where relative files are searched: on `config_path`, then beside this file. A relative folder of
/// `config_path` is searched from the working directory and from beside this file. (Joining an absolute
/// file name gives that name.)
fn folders(root: &Node, path: &Path) -> Result<Vec<PathBuf>, Error> {
    let beside = path.parent().unwrap_or(Path::new(""));
    let mut folders = Vec::new();
    if let Some(node) = setting(root, "config_path") {
        let wrong = || node.error("config_path must be a folder or a list of folders");
        for folder in node.as_list().unwrap_or(std::slice::from_ref(node)) {
            let folder = folder.as_str().ok_or_else(wrong)?;
            folders.extend([PathBuf::from(folder), beside.join(folder)]);
        }
    } else {
        folders.push(PathBuf::from("."));
    }
    folders.push(beside.to_owned());
    Ok(folders)
}

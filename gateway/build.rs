//! Finds the API documents of the product and puts them into the program, so that `/docs` needs no file at run time.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let crate_folder = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let folder = crate_folder.join("../docs/openapi");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut documents = String::from("&[\n");
    for path in yaml_files(&folder)? {
        println!("cargo::rerun-if-changed={}", path.display());
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        // Writing into memory cannot fail.
        let _ = writeln!(documents, "    ({name:?}, include_str!({:?})),", path.canonicalize()?);
    }
    documents.push(']');
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("documents.rs"), documents)
}

/// In the order of their names; a missing folder holds none.
fn yaml_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

//! The triggers, pipelines and settings in force, and their exchange while everything runs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use sha2::{Digest, Sha256};
use shared::yaml;

use crate::config::Config;
use crate::model::hex;
use crate::winchester::StreamsPart;

/// How often files that change while they are read are read again.
const READINGS: usize = 5;

/// What streams are made and done by, until it is read anew.
pub struct Definitions {
    file: Option<PathBuf>,
    config: Config,
    current: RwLock<Arc<Loaded>>,
    /// Held from looking at what is in force to having told the replicas of it, so that nobody tells of what is over.
    pub(crate) telling: tokio::sync::Mutex<()>,
}

/// One reading of the definitions.
pub struct Loaded {
    /// Triggers, pipelines and settings; the service's own settings laid over them.
    pub part: StreamsPart,
    /// Grows with every reading.
    pub generation: u64,
    /// SHA-256 of the files in hexadecimal; empty without files. Replicas know by it whether they run by the same.
    pub digest: String,
}

/// Definitions that were read and are not in force yet.
pub struct Reading {
    part: StreamsPart,
    /// [`Loaded::digest`] to be.
    pub digest: String,
}

impl Definitions {
    /// Reads the `winchester.yaml`; without one there are no triggers.
    ///
    /// # Errors
    /// [`yaml::Error`] naming file, line and key.
    pub fn load(file: Option<PathBuf>, config: &Config) -> Result<Self, yaml::Error> {
        let reading = match &file {
            Some(file) => read(file)?,
            None => Reading { part: StreamsPart::default(), digest: String::new() },
        };
        Ok(Self::first(file, reading, config))
    }

    /// Definitions that come from no file.
    #[must_use]
    pub fn fixed(part: StreamsPart, config: &Config) -> Self {
        Self::first(None, Reading { part, digest: String::new() }, config)
    }

    fn first(file: Option<PathBuf>, reading: Reading, config: &Config) -> Self {
        let Reading { part, digest } = reading;
        tell(&part.warnings);
        let first = Loaded { part: overridden(part, config), generation: 0, digest };
        Self {
            file,
            config: config.clone(),
            current: RwLock::new(Arc::new(first)),
            telling: tokio::sync::Mutex::default(),
        }
    }

    /// The definitions in force.
    #[must_use]
    pub fn current(&self) -> Arc<Loaded> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the files again and changes nothing yet. Nothing if there are no files.
    ///
    /// # Errors
    /// [`yaml::Error`] naming file, line and key.
    pub fn read(&self) -> Result<Option<Reading>, yaml::Error> {
        self.file.as_deref().map(read).transpose()
    }

    /// Puts in force what was read, as a whole.
    pub fn put_in_force(&self, reading: Reading) -> Arc<Loaded> {
        let Reading { part, digest } = reading;
        tell(&part.warnings);
        let part = overridden(part, &self.config);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(Loaded { part, generation: current.generation + 1, digest });
        log::info!("triggers and pipelines were read again");
        Arc::clone(&current)
    }
}

/// Reads the files until they have stood still from one reading to the next.
fn read(file: &Path) -> Result<Reading, yaml::Error> {
    let mut part = StreamsPart::load(file)?;
    let mut before = digest(&part.files);
    for _ in 1..READINGS {
        part = StreamsPart::load(file)?;
        let after = digest(&part.files);
        if after == before {
            break;
        }
        before = after;
    }
    Ok(Reading { part, digest: before })
}

/// Logs what is odd in the files. What was odd the last time was told then: a start reads them twice.
fn tell(warnings: &[String]) {
    static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    warnings.iter().filter(|warning| !told.contains(warning)).for_each(|warning| log::warn!("{warning}"));
    warnings.clone_into(&mut told);
}

/// Of the contents. One that cannot be read any more is as good as none: it was read a moment ago.
fn digest(files: &[PathBuf]) -> String {
    let mut digest = Sha256::new();
    for file in files {
        let content = std::fs::read(file).unwrap_or_default();
        digest.update(format!("{}\n", content.len()));
        digest.update(content);
    }
    hex(&digest.finalize())
}

fn overridden(mut part: StreamsPart, config: &Config) -> StreamsPart {
    if let Some(secs) = config.worker_delay_secs {
        part.pipeline_worker_delay = Duration::try_from_secs_f64(secs).unwrap_or(part.pipeline_worker_delay);
    }
    part.pipeline_worker_batch_size = config.worker_batch_size.unwrap_or(part.pipeline_worker_batch_size);
    part.purge_completed_streams = config.purge_completed_streams.unwrap_or(part.purge_completed_streams);
    part
}

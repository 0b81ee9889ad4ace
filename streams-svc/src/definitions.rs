//! The triggers, pipelines and settings in force, and their exchange while everything runs.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use shared::yaml;

use crate::config::Config;
use crate::winchester::StreamsPart;

/// What streams are made and done by, until it is read anew.
pub struct Definitions {
    file: Option<PathBuf>,
    config: Config,
    current: RwLock<Arc<Loaded>>,
}

/// One reading of the definitions.
pub struct Loaded {
    /// Triggers, pipelines and settings; the service's own settings laid over them.
    pub part: StreamsPart,
    /// Grows with every reading.
    pub generation: u64,
}

impl Definitions {
    /// Reads the `winchester.yaml`; without one there are no triggers.
    ///
    /// # Errors
    /// [`yaml::Error`] naming file, line and key.
    pub fn load(file: Option<PathBuf>, config: &Config) -> Result<Self, yaml::Error> {
        let part = match &file {
            Some(file) => StreamsPart::load(file)?,
            None => StreamsPart::default(),
        };
        let config = config.clone();
        let first = Loaded { part: overridden(part, &config), generation: 0 };
        Ok(Self { file, config, current: RwLock::new(Arc::new(first)) })
    }

    /// Definitions that come from no file.
    #[must_use]
    pub fn fixed(part: StreamsPart, config: &Config) -> Self {
        let first = Loaded { part: overridden(part, config), generation: 0 };
        Self { file: None, config: config.clone(), current: RwLock::new(Arc::new(first)) }
    }

    /// The definitions in force.
    #[must_use]
    pub fn current(&self) -> Arc<Loaded> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the files again. If anything in them is wrong, everything stays as it is.
    ///
    /// # Errors
    /// [`yaml::Error`] naming file, line and key.
    pub fn reload(&self) -> Result<Arc<Loaded>, yaml::Error> {
        let Some(file) = &self.file else { return Ok(self.current()) };
        let part = overridden(StreamsPart::load(file)?, &self.config);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(Loaded { part, generation: current.generation + 1 });
        log::info!("triggers and pipelines were read again");
        Ok(Arc::clone(&current))
    }
}

fn overridden(mut part: StreamsPart, config: &Config) -> StreamsPart {
    if let Some(secs) = config.worker_delay_secs {
        part.pipeline_worker_delay = Duration::try_from_secs_f64(secs).unwrap_or(part.pipeline_worker_delay);
    }
    part.pipeline_worker_batch_size = config.worker_batch_size.unwrap_or(part.pipeline_worker_batch_size);
    part.purge_completed_streams = config.purge_completed_streams.unwrap_or(part.purge_completed_streams);
    part
}

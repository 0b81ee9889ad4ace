//! The part of a `winchester.yaml` that is about triggers, streams and pipelines.
//!
//! Keys: `config_path`, `trigger_definitions`, `pipeline_config`, `pipeline_handlers`, `statistics_period`,
//! `pipeline_worker_batch_size`, `pipeline_worker_delay`, `purge_completed_streams`, `trim_events`,
//! `trim_events_age`, `trim_events_batch_size`, `time_sync_endpoint`. All others are for somebody else.
//!
//! Everything is read before anything is used, so a reload takes the new configuration as a whole or not
//! at all.

use std::path::{Path, PathBuf};
use std::time::Duration;

use shared::config::is_base_url;
use shared::yaml::{self, Error, Node};

use crate::pipeline::{self, Handlers, Pipelines};
use crate::timex::Expression;
use crate::triggers::{self, Triggers};

/// Bounds of what a file may ask for.
const MAX_BATCH: i64 = 10_000;
const LONGEST: Duration = Duration::from_secs(86_400);
/// A worker that found nothing rests at least so long, whatever the file says.
const SHORTEST_DELAY: Duration = Duration::from_millis(10);

/// The `time_sync_endpoint` that is no service: the store keeps the time of the replay.
pub const INTERNAL: &str = "internal";

/// What streams are made and done by.
#[derive(Debug, Clone)]
pub struct StreamsPart {
    /// Triggers of `trigger_definitions`.
    pub triggers: Triggers,
    /// Pipelines of `pipeline_config`.
    pub pipelines: Pipelines,
    /// Time between two reports of counters.
    pub statistics_period: Duration,
    /// Streams that a worker takes in one round, 1 to 10 000.
    pub pipeline_worker_batch_size: usize,
    /// Rest of a worker that found nothing to do.
    pub pipeline_worker_delay: Duration,
    /// Delete streams when they are completed.
    pub purge_completed_streams: bool,
    /// Removal of old events, if it is wanted.
    pub trim: Option<Trim>,
    /// Clock service that tells the present time of a replay, or [`INTERNAL`].
    pub time_sync_endpoint: Option<String>,
    /// What is odd in the files, and no reason to refuse them.
    pub warnings: Vec<String>,
    /// The files all this was read from.
    pub files: Vec<PathBuf>,
}

/// Removal of old events.
#[derive(Debug, Clone, PartialEq)]
pub struct Trim {
    /// Events before this time are removed; `$timestamp` is the present.
    pub age: Expression,
    /// Events removed in one round, 1 to 10 000.
    pub batch_size: usize,
}

/// No triggers, no pipelines, and the original's defaults.
impl Default for StreamsPart {
    fn default() -> Self {
        Self {
            triggers: Triggers::default(),
            pipelines: Pipelines::default(),
            statistics_period: Duration::from_secs(10),
            pipeline_worker_batch_size: 1000,
            pipeline_worker_delay: Duration::from_secs(10),
            purge_completed_streams: true,
            trim: None,
            time_sync_endpoint: None,
            warnings: Vec::new(),
            files: Vec::new(),
        }
    }
}

impl StreamsPart {
    /// Reads a `winchester.yaml` and the files it names.
    ///
    /// # Errors
    /// [`Error`] if a file is missing or wrong, naming file, line and key.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let root = yaml::load(path)?;
        if root.as_map().is_none() && !root.is_null() {
            return Err(root.error(format_args!("a mapping of settings is needed, not {}", root.kind())));
        }
        let settings = Settings { root: &root, path };
        let handlers = match settings.get("pipeline_handlers") {
            Some(node) => Handlers::from_yaml(node)?,
            None => Handlers::default(),
        };
        let trigger_file = settings.file("trigger_definitions")?;
        let pipeline_file = settings.file("pipeline_config")?;
        let triggers = trigger_file.as_deref().map(triggers::load);
        let pipelines = pipeline_file.as_deref().map(|file| pipeline::load(file, &handlers));
        let (triggers, unknown) = triggers.transpose()?.unwrap_or_default();
        let default = Self::default();
        let mut part = Self {
            triggers,
            pipelines: pipelines.transpose()?.unwrap_or_default(),
            statistics_period: settings.seconds("statistics_period", default.statistics_period)?,
            pipeline_worker_batch_size: settings
                .count("pipeline_worker_batch_size", default.pipeline_worker_batch_size)?,
            pipeline_worker_delay: settings
                .seconds("pipeline_worker_delay", default.pipeline_worker_delay)?
                .max(SHORTEST_DELAY),
            purge_completed_streams: settings
                .truth("purge_completed_streams", default.purge_completed_streams)?,
            trim: settings.trim()?,
            time_sync_endpoint: settings.endpoint("time_sync_endpoint")?,
            warnings: unknown.iter().map(ToString::to_string).collect(),
            files: [Some(path.to_owned()), trigger_file, pipeline_file].into_iter().flatten().collect(),
        };
        part.warnings.extend(part.missing_pipelines());
        Ok(part)
    }

    /// A trigger whose pipeline does not exist is no fault: its streams will be in error.
    fn missing_pipelines(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for trigger in self.triggers.iter() {
            for pipeline in [trigger.fire_pipeline(), trigger.expire_pipeline()].into_iter().flatten() {
                if self.pipelines.get(pipeline).is_none() {
                    let name = trigger.name();
                    missing
                        .push(format!("trigger '{name}' names pipeline '{pipeline}', which is not defined"));
                }
            }
        }
        missing
    }
}

/// The settings of a file.
struct Settings<'a> {
    root: &'a Node,
    path: &'a Path,
}

impl<'a> Settings<'a> {
    /// A setting, unless it is missing or null.
    fn get(&self, key: &str) -> Option<&'a Node> {
        self.root.get(key).filter(|node| !node.is_null())
    }

    /// Reads a setting, or refuses it naming what is wanted.
    fn read<T>(
        &self,
        key: &str,
        wanted: &str,
        read: impl Fn(&'a Node) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let refuse = |node: &Node| node.error(format_args!("{key}: {wanted} is needed, not {}", node.kind()));
        self.get(key).map(|node| read(node).ok_or_else(|| refuse(node))).transpose()
    }

    fn text(&self, key: &str) -> Result<Option<&'a str>, Error> {
        self.read(key, "a text", Node::as_str)
    }

    /// [`INTERNAL`] or a base URL; a blank one is none, as in the original.
    fn endpoint(&self, key: &str) -> Result<Option<String>, Error> {
        let Some(text) = self.text(key)?.map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        if text == INTERNAL || is_base_url(text) {
            return Ok(Some(text.to_owned()));
        }
        let node = self.get(key).unwrap_or(self.root);
        Err(node.error(format_args!("{key}: '{INTERNAL}' or http://host:port is needed, not {text}")))
    }

    fn truth(&self, key: &str, default: bool) -> Result<bool, Error> {
        Ok(self.read(key, "true or false", Node::as_bool)?.unwrap_or(default))
    }

    fn seconds(&self, key: &str, default: Duration) -> Result<Duration, Error> {
        let read = |node: &Node| {
            let secs = node.as_f64().filter(|secs| !secs.is_nan())?;
            Duration::try_from_secs_f64(secs.min(LONGEST.as_secs_f64())).ok()
        };
        Ok(self.read(key, "a number of seconds", read)?.unwrap_or(default))
    }

    fn count(&self, key: &str, default: usize) -> Result<usize, Error> {
        let read =
            |node: &Node| usize::try_from(node.as_i64().filter(|count| *count > 0)?.min(MAX_BATCH)).ok();
        Ok(self.read(key, "a number above 0", read)?.unwrap_or(default))
    }

    fn trim(&self) -> Result<Option<Trim>, Error> {
        let batch_size = self.count("trim_events_batch_size", 100)?;
        let age = self.text("trim_events_age")?.unwrap_or("$timestamp - 14d");
        if !self.truth("trim_events", false)? {
            return Ok(None);
        }
        match Expression::parse(age) {
            Ok(age) => Ok(Some(Trim { age, batch_size })),
            Err(error) => {
                log::error!("trim_events_age: '{age}' is no time expression: {error}; no events are trimmed");
                Ok(None)
            }
        }
    }

    /// The file that a setting names: on `config_path`, then beside the file of settings.
    fn file(&self, key: &str) -> Result<Option<PathBuf>, Error> {
        let Some(name) = self.read(key, "a file name", Node::as_str)? else { return Ok(None) };
        let folders = self.folders()?;
        let found = folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file());
        let missing = || {
            let tried: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
            let node = self.get(key).unwrap_or(self.root);
            node.error(format_args!("{key}: no file {name} in {}", tried.join(", ")))
        };
        found.map(Some).ok_or_else(missing)
    }

    /// A relative folder counts from the working directory, then from beside the file of settings.
    fn folders(&self) -> Result<Vec<PathBuf>, Error> {
        let beside = self.path.parent().unwrap_or(Path::new(""));
        let mut folders = Vec::new();
        match self.get("config_path") {
            None => folders.push(PathBuf::from(".")),
            Some(node) => {
                for folder in node.as_list().unwrap_or(std::slice::from_ref(node)) {
                    let wrong = || folder.error("config_path: a folder or a list of folders is needed");
                    let folder = folder.as_str().ok_or_else(wrong)?;
                    folders.extend([PathBuf::from(folder), beside.join(folder)]);
                }
            }
        }
        folders.push(beside.to_owned());
        Ok(folders)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const TRIGGERS: &str = include_str!("../tests/fixtures/triggers.yaml");
    const PIPELINES: &str = include_str!("../tests/fixtures/pipelines.yaml");
    const FILES: &str = "trigger_definitions: triggers.yaml\npipeline_config: pipelines.yaml\n";

    /// Reads settings that stand in a folder of their own with a folder `etc`, which has the other files.
    fn load(settings: &str) -> Result<StreamsPart, String> {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("etc")).unwrap();
        fs::write(folder.path().join("etc/triggers.yaml"), TRIGGERS).unwrap();
        fs::write(folder.path().join("etc/pipelines.yaml"), PIPELINES).unwrap();
        fs::write(folder.path().join("winchester.yaml"), settings).unwrap();
        let shown = folder.path().display().to_string();
        StreamsPart::load(&folder.path().join("winchester.yaml"))
            .map_err(|error| error.to_string().replace(&shown, "~"))
    }

    #[test]
    fn named_files_are_found_on_config_path() {
        for path in ["etc", "[nowhere, etc]"] {
            let part = load(&format!("config_path: {path}\n{FILES}")).unwrap();
            assert!(part.triggers.get("test_trigger").is_some());
            assert_eq!(part.pipelines.names().collect::<Vec<_>>(), ["test_expire_pipeline", "test_pipeline"]);
        }
    }

    #[test]
    fn unknown_keys_of_triggers_are_accepted_and_told_with_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let text = "- name: t\n  distingished_by: [instance_id]\n  expiration: $last + 1h\n  fire_pipeline: p\n  \
                    fire_criteria: []\n  match_criteria:\n  - event_type: a\n  - event_typ: b\n    7: x\n";
        fs::write(folder.path().join("t.yaml"), text).unwrap();
        let settings = folder.path().join("winchester.yaml");
        fs::write(&settings, "trigger_definitions: t.yaml\n").unwrap();
        let part = StreamsPart::load(&settings).unwrap();
        assert!(part.triggers.get("t").is_some());
        let file = folder.path().join("t.yaml").display().to_string();
        assert_eq!(
            part.warnings,
            [
                format!("{file}:2: trigger 't': distingished_by: unknown key, which counts for nothing"),
                format!(
                    "{file}:8: trigger 't': match_criteria[1].event_typ: unknown key, which counts for nothing"
                ),
                format!("{file}:9: trigger 't': match_criteria[1].7: unknown key, which counts for nothing"),
                "trigger 't' names pipeline 'p', which is not defined".to_owned(),
            ]
        );
        assert!(load(&format!("config_path: etc\n{FILES}")).unwrap().warnings.is_empty());
    }

    #[test]
    fn missing_file_is_refused_with_the_folders_tried() {
        assert_eq!(
            load(FILES).unwrap_err(),
            "~/winchester.yaml:1: trigger_definitions: no file triggers.yaml in ., ~"
        );
        let error = load(&format!("config_path: x\n{FILES}")).unwrap_err();
        assert_eq!(error, "~/winchester.yaml:2: trigger_definitions: no file triggers.yaml in x, ~/x, ~");
    }

    #[test]
    fn defaults_are_those_of_the_original() {
        let part = load("unknown_key: 7\nlog_level: debug\n").unwrap();
        assert!(part.triggers.is_empty() && part.purge_completed_streams);
        assert_eq!((part.trim, part.time_sync_endpoint), (None, None));
        assert_eq!(part.pipeline_worker_batch_size, 1000);
        assert_eq!((part.pipeline_worker_delay.as_secs(), part.statistics_period.as_secs()), (10, 10));
        assert!(load("").is_ok());
    }

    #[test]
    fn settings_are_read() {
        let part = load(
            "statistics_period: 60\npipeline_worker_batch_size: 5\npipeline_worker_delay: 0.5\npurge_completed_streams: no\n\
             trim_events: true\ntime_sync_endpoint: http://clock\n",
        )
        .unwrap();
        assert_eq!((part.statistics_period.as_secs(), part.pipeline_worker_batch_size), (60, 5));
        assert_eq!(part.pipeline_worker_delay, Duration::from_millis(500));
        assert!(!part.purge_completed_streams);
        assert_eq!(part.time_sync_endpoint.as_deref(), Some("http://clock"));
        let age = Expression::parse("$timestamp - 14d").unwrap();
        assert_eq!(part.trim, Some(Trim { age, batch_size: 100 }));
    }

    #[test]
    fn blank_clock_service_is_none() {
        for blank in ["", "''", "' '"] {
            assert_eq!(load(&format!("time_sync_endpoint: {blank}\n")).unwrap().time_sync_endpoint, None);
        }
        let own = load("time_sync_endpoint: internal\n").unwrap().time_sync_endpoint;
        assert_eq!(own.as_deref(), Some(INTERNAL));
    }

    #[test]
    fn wrong_trim_age_turns_trimming_off() {
        assert_eq!(load("trim_events: true\ntrim_events_age: soon\n").unwrap().trim, None);
    }

    #[test]
    fn worker_never_spins() {
        let delay = load("pipeline_worker_delay: 0\n").unwrap().pipeline_worker_delay;
        assert_eq!(delay, Duration::from_millis(10));
    }

    #[test]
    fn handlers_are_those_of_the_mapping() {
        let with =
            |handlers: &str| load(&format!("config_path: etc\n{FILES}pipeline_handlers: {handlers}\n"));
        let class = |name: &str| format!("winchester.pipeline_handler:{name}");
        let both = format!("{{logger: '{}', usage: '{}'}}", class("LoggingHandler"), class("UsageHandler"));
        assert!(with(&both).is_ok());
        assert_eq!(
            with(&format!("{{logger: '{}'}}", class("LoggingHandler"))).unwrap_err(),
            "~/etc/pipelines.yaml:4: pipeline 'test_pipeline': handler 'usage' is not in pipeline_handlers"
        );
    }

    #[test]
    fn wrong_settings_are_refused_with_their_key() {
        for (setting, message) in [
            (
                "pipeline_worker_batch_size: 0",
                "pipeline_worker_batch_size: a number above 0 is needed, not an integer",
            ),
            (
                "pipeline_worker_delay: -1",
                "pipeline_worker_delay: a number of seconds is needed, not an integer",
            ),
            (
                "pipeline_worker_delay: .nan",
                "pipeline_worker_delay: a number of seconds is needed, not a number",
            ),
            (
                "purge_completed_streams: 5",
                "purge_completed_streams: true or false is needed, not an integer",
            ),
            (
                "time_sync_endpoint: clock:8090",
                "time_sync_endpoint: 'internal' or http://host:port is needed, not clock:8090",
            ),
            (
                "time_sync_endpoint: ftp://clock",
                "time_sync_endpoint: 'internal' or http://host:port is needed, not ftp://clock",
            ),
            ("time_sync_endpoint: 5", "time_sync_endpoint: a text is needed, not an integer"),
            ("trigger_definitions: [a]", "trigger_definitions: a file name is needed, not a list"),
            ("config_path: 5\npipeline_config: x", "config_path: a folder or a list of folders is needed"),
            ("pipeline_handlers: [a]", "pipeline_handlers: names with class names are needed"),
            ("- a", "a mapping of settings is needed, not a list"),
        ] {
            assert_eq!(load(setting).unwrap_err(), format!("~/winchester.yaml:1: {message}"));
        }
    }
}

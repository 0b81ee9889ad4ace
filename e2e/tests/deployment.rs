//! The deployment files: every part starts with the settings and secrets that they give it, and is healthy.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use e2e::Home;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn compose() -> Value {
    shared::yaml::load(&root().join("docker-compose.yml")).unwrap().to_json()
}

/// The names in the deployment files must be names the product knows.
#[test]
fn every_variable_of_the_deployment_is_a_setting() {
    let reference = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let keys: BTreeSet<&str> = reference.split('`').collect();
    for file in ["docker-compose.yml", "deploy/Dockerfile"] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let variables = text
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter_map(|word| word.strip_prefix("QUINTET_"));
        for variable in variables {
            let key = variable.to_ascii_lowercase().replace("__", ".");
            assert!(keys.contains(key.as_str()), "{file}: QUINTET_{variable} is no setting");
        }
    }
}

/// Secrets are mounted with the owner they have on the host: another user has to read them.
#[test]
fn secrets_can_be_read_in_a_container_and_nowhere_else() {
    let home = Home::sqlite().unwrap();
    let secrets = make_secrets(home.path());
    assert_eq!(mode(&secrets), 0o700);
    let files: BTreeMap<PathBuf, String> = fs::read_dir(&secrets)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect();
    for file in files.keys() {
        assert_eq!(mode(file), 0o444, "{}", file.display());
    }
    // Those of an older run had another mode.
    fs::set_permissions(secrets.join("internal_key"), fs::Permissions::from_mode(0o600)).unwrap();
    make_secrets(home.path());
    for (file, text) in &files {
        assert_eq!((mode(file), &fs::read_to_string(file).unwrap()), (0o444, text), "{}", file.display());
    }
    for (name, secret) in compose()["secrets"].as_object().unwrap() {
        let file = secret["file"].as_str().unwrap();
        assert!(files.contains_key(&home.path().join(file.strip_prefix("./").unwrap())), "{name}");
    }
    let ignored = fs::read_to_string(root().join(".dockerignore")).unwrap();
    assert!(ignored.lines().any(|line| line == "secrets"), "the image would hold the secrets");
}

#[test]
fn every_part_has_the_time_to_drain_and_keeps_its_data() {
    let compose = compose();
    for (name, service) in compose["services"].as_object().unwrap() {
        if service.get("build").is_some() {
            let grace = service["stop_grace_period"].as_str().and_then(|text| text.strip_suffix('s'));
            // Open requests get 30 s, background work 10 s more.
            assert!(grace.unwrap().parse::<u64>().unwrap() > 40, "{name}");
            assert_eq!(service["volumes"], json!(["data:/data"]), "{name}");
        }
        let sources = service["secrets"].as_array().into_iter().flatten();
        for source in sources.map(|secret| secret.get("source").unwrap_or(secret)) {
            assert!(compose["secrets"].get(source.as_str().unwrap()).is_some(), "{name}: {source}");
        }
    }
    assert!(compose["volumes"].as_object().unwrap().contains_key("data"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parts_come_up_healthy_and_find_each_other() {
    // On PostgreSQL where there is one, as in the deployment; else each part on its own SQLite file.
    let postgres = Home::postgres().unwrap();
    let home = Home::sqlite().unwrap();
    let secrets = make_secrets(home.path());
    let database = postgres.as_ref().map(database_url);
    if let Some(url) = &database {
        fs::remove_file(secrets.join("database_url")).unwrap();
        fs::write(secrets.join("database_url"), url).unwrap();
    }
    let mut rig = Rig::new(&home);
    let mut parts = Vec::new();
    for (name, service) in compose()["services"].as_object().unwrap() {
        if service.get("build").is_none() {
            continue;
        }
        let mut environment = rig.environment(service);
        if database.is_none() {
            environment.remove("QUINTET_DATABASE_URL_FILE");
        }
        let ask = rig.health(service);
        assert!(!run(&home, &environment, &ask), "{name} is healthy before its start");
        parts.push((name.clone(), rig.start(service, &environment), environment, ask));
    }
    assert_eq!(parts.len(), 5);
    for (name, part, environment, ask) in &parts {
        assert!(part.ready.starts_with("ready http://"), "{name}: {}", part.ready);
        assert!(run(&home, environment, ask), "{name} is not healthy");
    }
    let password = fs::read_to_string(secrets.join("admin_password")).unwrap();
    rig.gateway_takes_and_shows_an_event(password.trim_end()).await;
}

/// Ports and paths of the containers, on this machine.
struct Rig<'h> {
    home: &'h Home,
    ports: BTreeMap<String, u16>,
    image: BTreeMap<String, String>,
    image_health: Vec<String>,
}

struct Part {
    child: Child,
    ready: String,
}

impl Drop for Part {
    fn drop(&mut self) {
        // Already ended: nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl<'h> Rig<'h> {
    fn new(home: &'h Home) -> Self {
        let dockerfile = fs::read_to_string(root().join("deploy/Dockerfile")).unwrap();
        let assignments = dockerfile.split_whitespace().filter_map(|word| word.split_once('='));
        let image = assignments.filter(|(name, _)| name.starts_with("QUINTET_"));
        let (_, health) =
            dockerfile.split_once("HEALTHCHECK").and_then(|(_, rest)| rest.split_once("CMD")).unwrap();
        Self {
            home,
            ports: BTreeMap::new(),
            image: image.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            image_health: serde_json::from_str(health.trim()).unwrap(),
        }
    }

    /// The variables of a container: those of its image and its own.
    fn environment(&mut self, service: &Value) -> BTreeMap<String, String> {
        let own = service["environment"].as_object().unwrap();
        let own = own.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
        let all: BTreeMap<String, String> = self.image.clone().into_iter().chain(own).collect();
        all.into_iter().map(|(name, value)| (name, self.here(&value))).collect()
    }

    /// A value with the paths and addresses of this machine.
    fn here(&mut self, value: &str) -> String {
        let folder = self.home.path().display();
        let value = value.replace("/run/secrets/", &format!("{folder}/secrets/"));
        if value == "/data" {
            return format!("{folder}/data");
        }
        // Of another container by its name: the port must be the one that it listens on.
        if let Some((_, port)) = value.strip_prefix("http://").and_then(|address| address.split_once(':')) {
            return format!("http://127.0.0.1:{}", self.port(port));
        }
        match value.strip_prefix("0.0.0.0:") {
            Some(port) => format!("0.0.0.0:{}", self.port(port)),
            None => value,
        }
    }

    /// A free port in place of one of a container.
    fn port(&mut self, port: &str) -> u16 {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        *self.ports.entry(port.to_owned()).or_insert_with(free)
    }

    fn health(&self, service: &Value) -> Vec<String> {
        match service["healthcheck"]["test"].as_array() {
            Some(test) => test.iter().skip(1).map(|word| word.as_str().unwrap().to_owned()).collect(),
            None => self.image_health.clone(),
        }
    }

    fn start(&self, service: &Value, environment: &BTreeMap<String, String>) -> Part {
        let words = service["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap());
        let mut command = command(self.home, environment);
        let mut child = command.args(words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        Part { child, ready }
    }

    async fn gateway_takes_and_shows_an_event(&self, password: &str) {
        let (url, client) = (format!("http://127.0.0.1:{}", self.ports["8080"]), reqwest::Client::new());
        let stranger = client.get(format!("{url}/v1/events")).send().await.unwrap();
        assert_eq!(stranger.status(), 401);
        let notification = json!({"message_id": "one", "event_type": "t", "publisher_id": "p"});
        let post = client.post(format!("{url}/v1/notifications")).basic_auth("admin", Some(password));
        let answer = post.header("Prefer", "wait=20").json(&notification).send().await.unwrap();
        // Said only when the stream service has found the event in the feed of the event service.
        assert!(answer.headers().contains_key("preference-applied"), "{answer:?}");
        assert_eq!(answer.json::<Value>().await.unwrap()["saved"], 1);
        let get = |path: &str| client.get(format!("{url}{path}")).basic_auth("admin", Some(password));
        let report = async || get("/readyz?verbose").send().await.unwrap().json::<Value>().await.unwrap();
        let names = ["annotate", "database", "dtrace", "events", "streams"];
        let expected: Value = names.iter().map(|name| ((*name).to_owned(), "ok")).collect();
        assert_eq!(report().await["checks"], expected);
    }
}

fn command(home: &Home, environment: &BTreeMap<String, String>) -> Command {
    let mut command = home.command().unwrap();
    command.env_remove("QUINTET_GATEWAY__LISTEN").envs(environment);
    command
}

/// Runs a command line of the image; whether it ended with success.
fn run(home: &Home, environment: &BTreeMap<String, String>, words: &[String]) -> bool {
    assert_eq!(words[0], "quintet");
    command(home, environment).args(&words[1..]).output().unwrap().status.success()
}

/// Runs the script as a person does, in a copy of the tree; answers the folder.
fn make_secrets(folder: &Path) -> PathBuf {
    fs::create_dir_all(folder.join("deploy")).unwrap();
    fs::copy(root().join("deploy/make-secrets"), folder.join("deploy/make-secrets")).unwrap();
    assert!(Command::new("sh").arg(folder.join("deploy/make-secrets")).status().unwrap().success());
    folder.join("secrets")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn database_url(home: &Home) -> String {
    let command = home.command().unwrap();
    let url = command.get_envs().find(|(name, _)| *name == OsStr::new("QUINTET_DATABASE_URL"));
    url.and_then(|(_, value)| value).unwrap().to_str().unwrap().to_owned()
}

//! What is to be run where: a script's stored config and a start message put together, checked against what the
//! caller may do, and the script filled in (contract `dtrace`, section 6).

use super::Fleet;
use crate::executor::Job;
use crate::model::Script;
use crate::permit::{is_script_allowed, is_server_allowed, is_vm_allowed};
use crate::script::{Dialect, Filter, FilterError, fill};
use serde_json::{Map, Value, json};
use shared::identity::Principal;

/// Most servers and most virtual machines of one run.
const MAX_NAMES: usize = 256;

/// Why a run was refused before anything was started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A server, a virtual machine or free text that the caller may not have; the permission that he lacks.
    #[error("not permitted: {0}")]
    Denied(String),
    /// The message, or the script with it, is wrong; the text goes to the client.
    #[error("{0}")]
    Invalid(String),
}

/// A run that may be started.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The script's id.
    pub uuid: String,
    /// The script's name, for the audit log.
    pub name: String,
    /// The text for the tracer.
    pub script: String,
    /// Its language.
    pub dialect: Dialect,
    /// Where it runs.
    pub servers: Vec<String>,
    /// The virtual machines it is confined to; empty: none in particular.
    pub vms: Vec<String>,
    /// Stored config and message together, without `config` and `bearer`.
    pub merged: Map<String, Value>,
    /// Servers that were chosen because a virtual machine runs there: whoever may see the machine may see the run.
    homes: Vec<String>,
}

impl Plan {
    /// Puts a script's config and a start message together; the message wins, and of the message what stands outside
    /// of its `config`. Free text (values of any kind, custom conditions) is taken from the stored config, and from
    /// the message when the caller may edit the script.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn make(
        script: &Script,
        message: &Map<String, Value>,
        who: &Principal,
        fleet: &Fleet,
        dialect: Dialect,
    ) -> Result<Self, Refusal> {
        let sent = sent(message)?;
        let mut merged: Map<String, Value> = serde_json::from_str(&script.config).unwrap_or_default();
        merged.retain(|name, _| name != "config");
        merged.extend(sent.clone());
        let may_edit = is_script_allowed(who, &script.uuid, "edit");
        let is_trusted = |name: &str| may_edit || !sent.contains_key(name);

        let vms = names(&merged, "vms")?.unwrap_or_default();
        if let Some(hidden) = vms.iter().find(|vm| !is_vm_allowed(who, vm)) {
            return Err(Refusal::Denied(format!("vms->{hidden}->get")));
        }
        let (servers, homes) = servers(names(&merged, "servers")?, &vms, who, fleet)?;

        let custom = merged.get("filter").unwrap_or(&Value::Null);
        let wanted = Filter::parse(custom, is_trusted("filter")).map_err(|cause| refused(&cause, script))?;
        let zones = (!vms.is_empty()).then(|| Filter::zones(&vms));
        let filter = match (zones, wanted) {
            (Some(zones), Some(wanted)) => Some(Filter::All(vec![zones, wanted])),
            (zones, wanted) => zones.or(wanted),
        };
        let filter = filter
            .map(|filter| filter.write(dialect))
            .transpose()
            .map_err(|cause| refused(&cause, script))?;
        let text = fill(&script.script, &merged, is_trusted, filter.as_deref()).map_err(Refusal::Invalid)?;

        merged.insert("servers".into(), servers.clone().into());
        Ok(Self {
            uuid: script.uuid.clone(),
            name: script.name.clone(),
            script: text,
            dialect,
            servers,
            vms,
            merged,
            homes,
        })
    }

    /// The first answer: the merged members, and once more as `config`, without what is no variable. The original
    /// sent one form or the other; its web page waits for `config`.
    #[must_use]
    pub fn answer(&self) -> Value {
        let mut config = self.merged.clone();
        config.retain(|name, _| !["filter", "vms"].contains(&name.as_str()));
        let mut answer = self.merged.clone();
        answer.insert("config".into(), config.into());
        answer.into()
    }

    /// Whether another caller may listen to this run.
    #[must_use]
    pub fn is_visible_to(&self, who: &Principal) -> bool {
        let mut asked = self.servers.iter().filter(|server| !self.homes.contains(server));
        asked.all(|server| is_server_allowed(who, server)) && self.vms.iter().all(|vm| is_vm_allowed(who, vm))
    }

    /// The job for each server.
    #[must_use]
    pub fn job(&self, interval_millis: u64, subject: &str) -> Job {
        Job {
            script: self.script.clone(),
            dialect: self.dialect,
            interval_millis,
            subject: subject.to_owned(),
        }
    }

    /// What the audit log keeps of the configuration.
    #[must_use]
    pub fn record(&self) -> Value {
        json!({ "servers": self.servers, "vms": self.vms, "config": self.merged })
    }
}

/// The members of a message: those of its `config`, then those beside it.
fn sent(message: &Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    let mut sent = match message.get("config") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(config)) => config.clone(),
        Some(_) => return Err(Refusal::Invalid("config is no object".into())),
    };
    sent.extend(message.iter().map(|(name, value)| (name.clone(), value.clone())));
    sent.retain(|name, _| name != "config" && name != "bearer");
    Ok(sent)
}

/// A list of names; absent or null is none.
fn names(members: &Map<String, Value>, name: &str) -> Result<Option<Vec<String>>, Refusal> {
    let list = match members.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(list)) if list.len() <= MAX_NAMES => list,
        Some(_) => return Err(Refusal::Invalid(format!("{name} is no list of at most {MAX_NAMES} names"))),
    };
    let mut names: Vec<String> = Vec::new();
    for item in list {
        match item.as_str() {
            Some(word) if names.iter().any(|known| known == word) => (),
            Some(word) if !word.is_empty() => names.push(word.to_owned()),
            _ => return Err(Refusal::Invalid(format!("{name} holds what is no name"))),
        }
    }
    Ok(Some(names))
}

/// The servers of a run: those asked for, those on which the virtual machines run, else all that the caller may see.
/// The second list holds those that were chosen for a virtual machine only.
fn servers(
    asked: Option<Vec<String>>,
    vms: &[String],
    who: &Principal,
    fleet: &Fleet,
) -> Result<(Vec<String>, Vec<String>), Refusal> {
    let mut servers = asked.unwrap_or_default();
    let denied = |server: &str| Refusal::Denied(format!("hypervisors->{server}->get"));
    if let Some(hidden) = servers.iter().find(|server| !is_server_allowed(who, server)) {
        return Err(denied(hidden));
    }
    if let Some(unknown) = servers.iter().find(|server| fleet.executor(server).is_none()) {
        return Err(Refusal::Invalid(format!("there is no server {unknown}")));
    }
    let visible = || fleet.names().filter(|name| is_server_allowed(who, name)).map(str::to_owned);
    let mut homes = Vec::new();
    let mut wanted: Vec<String> = Vec::new();
    for vm in vms {
        match fleet.home_of(vm) {
            Some(home) => homes.push(home.to_owned()),
            // Nobody knows where it runs: the filter finds it.
            None => wanted.extend(visible()),
        }
    }
    if servers.is_empty() && vms.is_empty() {
        wanted.extend(visible());
    }
    homes.retain(|home| !servers.contains(home) && !wanted.contains(home));
    for name in wanted.iter().chain(&homes) {
        if !servers.contains(name) {
            servers.push(name.clone());
        }
    }
    if servers.is_empty() { Err(denied(fleet.names().next().unwrap_or("_"))) } else { Ok((servers, homes)) }
}

fn refused(cause: &FilterError, script: &Script) -> Refusal {
    match cause {
        FilterError::Custom => Refusal::Denied(format!("dtrace->{}->edit", script.uuid)),
        FilterError::Invalid(_) => Refusal::Invalid(cause.to_string()),
    }
}

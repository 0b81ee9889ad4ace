//! Brokers and queues to take notifications from: the list `events.amqp`.
//!
//! What an entry leaves out has the value that the chosen [`Layout`] has in the programs it is named after
//! (streams-events-v1.md, section 8; events-v2.md, section 14).

use lapin::ExchangeKind;
use lapin::uri::AMQPUri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::config::{ConfigError, Secret, list_or_commas};
use std::path::PathBuf;

/// Where a broker is when the settings do not say: the original consumer's defaults.
const DEFAULT_URL: &str = "amqp://guest:guest@localhost:5672/%2f";

/// Longest name that AMQP can carry, in bytes.
const NAME_BYTES: usize = 255;

/// How a certificate begins in a PEM file (RFC 7468, section 5.1).
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";

/// One broker.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Broker {
    /// `amqp://user:password@host:port/vhost`, or `amqps://…`; a blank vhost is `/`. Unset: guest on
    /// `localhost:5672`.
    pub url: Option<Secret>,
    /// File that holds `url`. It is read at every connection: a new password needs no restart.
    pub url_file: Option<PathBuf>,
    /// PEM file with authorities that may sign the broker's certificate, beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// Whose names and options stand for what the queues leave out: `stacktach` or `openstack`.
    pub layout: Layout,
    /// Messages of a queue that may be delivered and not yet acknowledged, 1 to 10 000; also the largest batch. All of
    /// them may be in memory: fewer for messages of many megabytes.
    pub prefetch: u16,
    /// Queues to take from. Empty: `monitor.info` (stacktach), `notifications.info` and `notifications.error`
    /// (openstack).
    pub queues: Vec<Queue>,
}

impl Default for Broker {
    fn default() -> Self {
        let layout = Layout::Stacktach;
        Self { url: None, url_file: None, ca_file: None, layout, prefetch: 100, queues: Vec::new() }
    }
}

/// Whose defaults a broker's queues have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// StackTach: exchange `monitor`, queue `monitor.info`, durable.
    Stacktach,
    /// oslo.messaging: an exchange of each OpenStack service, queues `notifications.*`, not durable.
    Openstack,
}

impl Layout {
    fn queues(self) -> &'static [&'static str] {
        match self {
            Self::Stacktach => &["monitor.info"],
            Self::Openstack => &["notifications.info", "notifications.error"],
        }
    }

    fn exchanges(self) -> &'static [&'static str] {
        match self {
            Self::Stacktach => &["monitor"],
            Self::Openstack => &[
                "nova",
                "glance",
                "neutron",
                "cinder",
                "heat",
                "keystone",
                "trove",
                "zaqar",
                "swift",
                "ceilometer",
                "magnum",
                "dns",
                "ironic",
                "aodh",
            ],
        }
    }

    fn is_durable(self) -> bool {
        self == Self::Stacktach
    }
}

/// One queue.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// Name of the queue.
    pub queue: String,
    /// Exchanges that the queue is bound to. Empty: the layout's.
    #[serde(default, deserialize_with = "list_or_commas")]
    pub exchanges: Vec<String>,
    /// Type of the exchanges: `topic`, `direct`, `fanout`, `headers`.
    #[serde(default)]
    pub exchange_type: ExchangeType,
    /// Routing key of the binding. Unset: the queue's name.
    #[serde(default)]
    pub routing_key: Option<String>,
    /// Whether queue and exchanges survive a restart of the broker. Unset: the layout's.
    #[serde(default)]
    pub durable: Option<bool>,
    /// Whether queue and exchanges go when nobody uses them any more.
    #[serde(default)]
    pub auto_delete: bool,
    /// Kind of the queue: `classic` or `quorum`. Unset: the broker's choice.
    #[serde(default)]
    pub queue_type: Option<QueueType>,
    /// Declare queue, exchanges and bindings. `false`: the queue is there, made by somebody else.
    #[serde(default = "yes")]
    pub declare: bool,
}

fn yes() -> bool {
    true
}

/// How an exchange chooses queues.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExchangeType {
    /// By patterns over the routing key.
    #[default]
    Topic,
    /// By the routing key.
    Direct,
    /// All of them.
    Fanout,
    /// By the message's headers.
    Headers,
}

impl From<ExchangeType> for ExchangeKind {
    fn from(exchange_type: ExchangeType) -> Self {
        match exchange_type {
            ExchangeType::Topic => Self::Topic,
            ExchangeType::Direct => Self::Direct,
            ExchangeType::Fanout => Self::Fanout,
            ExchangeType::Headers => Self::Headers,
        }
    }
}

/// How a broker keeps a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QueueType {
    /// On one node.
    Classic,
    /// Replicated; always durable.
    Quorum,
}

impl QueueType {
    /// The word that brokers know.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Quorum => "quorum",
        }
    }
}

impl Broker {
    /// The queues with everything filled in.
    #[must_use]
    pub fn filled_queues(&self) -> Vec<Queue> {
        if self.queues.is_empty() {
            let defaults = self.layout.queues().iter();
            return defaults.map(|name| self.filled(&Queue::named(name))).collect();
        }
        self.queues.iter().map(|queue| self.filled(queue)).collect()
    }

    fn filled(&self, queue: &Queue) -> Queue {
        let mut queue = queue.clone();
        if queue.exchanges.is_empty() {
            queue.exchanges = self.layout.exchanges().iter().map(|name| (*name).to_owned()).collect();
        }
        queue.routing_key.get_or_insert_with(|| queue.queue.clone());
        queue.durable.get_or_insert(self.layout.is_durable() || queue.queue_type == Some(QueueType::Quorum));
        queue
    }

    /// The address, read anew when it is in a file.
    ///
    /// # Errors
    /// In words without the address itself, which holds a password.
    pub fn address(&self) -> Result<AMQPUri, String> {
        let from_file = |path: &PathBuf| {
            let text = std::fs::read_to_string(path);
            text.map(Secret::new).map_err(|cause| format!("url_file {}: {cause}", path.display()))
        };
        let url = match (&self.url, &self.url_file) {
            (Some(url), _) => url.clone(),
            (None, Some(path)) => from_file(path)?,
            (None, None) => Secret::new(DEFAULT_URL),
        };
        let text = url.reveal().trim();
        let mut address: AMQPUri = text
            .parse()
            .map_err(|_secret| "url: expected amqp[s]://user:password@host:port/vhost".to_owned())?;
        if address.vhost.is_empty() {
            "/".clone_into(&mut address.vhost);
        }
        // The parser of addresses knows names and IPv4 only and takes anything else for `localhost`.
        let authority = text.split_once("://").map_or(text, |(_, rest)| rest);
        let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        if let Some((ipv6, _port)) = host.strip_prefix('[').and_then(|host| host.split_once(']')) {
            ipv6.clone_into(&mut address.authority.host);
        }
        Ok(address)
    }

    /// The authorities in `ca_file`.
    ///
    /// # Errors
    /// In words, when the file cannot be read or has no certificate.
    pub fn authorities(&self) -> Result<Option<String>, String> {
        let read = |path: &PathBuf| {
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|cause| format!("ca_file {}: {cause}", path.display()))?;
            if !text.contains(CERTIFICATE) {
                return Err(format!("ca_file {}: expected {CERTIFICATE}", path.display()));
            }
            Ok(text)
        };
        self.ca_file.as_ref().map(read).transpose()
    }

    /// Refuses what can never work.
    ///
    /// # Errors
    /// [`ConfigError::Conflict`] naming the key; `place` is the entry's number, from 0.
    pub fn validate(&self, place: usize) -> Result<(), ConfigError> {
        let refuse = |text: String| ConfigError::Conflict(format!("events.amqp[{place}].{text}"));
        if self.url.is_some() && self.url_file.is_some() {
            return Err(refuse("url_file: url is set too; leave one of them out".into()));
        }
        self.address().map_err(refuse)?;
        self.authorities().map_err(refuse)?;
        if !(1..=10_000).contains(&self.prefetch) {
            return Err(refuse("prefetch: expected 1 to 10000".into()));
        }
        let queues = self.filled_queues();
        for (number, queue) in queues.iter().enumerate() {
            let refuse = |text: String| refuse(format!("queues[{number}].{text}"));
            queue.check().map_err(refuse)?;
            if queues.iter().take(number).any(|earlier| earlier.queue == queue.queue) {
                return Err(refuse(format!("queue: {} is listed twice", queue.queue)));
            }
        }
        Ok(())
    }
}

impl Queue {
    /// A queue of which only the name is given.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            queue: name.to_owned(),
            exchanges: Vec::new(),
            exchange_type: ExchangeType::default(),
            routing_key: None,
            durable: None,
            auto_delete: false,
            queue_type: None,
            declare: true,
        }
    }

    fn check(&self) -> Result<(), String> {
        let routing_key = self.routing_key.iter().map(|key| ("routing_key", key));
        let names = self.exchanges.iter().map(|name| ("exchanges", name));
        for (key, name) in names.chain(routing_key).chain([("queue", &self.queue)]) {
            if name.len() > NAME_BYTES || name.contains(char::is_control) {
                return Err(format!("{key}: expected at most {NAME_BYTES} bytes without control characters"));
            }
        }
        if self.queue.is_empty() {
            return Err("queue: expected a name".into());
        }
        if self.queue_type == Some(QueueType::Quorum) && (self.durable == Some(false) || self.auto_delete) {
            return Err("queue_type: a quorum queue is durable and not deleted by itself".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

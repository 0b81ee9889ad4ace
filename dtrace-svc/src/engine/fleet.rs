//! The servers that a run can go to: this machine, and others of the installation.

use crate::executor::{Executor, Local, Remote};
use std::collections::HashMap;
use std::sync::Arc;

/// The servers there are.
pub struct Fleet {
    local: Arc<Local>,
    servers: Vec<(String, Arc<dyn Executor>)>,
    homes: HashMap<String, String>,
}

impl Fleet {
    /// `name` is this machine's, `None` when it traces nothing itself; `homes` says on which server a virtual machine
    /// runs.
    #[must_use]
    pub fn new(
        local: Arc<Local>,
        name: Option<String>,
        remotes: Vec<(String, Remote)>,
        homes: HashMap<String, String>,
    ) -> Self {
        let mut servers: Vec<(String, Arc<dyn Executor>)> = Vec::new();
        if let Some(name) = name {
            servers.push((name, Arc::<Local>::clone(&local)));
        }
        for (name, remote) in remotes {
            servers.push((name, Arc::new(remote)));
        }
        Self { servers, local, homes }
    }

    /// This machine's tracers.
    #[must_use]
    pub fn local(&self) -> &Arc<Local> {
        &self.local
    }

    /// Names of the servers.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.servers.iter().map(|(name, _)| name.as_str())
    }

    /// What runs scripts on a server.
    #[must_use]
    pub fn executor(&self, name: &str) -> Option<&Arc<dyn Executor>> {
        self.servers.iter().find(|(other, _)| other == name).map(|(_, executor)| executor)
    }

    /// The server on which a virtual machine runs, if the settings say so.
    #[must_use]
    pub fn home_of(&self, vm: &str) -> Option<&str> {
        self.homes.get(vm).map(String::as_str)
    }
}

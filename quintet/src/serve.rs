//! `quintet serve`: start, say so, wait for the signal, drain.

use crate::cli::{ServeFlags, Settings};
use crate::output::print_line;
use crate::product::Product;
use anyhow::Context;
use clap::error::ErrorKind;
use shared::config::{AuthMode, Common, Source};
use std::io::IsTerminal;
use std::time::Duration;

/// What the services get to end, beyond the time of open requests.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

impl Settings {
    /// Settings from file, variables and the flags that every command has.
    pub(crate) fn source(&self) -> anyhow::Result<Source> {
        let source = Source::load(self.config.as_deref())?;
        Ok(match &self.data_dir {
            Some(folder) => source.with("data_dir", folder),
            None => source,
        })
    }
}

/// Runs until SIGTERM or SIGINT.
pub(crate) async fn serve(settings: &Settings, flags: &ServeFlags) -> anyhow::Result<()> {
    if let Some(words) = misplaced(flags) {
        clap::Error::raw(ErrorKind::ArgumentConflict, words).exit();
    }
    let mut source = settings.source()?;
    if let Some(address) = &flags.listen {
        source = source.with("gateway.listen", address);
    }
    if flags.compat {
        let config: quintet_gateway::Config = source.section(crate::product::GATEWAY)?;
        source = source.with("gateway.compat", config.compat.on_original_ports());
    }
    let targets: &[String] = if flags.target.is_empty() { &["all".to_owned()] } else { &flags.target };
    let product = Product::start(&source, targets).await?;
    if let Some(url) = product.url() {
        print_line(&format!("ready {url}"));
        // A service alone takes no calls but the gateway's.
        if product.has_gateway() && (std::io::stderr().is_terminal() || flags.target.is_empty()) {
            eprintln!("{}", first_steps(&url, &source.common()?));
        }
    }
    shared::stop::signalled().await?;
    log::info!("stopping: open requests get time to end");
    let most = Duration::from_secs(source.common()?.shutdown_timeout_secs) + STOP_TIMEOUT;
    if tokio::time::timeout(most, product.stop()).await.is_err() {
        log::warn!("stopped before everything had ended");
    }
    Ok(())
}

/// Runs the clock of a replay until SIGTERM or SIGINT.
pub(crate) async fn clock(address: &str) -> anyhow::Result<()> {
    let clock = streams_svc::clock_service::ClockService::start(address);
    let clock = clock.with_context(|| format!("the clock cannot listen on {address}"))?;
    print_line(&format!("ready http://{}", clock.address));
    shared::stop::signalled().await?;
    clock.stop().await;
    Ok(())
}

/// Why flags of the gateway mean nothing to a process without it.
fn misplaced(flags: &ServeFlags) -> Option<String> {
    let is_there = |name: &String| ["all", crate::product::GATEWAY].contains(&name.as_str());
    let flag = match flags {
        ServeFlags { listen: Some(_), .. } => "--listen",
        ServeFlags { compat: true, .. } => "--compat",
        ServeFlags { .. } => return None,
    };
    let has_gateway = flags.target.is_empty() || flags.target.iter().any(is_there);
    (!has_gateway).then(|| {
        format!(
            "{flag} is for the gateway, which --target {} does not start: add gateway to it, or leave {flag} out\n\n\
             A service listens where its setting listen.address says, for instance QUINTET_EVENTS__LISTEN__ADDRESS.\n",
            flags.target.join(",")
        )
    })
}

/// Three commands worth trying, as somebody who may do all where callers must log in.
fn first_steps(url: &str, common: &Common) -> String {
    let (login, identity) = match common.auth.mode {
        Some(AuthMode::Open) | None => {
            (String::new(), " -H 'X-User-Id: me' -H 'X-Project-Id: demo' -H 'X-Roles: admin'".to_owned())
        }
        Some(AuthMode::Secure) => {
            let file = shared::secrets::path(common, "admin_token");
            let login = if file.exists() {
                // The other terminal may be in another folder.
                let file = std::path::absolute(&file).unwrap_or(file);
                format!(r#" -H "Authorization: Bearer $(cat '{}')""#, file.display())
            } else {
                // Asks for the password; the token is in the folder of another start.
                format!(
                    " -u {}",
                    common.auth.admin_user.as_deref().unwrap_or(shared::secrets::DEFAULT_ADMIN_USER)
                )
            };
            (login.clone(), login)
        }
    };
    format!(
        r#"
Try, in another terminal:
  post a notification   curl -s {url}/v1/notifications -H 'content-type: application/json'{login} -d '{{"message_id":"hello-1","event_type":"compute.instance.create.end","publisher_id":"compute.host1","payload":{{"tenant_id":"demo","user_id":"me"}}}}'
  list events in v1     curl -s {url}/v1/events{login}
  list events in v2     curl -s '{url}/v2/events?q.field=all_tenants&q.value=true'{identity}
"#
    )
}

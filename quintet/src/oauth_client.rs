//! `quintet client`: programs that log in by a secret, or send their users here to log in.

use crate::cli::{Format, Server};
use crate::holder::{Holders, Listed, Named, NewSecret, WithPermissions, WithRole, WithSecret, print_made};
use crate::output::print_done;
use anyhow::Context;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

const MANY: &str = "clients";

#[derive(Debug, Subcommand)]
#[command(after_help = "\
  quintet client create robot --permission 'cloud->events->create'
                                              a secret is made and printed, once
  quintet client create app --public --redirect-uri https://app.example/callback
                                              a page or an app, which can keep no secret and shows PKCE's instead")]
pub(crate) enum ClientCommand {
    /// List clients with their roles and permissions
    List(Listed),
    /// Show one client
    Show(Named),
    /// Make a client
    Create(CreateFlags),
    /// Remove a client; all tokens that it got end within a second
    Delete(Named),
    /// Set a new secret
    Secret(WithSecret),
    /// Grant permissions; only such as you hold yourself
    Grant(WithPermissions),
    /// Take permissions back
    Revoke(WithPermissions),
    /// Give a role
    Join(WithRole),
    /// Take a role away
    Leave(WithRole),
    /// Let users be sent back to this address
    AddUri(WithUri),
}

#[derive(Debug, Args)]
pub(crate) struct CreateFlags {
    /// Its name
    name: String,
    /// It can keep no secret
    #[arg(long, conflicts_with = "password_stdin")]
    public: bool,
    /// Address that users may be sent back to; may be given several times
    #[arg(long = "redirect-uri", value_name = "URI")]
    uris: Vec<String>,
    /// Permission that it has itself; may be given several times
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Vec<String>,
    #[command(flatten)]
    secret: NewSecret,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct WithUri {
    /// Its name
    name: String,
    /// The address
    uri: String,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    format: Format,
}

/// Runs one of the commands.
pub(crate) async fn run(command: ClientCommand) -> anyhow::Result<()> {
    let of = |server: &Server| Holders::new(server.clone(), MANY);
    match command {
        ClientCommand::List(flags) => of(&flags.server)?.list(flags.format.output).await,
        ClientCommand::Show(flags) => of(&flags.server)?.show(&flags.name, flags.format.output).await,
        ClientCommand::Create(flags) => create(flags).await,
        ClientCommand::Delete(flags) => of(&flags.server)?.delete(&flags).await,
        ClientCommand::Secret(flags) => of(&flags.server)?.set_secret(&flags, "secret").await,
        ClientCommand::Grant(flags) => of(&flags.server)?.grant(&flags).await,
        ClientCommand::Revoke(flags) => of(&flags.server)?.revoke(&flags).await,
        ClientCommand::Join(flags) => of(&flags.server)?.join(&flags).await,
        ClientCommand::Leave(flags) => of(&flags.server)?.leave(&flags).await,
        ClientCommand::AddUri(flags) => {
            let clients = of(&flags.server)?;
            let id = clients.id(&flags.name).await?;
            add_uri(&clients, &id, &flags.uri).await?;
            print_done(&json!({ "name": flags.name, "added": flags.uri }), flags.format);
            Ok(())
        }
    }
}

async fn create(flags: CreateFlags) -> anyhow::Result<()> {
    let clients = Holders::new(flags.server, MANY)?;
    let secret = if flags.public { None } else { Some(flags.secret.take()?) };
    let given = secret.as_ref().map(|(secret, _)| secret);
    let id = clients.create(&json!({ "client": flags.name, "secret": given })).await?;
    let shown = secret.as_ref().filter(|(_, is_made)| *is_made);
    let shown = shown.map(|(secret, _)| ("secret", secret.as_str()));
    print_made(json!({ "uuid": id, "name": flags.name }), shown, flags.format);
    for uri in &flags.uris {
        add_uri(&clients, &id, uri)
            .await
            .with_context(|| format!("the client is made, but without {uri}"))?;
    }
    let granted = clients.change_of(Method::PUT, &id, &flags.permissions).await;
    granted.context("the client is made, but does not have all permissions")
}

async fn add_uri(clients: &Holders, id: &str, uri: &str) -> anyhow::Result<Value> {
    clients.send(Method::POST, id, &["uris"], Some(&json!({ "uri": uri }))).await
}

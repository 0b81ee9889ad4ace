//! `quintet user`: whoever logs in by password.

use crate::cli::{Format, OutputFormat, Server};
use crate::client::Client;
use crate::holder::{Holders, Listed, Named, NewSecret, WithPermissions, WithRole, WithSecret, print_made};
use crate::output::{plain, print_done, print_json, print_line};
use anyhow::Context;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

const MANY: &str = "users";

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Roles that are there from the start: reader sees everything of the five APIs, operator also changes it, admin may do
all. What each route takes is in docs/permissions.md.

  quintet user create ada --role reader       a password is made and printed, once
  quintet user grant ada 'dtrace->...'        all about scripts: _ is one word, ... is one or more
  echo \"$PASSWORD\" | quintet user login ada --password-stdin
                                              prints a token, good for a day")]
pub(crate) enum UserCommand {
    /// List users with their roles and permissions
    List(Listed),
    /// Show one user
    Show(Named),
    /// Make a user
    Create(CreateFlags),
    /// Remove a user; all of his logins end within a second
    Delete(Named),
    /// Set a new password; all logins with the old one end
    Passwd(WithSecret),
    /// Grant permissions; only such as you hold yourself
    Grant(WithPermissions),
    /// Take permissions back
    Revoke(WithPermissions),
    /// Give a role
    Join(WithRole),
    /// Take a role away
    Leave(WithRole),
    /// End every login by token
    Logout(Named),
    /// Log in by password and print an access token, which --token takes
    Login(LoginFlags),
}

#[derive(Debug, Args)]
pub(crate) struct CreateFlags {
    /// His name: any characters but a colon
    name: String,
    /// Role that he has; may be given several times
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// Permission that he has, for instance 'events->_->get'; may be given several times
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Vec<String>,
    /// OpenStack user id, for events v2
    #[arg(long, value_name = "ID")]
    user_id: Option<String>,
    /// OpenStack project id, for events v2: there he sees the events of this project and his user id
    #[arg(long, value_name = "ID")]
    project_id: Option<String>,
    #[command(flatten)]
    secret: NewSecret,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct LoginFlags {
    /// His name
    name: String,
    /// Scope that limits the token; may be given several times
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// Read the password from standard input, up to the first line break
    #[arg(long, required = true)]
    password_stdin: bool,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    format: Format,
}

/// Runs one of the commands.
pub(crate) async fn run(command: UserCommand) -> anyhow::Result<()> {
    let of = |server: &Server| Holders::new(server.clone(), MANY);
    match command {
        UserCommand::List(flags) => of(&flags.server)?.list(flags.format.output).await,
        UserCommand::Show(flags) => of(&flags.server)?.show(&flags.name, flags.format.output).await,
        UserCommand::Create(flags) => create(flags).await,
        UserCommand::Delete(flags) => of(&flags.server)?.delete(&flags).await,
        UserCommand::Passwd(flags) => of(&flags.server)?.set_secret(&flags, "password").await,
        UserCommand::Grant(flags) => of(&flags.server)?.grant(&flags).await,
        UserCommand::Revoke(flags) => of(&flags.server)?.revoke(&flags).await,
        UserCommand::Join(flags) => of(&flags.server)?.join(&flags).await,
        UserCommand::Leave(flags) => of(&flags.server)?.leave(&flags).await,
        UserCommand::Logout(flags) => {
            let users = of(&flags.server)?;
            let id = users.id(&flags.name).await?;
            users.ask(Method::DELETE, &id, &["logins"]).await?;
            print_done(&json!({ "logged_out": flags.name }), flags.format);
            Ok(())
        }
        UserCommand::Login(flags) => login(flags).await,
    }
}

async fn create(flags: CreateFlags) -> anyhow::Result<()> {
    let users = Holders::new(flags.server, MANY)?;
    let (password, is_made) = flags.secret.take()?;
    let wish = json!({
        "user": flags.name,
        "password": password,
        "user_id": flags.user_id,
        "project_id": flags.project_id,
    });
    let id = users.create(&wish).await?;
    let shown = is_made.then_some(("password", password.as_str()));
    print_made(json!({ "uuid": id, "name": flags.name }), shown, flags.format);
    for role in &flags.roles {
        let joined = users.member_of(Method::PUT, &id, role).await;
        joined.with_context(|| format!("the user is made, but does not have the role {role}"))?;
    }
    let granted = users.change_of(Method::PUT, &id, &flags.permissions).await;
    granted.context("the user is made, but does not have all permissions")
}

async fn login(flags: LoginFlags) -> anyhow::Result<()> {
    let (password, _) = NewSecret { password_stdin: flags.password_stdin }.take()?;
    let client = Client::new(Server { token: None, ..flags.server })?;
    let scope = flags.scopes.join(" ");
    let form =
        [("grant_type", "password"), ("username", &flags.name), ("password", &password), ("scope", &scope)];
    let granted = client.send(client.request(Method::POST, "/oauth/token").form(&form)).await?;
    let granted: Value = granted.json().await?;
    let token = granted.get("access_token").map(plain).unwrap_or_default();
    match flags.format.output {
        OutputFormat::Json => print_json(&granted),
        OutputFormat::Table => drop(print_line(&token)),
    }
    Ok(())
}

//! `quintet role`: lists of permissions that users and clients share.

use crate::cli::{Format, Server};
use crate::holder::{Holders, Listed, Named, WithPermissions};
use crate::output::print_done;
use anyhow::Context;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::json;

const MANY: &str = "roles";

#[derive(Debug, Subcommand)]
#[command(after_help = "\
  quintet role create auditors --permission 'cloud->events->list' --permission 'events->_->get'
  quintet user join ada auditors")]
pub(crate) enum RoleCommand {
    /// List roles with their permissions
    List(Listed),
    /// Show one role
    Show(Named),
    /// Make a role
    Create(CreateFlags),
    /// Remove a role from everybody who has it, and for good
    Delete(Named),
    /// Grant permissions to everybody who has the role
    Grant(WithPermissions),
    /// Take permissions back
    Revoke(WithPermissions),
}

#[derive(Debug, Args)]
pub(crate) struct CreateFlags {
    /// Its name
    name: String,
    /// Permission that it gives, for instance 'events->_->get'; may be given several times
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Vec<String>,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    format: Format,
}

/// Runs one of the commands.
pub(crate) async fn run(command: RoleCommand) -> anyhow::Result<()> {
    let of = |server: &Server| Holders::new(server.clone(), MANY);
    match command {
        RoleCommand::List(flags) => of(&flags.server)?.list(flags.format.output).await,
        RoleCommand::Show(flags) => of(&flags.server)?.show(&flags.name, flags.format.output).await,
        RoleCommand::Create(flags) => {
            let roles = of(&flags.server)?;
            let id = roles.create(&json!({ "name": flags.name })).await?;
            print_done(&json!({ "uuid": id, "name": flags.name }), flags.format);
            let granted = roles.change_of(Method::PUT, &id, &flags.permissions).await;
            granted.context("the role is made, but does not have all permissions")
        }
        RoleCommand::Delete(flags) => of(&flags.server)?.delete(&flags).await,
        RoleCommand::Grant(flags) => of(&flags.server)?.grant(&flags).await,
        RoleCommand::Revoke(flags) => of(&flags.server)?.revoke(&flags).await,
    }
}

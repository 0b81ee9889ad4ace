//! What `quintet user`, `client` and `role` have in common: whoever holds permissions, named by a name.

use crate::cli::{Format, OutputFormat, Server};
use crate::client::{Client, is_id, path};
use crate::output::{Rows, plain, print_done, print_json, print_line};
use anyhow::{Context, bail, ensure};
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};
use std::io::Read;

/// Rows that are asked for at once.
const PAGE: usize = 1000;

/// Longest password that is read, in bytes.
const PASSWORD_BYTES: u64 = 4096;

/// One of them, by name.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Its name
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) server: Server,
    #[command(flatten)]
    pub(crate) format: Format,
}

/// All of them.
#[derive(Debug, Args)]
pub(crate) struct Listed {
    #[command(flatten)]
    pub(crate) server: Server,
    #[command(flatten)]
    pub(crate) format: Format,
}

/// One of them, and permissions.
#[derive(Debug, Args)]
pub(crate) struct WithPermissions {
    /// Its name
    pub(crate) name: String,
    /// Permissions, for instance 'events->_->get'; _ is one word, ... is one or more
    #[arg(required = true, value_name = "PERMISSION")]
    pub(crate) permissions: Vec<String>,
    #[command(flatten)]
    pub(crate) server: Server,
    #[command(flatten)]
    pub(crate) format: Format,
}

/// One of them, and a role.
#[derive(Debug, Args)]
pub(crate) struct WithRole {
    /// Its name
    pub(crate) name: String,
    /// Name of the role
    pub(crate) role: String,
    #[command(flatten)]
    pub(crate) server: Server,
    #[command(flatten)]
    pub(crate) format: Format,
}

/// One of them, and its new password or secret.
#[derive(Debug, Args)]
pub(crate) struct WithSecret {
    /// Its name
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) secret: NewSecret,
    #[command(flatten)]
    pub(crate) server: Server,
    #[command(flatten)]
    pub(crate) format: Format,
}

/// Where a new password or secret comes from. It is never an argument, which others could see.
#[derive(Debug, Args)]
pub(crate) struct NewSecret {
    /// Read it from standard input, up to the first line break; else one is made and printed, once
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

impl NewSecret {
    /// The secret, and whether it was made here and has to be told.
    pub(crate) fn take(&self) -> anyhow::Result<(String, bool)> {
        if !self.password_stdin {
            return Ok((shared::secrets::generate(), true));
        }
        let mut text = String::new();
        std::io::stdin().take(PASSWORD_BYTES).read_to_string(&mut text).context("standard input")?;
        let line = text.lines().next().unwrap_or_default();
        ensure!(!line.is_empty(), "standard input is empty: expected the password");
        Ok((line.to_owned(), false))
    }
}

/// Users, clients or roles of one gateway.
pub(crate) struct Holders {
    client: Client,
    /// `users`, `clients`, `roles`
    many: &'static str,
}

impl Holders {
    pub(crate) fn new(server: Server, many: &'static str) -> anyhow::Result<Self> {
        Ok(Self { client: Client::new(server)?, many })
    }

    /// The same gateway's others.
    fn others(&self, many: &'static str) -> Self {
        Self { client: self.client.clone(), many }
    }

    /// Makes one; its id.
    pub(crate) async fn create(&self, wish: &Value) -> anyhow::Result<String> {
        let request = self.client.request(Method::POST, &format!("/v1/{}", self.many)).json(wish);
        let answer = self.client.send(request).await?;
        let place = answer.headers().get("location").and_then(|place| place.to_str().ok());
        let id = place.and_then(|place| place.rsplit('/').next());
        id.map(str::to_owned).context("the gateway does not say where it made it")
    }

    /// The id that belongs to `name`; an id is taken as it is.
    pub(crate) async fn id(&self, name: &str) -> anyhow::Result<String> {
        let path = format!("/v1/{}", self.many);
        let found = self.client.get(&path, &[("name", name.to_owned())]).await?;
        if let Some(id) = found.get(0).and_then(Value::as_str) {
            return Ok(id.to_owned());
        }
        if is_id(name) {
            return Ok(name.to_owned());
        }
        bail!("there is no {} {name}, or you may not see it", self.many.trim_end_matches('s'))
    }

    /// Asks for something below the one with this id.
    pub(crate) async fn ask(&self, method: Method, id: &str, below: &[&str]) -> anyhow::Result<Value> {
        self.send(method, id, below, None).await
    }

    /// Sends something below the one with this id.
    pub(crate) async fn send(
        &self,
        method: Method,
        id: &str,
        below: &[&str],
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let words: Vec<&str> = std::iter::once(id).chain(below.iter().copied()).collect();
        let request = self.client.request(method, &path(&format!("/v1/{}", self.many), &words)?);
        let request = body.into_iter().fold(request, |request, body| request.json(body));
        let text = self.client.send(request).await?.text().await?;
        Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? })
    }

    pub(crate) async fn delete(self, flags: &Named) -> anyhow::Result<()> {
        let id = self.id(&flags.name).await?;
        self.ask(Method::DELETE, &id, &[]).await?;
        print_done(&json!({ "deleted": flags.name }), flags.format);
        Ok(())
    }

    pub(crate) async fn grant(self, flags: &WithPermissions) -> anyhow::Result<()> {
        let WithPermissions { name, permissions, format, .. } = flags;
        self.change_of(Method::PUT, &self.id(name).await?, permissions).await?;
        print_done(&json!({ "name": name, "granted": permissions }), *format);
        Ok(())
    }

    pub(crate) async fn revoke(self, flags: &WithPermissions) -> anyhow::Result<()> {
        let WithPermissions { name, permissions, format, .. } = flags;
        self.change_of(Method::DELETE, &self.id(name).await?, permissions).await?;
        print_done(&json!({ "name": name, "revoked": permissions }), *format);
        Ok(())
    }

    /// Grants or revokes each of `permissions`.
    pub(crate) async fn change_of(
        &self,
        method: Method,
        id: &str,
        permissions: &[String],
    ) -> anyhow::Result<()> {
        for permission in permissions {
            let words: Vec<&str> = permission.split("->").collect();
            ensure!(!words.contains(&".") && !words.contains(&".."), "{permission}: no such word");
            let below = [&["permissions"], words.as_slice()].concat();
            self.ask(method.clone(), id, &below).await.with_context(|| permission.clone())?;
        }
        Ok(())
    }

    pub(crate) async fn join(self, flags: &WithRole) -> anyhow::Result<()> {
        let WithRole { name, role, format, .. } = flags;
        self.member_of(Method::PUT, &self.id(name).await?, role).await?;
        print_done(&json!({ "name": name, "joined": role }), *format);
        Ok(())
    }

    pub(crate) async fn leave(self, flags: &WithRole) -> anyhow::Result<()> {
        let WithRole { name, role, format, .. } = flags;
        self.member_of(Method::DELETE, &self.id(name).await?, role).await?;
        print_done(&json!({ "name": name, "left": role }), *format);
        Ok(())
    }

    /// Sets a new password or secret, which the API calls `member`.
    pub(crate) async fn set_secret(self, flags: &WithSecret, member: &str) -> anyhow::Result<()> {
        let id = self.id(&flags.name).await?;
        let (secret, is_made) = flags.secret.take()?;
        self.send(Method::PUT, &id, &[], Some(&json!({ member: secret }))).await?;
        let shown = is_made.then_some((member, secret.as_str()));
        print_made(json!({ "name": flags.name, "changed": member }), shown, flags.format);
        Ok(())
    }

    /// Gives or takes a role.
    pub(crate) async fn member_of(&self, method: Method, id: &str, role: &str) -> anyhow::Result<()> {
        let role = self.others("roles").id(role).await?;
        self.ask(method, id, &["roles", &role]).await.map(drop)
    }

    /// Prints one with everything it has.
    pub(crate) async fn show(&self, name: &str, output: OutputFormat) -> anyhow::Result<()> {
        let id = self.id(name).await?;
        let one = self.ask(Method::GET, &id, &[]).await?;
        match output {
            OutputFormat::Json => print_json(&one),
            OutputFormat::Table => self.print(&[one]).await?,
        }
        Ok(())
    }

    /// Prints all that the caller may see.
    pub(crate) async fn list(&self, output: OutputFormat) -> anyhow::Result<()> {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let query =
                [("full-list", "true".to_owned()), ("after", after.clone()), ("limit", PAGE.to_string())];
            let page = self.client.get(&format!("/v1/{}", self.many), &query).await?;
            let page = page.as_array().cloned().unwrap_or_default();
            let Some(last) = page.last().and_then(|one| one.get("uuid")) else { break };
            after = plain(last);
            let is_last = page.len() < PAGE;
            all.extend(page);
            if is_last {
                break;
            }
        }
        all.sort_by_cached_key(|one| one.get("name").map(plain));
        match output {
            OutputFormat::Json => print_json(&json!(all)),
            OutputFormat::Table => self.print(&all).await?,
        }
        Ok(())
    }

    async fn print(&self, all: &[Value]) -> anyhow::Result<()> {
        // Roles are shown by name, where the caller may see them.
        let query = [("full-list", "true".to_owned()), ("full-list-fields", "uuid,name".to_owned())];
        let roles = if self.many == "roles" {
            Value::Null
        } else {
            self.client.get("/v1/roles", &query).await.unwrap_or_default()
        };
        let role_name = |id: &Value| {
            let mut known = roles.as_array().into_iter().flatten();
            let role = known.find(|role| role.get("uuid") == Some(id));
            role.and_then(|role| role.get("name")).map_or_else(|| plain(id), plain)
        };
        let mut rows = Rows::new(&["name", "roles", "permissions", "uuid"]);
        for one in all {
            let list = |name: &str| one.get(name).and_then(Value::as_array).into_iter().flatten();
            let permissions: Vec<String> = list("permissions").map(written).collect();
            let cell = |name: &str| one.get(name).map(plain).unwrap_or_default();
            let roles: Vec<String> = list("roles").map(role_name).collect();
            rows.push(vec![cell("name"), roles.join(", "), permissions.join(", "), cell("uuid")]);
        }
        rows.print();
        Ok(())
    }
}

/// As [`print_done`], with the secret that was made here under its name; a person is told that.
pub(crate) fn print_made(mut done: Value, secret: Option<(&str, &str)>, format: Format) {
    match (format.output, secret) {
        (OutputFormat::Json, _) => {
            if let (Some(members), Some((name, secret))) = (done.as_object_mut(), secret) {
                members.insert(name.to_owned(), secret.into());
            }
            print_json(&done);
        }
        (OutputFormat::Table, Some((_, secret))) => drop(print_line(secret)),
        (OutputFormat::Table, None) => {}
    }
}

/// A permission as one writes it.
fn written(words: &Value) -> String {
    let words: Vec<String> = words.as_array().into_iter().flatten().map(plain).collect();
    words.join("->")
}

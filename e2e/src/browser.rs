//! A real browser, driven through `WebDriver` (W3C) as a person would use it.

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Longest wait for what a page shows after a click.
const PATIENCE: Duration = Duration::from_secs(20);

/// The member of an answer that names an element (`WebDriver`, section 12.2).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Chromium with one window. It ends with this value.
pub struct Browser {
    driver: Child,
    client: reqwest::Client,
    /// Address of the driver's session.
    session: String,
    /// What Chromium leaves behind; goes last.
    _folder: TempDir,
}

impl Browser {
    /// Starts Chromium; `None` when Debian's `chromium-driver` is missing and is not required.
    ///
    /// # Errors
    /// When `QUINTET_TEST_REQUIRE_SERVICES` is set and the driver is missing, or it does not start.
    pub async fn start() -> anyhow::Result<Option<Self>> {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").env("TMPDIR", folder.path()).stdout(Stdio::piped());
        let mut driver = match command.spawn() {
            Ok(driver) => driver,
            Err(cause) => {
                let is_required = std::env::var_os("QUINTET_TEST_REQUIRE_SERVICES").is_some();
                ensure!(!is_required, "chromedriver: {cause}");
                return Ok(None);
            }
        };
        let lines = BufReader::new(driver.stdout.take().context("no standard output")?).lines();
        // "ChromeDriver was started successfully on port 41234."
        let port = |line: String| {
            line.split_once("successfully on port ")?.1.trim_end_matches('.').parse::<u16>().ok()
        };
        let port = lines.map_while(Result::ok).find_map(port).context("chromedriver names no port")?;
        let session = format!("http://127.0.0.1:{port}/session");
        let mut browser = Self { driver, client: reqwest::Client::new(), session, _folder: folder };
        // Tests run as root in containers, where Chromium's sandbox and its shared memory are not to be had.
        let arguments =
            ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1400,900"];
        let wanted = json!({ "alwaysMatch": { "goog:chromeOptions": { "args": arguments } } });
        let session = browser.ask("", &json!({ "capabilities": wanted })).await?;
        let id = session.get("sessionId").and_then(Value::as_str).context("no session")?;
        browser.session = format!("{}/{id}", browser.session);
        Ok(Some(browser))
    }

    /// Opens an address.
    ///
    /// # Errors
    /// When the browser cannot.
    pub async fn open(&self, url: &str) -> anyhow::Result<()> {
        self.ask("/url", &json!({ "url": url })).await.map(drop)
    }

    /// What a script in the page returns.
    ///
    /// # Errors
    /// When it throws.
    pub async fn run(&self, script: &str) -> anyhow::Result<Value> {
        self.ask("/execute/sync", &json!({ "script": script, "args": [] })).await
    }

    /// Waits until a script in the page returns `expected`.
    ///
    /// # Errors
    /// When it does not in 20 seconds; the error has what it returned last.
    pub async fn until(&self, script: &str, expected: &Value) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            // While a page is loaded, what a script asks for may not be there.
            let found = self.run(script).await.unwrap_or_else(|cause| cause.to_string().into());
            if found == *expected {
                return Ok(());
            }
            ensure!(tokio::time::Instant::now() < deadline, "{script}: {found} is not {expected}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the page shows exactly `text` in what `selector` names.
    ///
    /// # Errors
    /// When it does not in 20 seconds; the error has what was shown last.
    pub async fn shows(&self, selector: &str, text: &str) -> anyhow::Result<()> {
        self.until(&format!("return document.querySelector({selector:?}).innerText"), &text.into()).await
    }

    /// Clicks on what `selector` names.
    ///
    /// # Errors
    /// When it is not there, or hidden.
    pub async fn click(&self, selector: &str) -> anyhow::Result<()> {
        let element = self.find(selector).await?;
        self.ask(&format!("{element}/click"), &json!({})).await.map(drop)
    }

    /// Writes into a field, in place of what it had.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn write(&self, selector: &str, text: &str) -> anyhow::Result<()> {
        let element = self.find(selector).await?;
        self.ask(&format!("{element}/clear"), &json!({})).await?;
        self.ask(&format!("{element}/value"), &json!({ "text": text })).await.map(drop)
    }

    async fn find(&self, selector: &str) -> anyhow::Result<String> {
        let found = self.ask("/element", &json!({ "using": "css selector", "value": selector })).await?;
        let id = found.get(ELEMENT).and_then(Value::as_str).context("no element")?;
        Ok(format!("/element/{id}"))
    }

    async fn ask(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let answer = self.client.post(format!("{}{path}", self.session)).json(body).send().await?;
        let is_done = answer.status().is_success();
        let mut answer: Value = answer.json().await?;
        let value = answer.get_mut("value").map(Value::take).unwrap_or_default();
        if is_done {
            return Ok(value);
        }
        bail!("{path} {body}: {}", value.get("message").and_then(Value::as_str).unwrap_or("no message"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium ends with its session; a driver that is killed would leave it behind.
        let _ = end(&self.session);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Ends a session, and waits until it has ended. Nothing can be awaited where this is called.
fn end(session: &str) -> anyhow::Result<()> {
    let (host, path) = session.trim_start_matches("http://").split_once('/').context("no address")?;
    let mut driver = TcpStream::connect(host)?;
    driver.set_read_timeout(Some(PATIENCE))?;
    write!(driver, "DELETE /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")?;
    // The answer comes when all has ended.
    ensure!(driver.read(&mut [0; 64])? > 0, "no answer");
    Ok(())
}

//! A headless Chromium, controlled through the WebDriver protocol of its chromedriver.
//!
//! The protocol is JSON over HTTP, of which a test needs six calls; two of them, for DevTools and the console, are chromedriver's own and in
//! no client library.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use testbench::peers::free_ports;

/// A browser with one page; ends with all its processes when dropped.
pub struct Browser {
    driver: Child,
    session: String,
    client: reqwest::Client,
    _profile: tempfile::TempDir,
}

impl Browser {
    pub async fn start() -> Self {
        let [address] = free_ports::<1>().unwrap();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={}", address.port()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("chromedriver is not on the PATH: scripts/test brings it");
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Self {
            driver,
            session: format!("http://{address}"),
            client: crate::rig::client(),
            _profile: profile,
        };
        browser.until_up().await;
        let profile = format!("--user-data-dir={}", browser._profile.path().display());
        // Over a pipe, so that the browser exits with its driver. Root has no sandbox, and the page is our own.
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--remote-debugging-pipe",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            &profile,
        ];
        let asked = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let answer = browser.call("session", &asked).await;
        let id = answer["sessionId"].as_str().unwrap();
        browser.session = format!("{}/session/{id}", browser.session);
        browser
    }

    async fn until_up(&self) {
        for _ in 0..400 {
            let status = self.client.get(format!("{}/status", self.session));
            if status.send().await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("chromedriver did not answer within 20 s");
    }

    async fn call(&self, path: &str, body: &Value) -> Value {
        let request = self.client.post(format!("{}/{path}", self.session));
        let response = request
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        let answer: Value = serde_json::from_str(&crate::rig::text(response).await).unwrap();
        let value = answer["value"].clone();
        assert!(value["error"].is_null(), "{path} {body}: {value}");
        value
    }

    pub async fn open(&self, url: &str) {
        self.call("url", &json!({ "url": url })).await;
    }

    /// The result of a script, which runs like a debugger's, whatever the page's policy.
    pub async fn eval(&self, script: &str) -> Value {
        let script = format!("return ({script})");
        self.call("execute/sync", &json!({ "script": script, "args": [] }))
            .await
    }

    pub async fn text(&self, selector: &str) -> String {
        let script = format!("document.querySelector({selector:?})?.innerText ?? ''");
        self.eval(&script).await.as_str().unwrap().to_owned()
    }

    /// Waits until an expression of the page is true.
    pub async fn until(&self, expression: &str, patience: Duration) {
        let started = std::time::Instant::now();
        while self.eval(expression).await != true {
            let page = self.text("body").await;
            let waited = started.elapsed();
            assert!(
                waited < patience,
                "not within {waited:?}: {expression}\n{page}"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    pub async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let asked = json!({ "cmd": command, "params": parameters });
        self.call("goog/cdp/execute", &asked).await
    }

    /// Emulates a screen of this width, light or dark.
    pub async fn look(&self, width: u32, height: u32, scale: f64, dark: bool) {
        let screen = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 500 });
        self.devtools("Emulation.setDeviceMetricsOverride", screen)
            .await;
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// The console's lines since the last call: errors, and violations of the page's policy.
    pub async fn console(&self) -> Vec<String> {
        let lines = self.call("se/log", &json!({ "type": "browser" })).await;
        let lines = lines.as_array().unwrap().iter();
        lines.map(Value::to_string).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.driver);
        // It may have exited by itself.
        let _ended = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _reaped = self.driver.wait();
    }
}

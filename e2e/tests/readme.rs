//! The README, followed from the top.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

use e2e::Home;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// The commands of a section, in their order.
fn commands(section: &str) -> String {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let (_, rest) = readme.split_once(&format!("\n## {section}\n")).unwrap();
    let section = rest.split("\n## ").next().unwrap();
    section.split("```").skip(1).step_by(2).collect()
}

/// A folder like that of somebody who has cloned and built it.
fn lay_out(home: &Home) {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
    for folder in ["target/release", "e2e/fixtures"] {
        std::fs::create_dir_all(home.path().join(folder)).unwrap();
    }
    let program = home.command().unwrap().get_program().to_owned();
    symlink(program, home.path().join("target/release/quintet")).unwrap();
    symlink(repository.join("examples"), home.path().join("examples")).unwrap();
    let sample = "e2e/fixtures/notifications.ndjson.gz";
    std::fs::copy(repository.join(sample), home.path().join(sample)).unwrap();
}

/// What the list of completed streams must come to show. Pipelines are still at work when all events are stored.
const COMPLETED: &str = "\
for second in $(seq 60); do
  test $(quintet streams list --state completed --limit 5 | grep -c completed) = 5 && exit
  sleep 1
done
exit 1";

/// Runs commands as one script that ends at the first failure; what they print.
fn run(home: &Home, script: &str) -> String {
    let mut command = Command::new("bash");
    command.args(["-euc", script]).current_dir(home.path());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("QUINTET_")) {
        command.env_remove(name);
    }
    let output = command.output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    printed
}

#[tokio::test(flavor = "multi_thread")]
async fn its_commands_work_one_after_the_other() {
    let home = Home::sqlite().unwrap();
    lay_out(&home);
    let product = home.start(&[]).unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let script = format!(
        "export QUINTET_URL={}\ntrap 'kill $(jobs -p)' EXIT\n{}\necho the second\n{}\n{COMPLETED}",
        product.url,
        commands("The first five minutes"),
        commands("From notifications to verified usage"),
    );
    let script = script.replace("http://127.0.0.1:8080", &product.url);
    let script = script.replace("127.0.0.1:8081", &free.to_string());
    let printed = run(&home, &script);
    let (first, second) = printed.split_once("the second\n").unwrap();
    assert!(
        first.contains("\"message_id\":\"hello-1\"") && first.contains("compute.instance.exists"),
        "{first}"
    );
    // A verdict with its reason, the streams of an instance, and the answer to the last notification.
    assert!(second.contains("compute.instance.exists.failed"), "{second}");
    assert!(second.contains("\"instance_id\":\"8dae93ef-b862-4ca7-a925-8dd5924bf32a\""), "{second}");
    assert!(second.contains("\"saved\":1"), "{second}");
    product.terminate().await.unwrap();
}

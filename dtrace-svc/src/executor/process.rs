//! A tracer as a process: in a group of its own, within limits, fed through its standard input and never through a
//! shell. Whatever happens, the group ends with the run: on a stop it is interrupted, then killed; and should this
//! service itself be killed, the tracer dies at its next line, because nobody reads it any more.

use super::{EVENTS, Event, Exit, Tracing};
use crate::config::TracerLimits;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};
use std::future::Future;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Longest line of a tracer; a longer one is dropped and counted as lost. bpftrace prints a whole map on one line.
const MAX_LINE: usize = 8 << 20;

/// Bytes kept of what a tracer writes to standard error: the last ones.
const STDERR_TAIL: usize = 8 << 10;

/// Between the polite and the final signal.
const GRACE: Duration = Duration::from_secs(2);

/// A tracer program.
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) limits: TracerLimits,
    /// Every process started is waited for here, so that a stop of the service leaves none behind.
    pub(super) tracker: TaskTracker,
}

impl Program {
    fn spawn(&self, args: &[&str]) -> io::Result<Child> {
        let kept = std::env::vars_os().filter(|(name, _)| {
            name == "PATH" || name.to_str().is_some_and(|name| name.starts_with("BPFTRACE_"))
        });
        // The rest of the environment may hold secrets.
        let kept: Vec<_> = kept.collect();
        let child = Command::new(&self.path)
            .args(args)
            .env_clear()
            .envs(kept)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        if let Some(pid) = group_of(&child) {
            limit(pid, &self.limits);
        }
        Ok(child)
    }

    /// Starts the program with `input`; each of its lines becomes what `read` makes of it.
    pub(super) fn start(
        &self,
        args: &[&str],
        input: String,
        read: impl FnMut(&str) -> Vec<Event> + Send + 'static,
    ) -> io::Result<Tracing> {
        let child = self.spawn(args)?;
        let (sender, receiver) = mpsc::channel(EVENTS);
        let stop = CancellationToken::new();
        let limit = Duration::from_secs(self.limits.run_secs);
        self.tracker.spawn(supervise(child, input, read, sender, stop.clone(), limit));
        Ok(Tracing::new(receiver, stop.drop_guard()))
    }

    /// Runs the program to its end, or for `timeout`; gives its output and how it ended.
    pub(super) async fn finish(
        &self,
        args: &[&str],
        input: String,
        timeout: Duration,
    ) -> io::Result<(String, Exit)> {
        let mut tracing = self.start(args, input, |line| vec![Event::Line(line.to_owned())])?;
        let (mut output, mut exit) = (String::new(), Exit { code: None, stderr: "no answer in time".into() });
        let reading = async {
            while let Some(event) = tracing.next().await {
                if let Event::Exit(end) = event {
                    exit = end;
                } else if let Event::Line(line) = event
                    && output.len() < STDERR_TAIL
                {
                    output.push_str(&(line + "\n"));
                }
            }
        };
        // On the time limit `exit` keeps its first text, and dropping the run stops the program.
        let _ = tokio::time::timeout(timeout, reading).await;
        Ok((output, exit))
    }
}

/// The group that a child leads.
fn group_of(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
}

/// Sets the limits on the started process; what it starts inherits them.
fn limit(pid: Pid, limits: &TracerLimits) {
    // No core files: a tracer that aborts would leave one of its whole memory.
    let all = [
        (Resource::As, limits.memory_bytes),
        (Resource::Cpu, limits.cpu_secs),
        (Resource::Core, 0),
        // What a login shell gives; ours is far larger, and programs that close all they may have open would be at it long.
        (Resource::Nofile, 1024),
    ];
    for (resource, most) in all {
        let most = Rlimit { current: Some(most), maximum: Some(most) };
        if let Err(cause) = prlimit(Some(pid), resource, most) {
            log::warn!("a tracer runs without its limit of {resource:?}: {cause}");
        }
    }
}

fn signal(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        // It fails when nobody of the group is left, which is what we want.
        let _ = kill_process_group(group, signal);
    }
}

/// Reads a tracer until it ends, is stopped, or has run too long.
async fn supervise(
    mut child: Child,
    input: String,
    read: impl FnMut(&str) -> Vec<Event>,
    events: mpsc::Sender<Event>,
    stop: CancellationToken,
    limit: Duration,
) {
    let group = group_of(&child);
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let mut tail = Vec::new();
    let mut is_over_time = false;
    {
        let mut reading = pin!(async {
            tokio::join!(feed(stdin, input), forward(stdout, read, &events), keep_tail(stderr, &mut tail));
        });
        let is_stopped = tokio::select! {
            () = &mut reading => false,
            () = stop.cancelled() => true,
            () = tokio::time::sleep(limit) => { is_over_time = true; true }
        };
        if is_stopped {
            signal(group, Signal::INT);
            if within(GRACE, &mut reading).await.is_none() {
                signal(group, Signal::KILL);
                // What descendants still hold open is not waited for.
                let _ = within(GRACE, &mut reading).await;
            }
        }
    }
    let status = match within(GRACE, child.wait()).await {
        Some(status) => status,
        None => {
            signal(group, Signal::KILL);
            child.wait().await
        }
    };
    // Whatever the tracer has started and left behind.
    signal(group, Signal::KILL);
    let stderr = if is_over_time {
        format!("the time limit of {} s is over", limit.as_secs())
    } else {
        String::from_utf8_lossy(&tail).into_owned()
    };
    let exit = Exit { code: status.ok().and_then(code_of), stderr };
    // Nobody may be listening any more.
    let _ = events.send(Event::Exit(exit)).await;
}

async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, future).await.ok()
}

fn code_of(status: ExitStatus) -> Option<i32> {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal))
}

async fn feed(stdin: Option<ChildStdin>, input: String) {
    if let Some(mut stdin) = stdin {
        // A tracer that does not read its script to the end says so itself.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
}

/// Turns lines into events. When nobody takes them any more the rest is read and dropped, so that the tracer can
/// come to its end.
async fn forward(
    stdout: Option<ChildStdout>,
    mut read: impl FnMut(&str) -> Vec<Event>,
    events: &mpsc::Sender<Event>,
) {
    let Some(stdout) = stdout else { return };
    let mut lines = Lines { reader: BufReader::with_capacity(64 << 10, stdout), line: Vec::new() };
    while let Some(line) = lines.next().await {
        let found = match line {
            Line::Whole(text) => read(&text),
            Line::TooLong => vec![Event::Lost(1)],
        };
        for event in found {
            if events.send(event.cut()).await.is_err() {
                break;
            }
        }
    }
}

/// Keeps the end of what comes.
async fn keep_tail(source: Option<impl AsyncRead + Unpin>, tail: &mut Vec<u8>) {
    let Some(mut source) = source else { return };
    let mut chunk = [0; 4096];
    while let Ok(length @ 1..) = source.read(&mut chunk).await {
        tail.extend_from_slice(chunk.get(..length).unwrap_or_default());
        let surplus = tail.len().saturating_sub(STDERR_TAIL);
        tail.drain(..surplus);
    }
}

/// Lines of bounded length.
struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
}

enum Line {
    Whole(String),
    TooLong,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// The next line; `None` at the end, or when it cannot be read.
    async fn next(&mut self) -> Option<Line> {
        self.line.clear();
        let mut is_too_long = false;
        loop {
            let chunk = self.reader.fill_buf().await.ok()?;
            if chunk.is_empty() && self.line.is_empty() {
                return None;
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let part = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default();
            is_too_long |= self.line.len() + part.len() > MAX_LINE;
            if !is_too_long {
                self.line.extend_from_slice(part);
            }
            let (is_last, used) = (chunk.is_empty(), part.len() + usize::from(end.is_some()));
            self.reader.consume(used);
            if end.is_some() || is_last {
                return Some(match is_too_long {
                    true => Line::TooLong,
                    false => Line::Whole(String::from_utf8_lossy(&self.line).into_owned()),
                });
            }
        }
    }
}

/// Whether a program of this name can be found, as a shell would look for it.
pub(super) fn is_found(program: &Path) -> bool {
    if program.components().count() > 1 {
        return program.is_file();
    }
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(run_secs: u64) -> Program {
        Program {
            path: "/bin/sh".into(),
            limits: TracerLimits { run_secs, ..TracerLimits::default() },
            tracker: TaskTracker::new(),
        }
    }

    fn start(script: &str) -> (Program, Tracing) {
        start_in(shell(60), script)
    }

    fn start_in(program: Program, script: &str) -> (Program, Tracing) {
        let read = |line: &str| vec![Event::Line(line.to_owned())];
        let tracing = program.start(&["-c", script], "input".into(), read).unwrap();
        (program, tracing)
    }

    fn line(text: &str) -> Option<Event> {
        Some(Event::Line(text.to_owned()))
    }

    fn exit(code: i32, stderr: &str) -> Option<Event> {
        Some(Event::Exit(Exit { code: Some(code), stderr: stderr.to_owned() }))
    }

    /// Whether a process is there and is no zombie.
    fn is_alive(pid: &str) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        status.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
    }

    /// Whether a process is gone within 10 s: the kernel ends it some time after the signal was sent.
    async fn ends(pid: &str) -> bool {
        for _ in 0..1000 {
            if !is_alive(pid) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }

    async fn drain(program: &Program) {
        program.tracker.close();
        program.tracker.wait().await;
    }

    #[tokio::test]
    async fn lines_and_the_end_come_as_events() {
        let (_program, mut tracing) = start("cat; echo; echo two; printf three; echo wrong >&2; exit 3");
        for expected in [line("input"), line("two"), line("three"), exit(3, "wrong\n"), None] {
            assert_eq!(tracing.next().await, expected);
        }
    }

    #[tokio::test]
    async fn a_signal_is_told_as_a_shell_tells_it() {
        let (_program, mut tracing) = start("kill -ABRT $$");
        assert_eq!(tracing.next().await, exit(134, ""));
    }

    #[tokio::test]
    async fn dropping_the_run_ends_the_whole_group_even_when_it_ignores_interrupts() {
        let (program, mut tracing) = start("trap '' INT TERM; sleep 600 & echo $!; echo $$; wait");
        let mut pids = Vec::new();
        for _ in 0..2 {
            let Some(Event::Line(pid)) = tracing.next().await else { unreachable!() };
            assert!(is_alive(&pid));
            pids.push(pid);
        }
        drop(tracing);
        drain(&program).await;
        for pid in pids {
            assert!(ends(&pid).await, "{pid}");
        }
    }

    #[tokio::test]
    async fn what_a_tracer_leaves_behind_is_ended_too() {
        let (program, mut tracing) = start("sleep 600 >/dev/null 2>&1 & echo $!");
        let Some(Event::Line(pid)) = tracing.next().await else { unreachable!() };
        assert_eq!(tracing.next().await, exit(0, ""));
        drain(&program).await;
        assert!(ends(&pid).await, "{pid}");
    }

    #[tokio::test]
    async fn a_run_over_its_time_is_ended() {
        let (_program, mut tracing) = start_in(shell(1), "sleep 600");
        assert_eq!(tracing.next().await, exit(130, "the time limit of 1 s is over"));
    }

    #[tokio::test]
    async fn memory_is_limited() {
        let mut program = shell(60);
        program.limits.memory_bytes = 512 << 20;
        // The limit is set on the started process, so it is asked until it is there.
        let script = "while [ $(ulimit -v) = unlimited ]; do :; done; ulimit -v; ulimit -c";
        let (_program, mut tracing) = start_in(program, script);
        assert_eq!(tracing.next().await, line("524288"));
        assert_eq!(tracing.next().await, line("0"));
    }

    #[tokio::test]
    async fn secrets_of_the_environment_do_not_reach_the_tracer() {
        let (_program, mut tracing) =
            start("env | cut -d= -f1 | grep -v -e PATH -e PWD -e SHLVL -e _ -e OLDPWD");
        assert_eq!(tracing.next().await, exit(1, ""));
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_dropped_and_counted() {
        let (_program, mut tracing) = start("head -c 9000000 /dev/zero | tr '\\0' x; echo; echo after");
        assert_eq!(tracing.next().await, Some(Event::Lost(1)));
        assert_eq!(tracing.next().await, line("after"));
    }

    #[tokio::test]
    async fn a_long_line_is_cut_between_two_characters() {
        // 8191 times x, then é, whose second byte would be the 8193rd.
        let (_program, mut tracing) =
            start("head -c 8191 /dev/zero | tr '\\0' x; printf '\\303\\251 and more\\n'; echo after");
        assert_eq!(tracing.next().await, line(&"x".repeat(8191)));
        assert_eq!(tracing.next().await, line("after"));
    }

    #[tokio::test]
    async fn finishing_gives_up_in_time() {
        let finish = async |script, millis| {
            let timeout = Duration::from_millis(millis);
            shell(60).finish(&["-c", script], String::new(), timeout).await.unwrap()
        };
        let (_, exit) = finish("sleep 600", 100).await;
        assert_eq!(exit, Exit { code: None, stderr: "no answer in time".into() });
        let (output, exit) = finish("echo 1; exit 2", 9000).await;
        assert_eq!((output.as_str(), exit.code), ("1\n", Some(2)));
    }
}

//! Boards emulated by QEMU.
//!
//! The firmware starts on its UART and is told at once to go on over semihosting, on the
//! emulator's standard input and output: an emulated UART takes about 100 microseconds a byte.
//! With `-icount shift=0` every instruction takes one nanosecond of the emulated time, whatever
//! the processor, so that the board's counter counts instructions.

use crate::client::Client;
use crate::link::{read_in_background, write_in_background};
use crate::{Board, Error, Link};
use std::io::ErrorKind;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use wire::Request;

const PROGRAM: &str = "qemu-system-arm";
const PACKAGE: &str = "qemu-system-arm";
/// Emulated instructions a second, by `-icount shift=0`.
const INSTRUCTIONS_PER_SECOND: u64 = 1_000_000_000;
const START_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(2);

/// A running emulator, and the link to the firmware in it. Dropping it ends the emulator.
#[derive(Debug)]
pub struct Qemu {
    name: String,
    child: Child,
    to_device: Sender<Vec<u8>>,
    from_device: Receiver<Vec<u8>>,
    messages: Receiver<Vec<u8>>,
    /// The UART closes with it.
    _uart: Option<UnixStream>,
    /// Holds the model and the UART's socket.
    _folder: TempDir,
}

impl Board {
    /// Instructions that the emulated board carried out in `ticks` of its counter: with the
    /// 25 MHz of most MPS2 boards 40 a tick, which is also how exact it is.
    pub fn instructions(&self, ticks: u64) -> u64 {
        let product = u128::from(ticks) * u128::from(INSTRUCTIONS_PER_SECOND);
        u64::try_from(product / u128::from(self.clock_hz.max(1))).unwrap_or(u64::MAX)
    }
}

impl Qemu {
    /// Starts the image, with the model's bytes in the board's memory for it. Whether they are
    /// a model is for the firmware to say.
    pub fn start(board: &Board, image: &Path, model: &[u8]) -> Result<Self, Error> {
        if model.len() > board.model_bytes {
            return Err(Error::ModelTooLarge {
                bytes: model.len(),
                board: board.name.clone(),
                room: board.model_bytes,
            });
        }
        let folder = tempfile::Builder::new()
            .prefix("modelopt-")
            .tempdir()
            .map_err(Error::system("make a temporary folder"))?;
        let model_path = folder.path().join("model");
        std::fs::write(&model_path, model).map_err(Error::system("write the model for QEMU"))?;
        let socket_path = folder.path().join("uart");
        let listener = UnixListener::bind(&socket_path)
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .map_err(Error::system("open a socket for QEMU"))?;
        let mut command = command(board, image, &socket_path);
        if !model.is_empty() {
            let address = board.model_address;
            let file = option_path(&model_path);
            let loader = format!("loader,file={file},addr={address:#x},force-raw=on");
            command.args(["-device", &loader]);
        }
        let mut qemu = Self::spawn(command, format!("qemu:{}", board.name), folder)?;
        let uart = qemu.accept(&listener)?;
        qemu._uart = Some(qemu.switch_to_debugger(uart)?);
        Ok(qemu)
    }

    fn spawn(mut command: Command, name: String, folder: TempDir) -> Result<Self, Error> {
        let mut child = command.spawn().map_err(|source| match source.kind() {
            ErrorKind::NotFound => Error::NoEmulator {
                program: PROGRAM,
                package: PACKAGE,
            },
            _ => Error::system(format!("start {PROGRAM}"))(source),
        })?;
        let (Some(input), Some(output), Some(messages)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            let source = std::io::Error::other("it has no standard input or output");
            return Err(Error::system(format!("talk to {PROGRAM}"))(source));
        };
        Ok(Qemu {
            name,
            child,
            to_device: write_in_background(input),
            from_device: read_in_background(output),
            messages: read_in_background(messages),
            _uart: None,
            _folder: folder,
        })
    }

    /// Waits for the emulator to connect its UART.
    fn accept(&mut self, listener: &UnixListener) -> Result<UnixStream, Error> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            match listener.accept() {
                Ok((stream, _)) => return Ok(stream),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(Error::system("accept QEMU's connection")(error)),
            }
            if let Ok(Some(_)) = self.child.try_wait() {
                return Err(self.stopped());
            }
            if Instant::now() > deadline {
                return Err(Error::Timeout {
                    device: self.name.clone(),
                    request: "its start",
                    seconds: START_LIMIT.as_secs(),
                });
            }
            thread::sleep(POLL);
        }
    }

    /// Has the firmware go on over semihosting. The UART must stay open: QEMU waits for it.
    fn switch_to_debugger(&mut self, uart: UnixStream) -> Result<UnixStream, Error> {
        let clone = || {
            uart.set_nonblocking(false)
                .and_then(|()| uart.try_clone())
                .map_err(Error::system("use QEMU's socket"))
        };
        let link = Uart {
            qemu: self,
            to_device: write_in_background(clone()?),
            from_device: read_in_background(clone()?),
        };
        Client::over(link).request_done(&Request::SwitchToDebugger, "switch to the debugger")?;
        Ok(uart)
    }

    /// The error for a program that has ended, with what it said.
    fn stopped(&mut self) -> Error {
        let mut said = Vec::new();
        let deadline = Instant::now() + Duration::from_millis(500);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.messages.recv_timeout(left) {
                Ok(part) => said.extend(part),
                Err(_) => break,
            }
        }
        let said = String::from_utf8_lossy(&said);
        // Such as that the emulated network is not connected.
        let is_news = |line: &&str| !line.contains(": warning: ");
        let said: Vec<&str> = said.lines().filter(is_news).collect();
        Error::Stopped {
            device: self.name.clone(),
            said: said.join(", "),
        }
    }

    fn received(
        &mut self,
        outcome: Result<Vec<u8>, RecvTimeoutError>,
    ) -> Result<Option<Vec<u8>>, Error> {
        match outcome {
            Ok(bytes) => Ok(Some(bytes)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(self.stopped()),
        }
    }
}

/// QEMU with everything but the model. Its network, display, monitor and disks stay off.
fn command(board: &Board, image: &Path, socket: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    let uart = format!("socket,id=uart,path={}", option_path(socket));
    command
        .args(["-nodefaults", "-no-user-config", "-display", "none"])
        .args(["-machine", &board.machine])
        .args(["-icount", "shift=0"])
        .args(["-semihosting-config", "enable=on,target=native"])
        .args(["-chardev", &uart, "-serial", "chardev:uart"])
        .arg("-kernel")
        .arg(image)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A path as a part of one of QEMU's options, where a comma ends a part unless doubled.
fn option_path(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

impl Link for Qemu {
    fn name(&self) -> &str {
        &self.name
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let outcome = self.to_device.send(bytes.to_vec());
        outcome.map_err(|_| self.stopped())
    }

    fn receive(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>, Error> {
        let left = deadline.saturating_duration_since(Instant::now());
        let outcome = self.from_device.recv_timeout(left);
        self.received(outcome)
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // It may have ended already; either way it is gone afterwards.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The link at the start.
#[derive(Debug)]
struct Uart<'a> {
    qemu: &'a mut Qemu,
    to_device: Sender<Vec<u8>>,
    from_device: Receiver<Vec<u8>>,
}

impl Link for Uart<'_> {
    fn name(&self) -> &str {
        &self.qemu.name
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let outcome = self.to_device.send(bytes.to_vec());
        outcome.map_err(|_| self.qemu.stopped())
    }

    fn receive(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>, Error> {
        let left = deadline.saturating_duration_since(Instant::now());
        let outcome = self.from_device.recv_timeout(left);
        self.qemu.received(outcome)
    }
}

/// What is missing to emulate boards; `None` when nothing is.
pub fn emulator_missing() -> Option<String> {
    let version = Command::new(PROGRAM)
        .arg("--version")
        .stdin(Stdio::null())
        .output();
    match version.is_ok_and(|output| output.status.success()) {
        true => None,
        false => {
            let error = Error::NoEmulator {
                program: PROGRAM,
                package: PACKAGE,
            };
            Some(format!("{}; {}", error.what(), error.remedy()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_instructions_by_the_counters_frequency() {
        let of = |spec, ticks| crate::find(spec).unwrap().instructions(ticks);
        assert_eq!(of("qemu:an386", 1_000), 40_000);
        assert_eq!(of("qemu:an547", 1_000), 31_250);
        assert_eq!(of("qemu:an505", 1_000), 50_000);
        assert_eq!(of("qemu:an386", u64::MAX), u64::MAX);
    }

    #[test]
    fn commas_in_paths_are_doubled() {
        assert_eq!(option_path(Path::new("/a,b/c")), "/a,,b/c");
    }
}

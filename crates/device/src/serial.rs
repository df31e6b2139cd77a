//! Boards at serial ports, with firmware flashed before.

use crate::{Error, Link};
use serial2::SerialPort;
use std::io::ErrorKind;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long one write may take: a frame at the slowest usual speed.
const WRITE_LIMIT: Duration = Duration::from_secs(60);
/// How long a device may take to answer what a broken conversation has left.
const SETTLE: Duration = Duration::from_millis(200);

/// A link over a serial port.
#[derive(Debug)]
pub struct Serial {
    name: String,
    port: SerialPort,
}

impl Serial {
    /// Opens the port, 8 bits without parity, and ends what an earlier conversation has left.
    pub fn open(path: &Path, baud: u32) -> Result<Self, Error> {
        let name = format!("serial:{}@{baud}", path.display());
        let failed = |source| Error::System {
            what: format!("open {}", path.display()),
            source,
        };
        let mut port = SerialPort::open(path, baud).map_err(failed)?;
        port.set_write_timeout(WRITE_LIMIT).map_err(failed)?;
        // A zero ends a frame that was cut off; an answer to that is not for this conversation.
        port.write_all(&[0]).map_err(failed)?;
        thread::sleep(SETTLE);
        port.discard_input_buffer().map_err(failed)?;
        Ok(Serial { name, port })
    }

    fn failed(&self, source: std::io::Error) -> Error {
        Error::System {
            what: format!("use {}", self.name),
            source,
        }
    }
}

impl Link for Serial {
    fn name(&self) -> &str {
        &self.name
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let outcome = self.port.write_all(bytes);
        outcome.map_err(|source| self.failed(source))
    }

    fn receive(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>, Error> {
        let left = deadline.saturating_duration_since(Instant::now());
        let limited = self.port.set_read_timeout(left);
        limited.map_err(|source| self.failed(source))?;
        let mut buffer = vec![0; 1 << 12];
        match self.port.read(&mut buffer) {
            Ok(0) => Err(Error::Stopped {
                device: self.name.clone(),
                said: String::new(),
            }),
            Ok(length) => {
                buffer.truncate(length);
                Ok(Some(buffer))
            }
            Err(error) if error.kind() == ErrorKind::TimedOut => Ok(None),
            // Nothing has come, but there may be time left.
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(Some(Vec::new())),
            Err(error) => Err(self.failed(error)),
        }
    }
}

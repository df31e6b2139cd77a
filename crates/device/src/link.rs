//! Bytes to a device and back.

use crate::Error;
use std::fmt;
use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Instant;

/// A link to a device.
pub trait Link: fmt::Debug {
    /// Where the link leads, for messages.
    fn name(&self) -> &str;
    /// Sends all of the bytes, without waiting for the device to take them.
    fn send(&mut self, bytes: &[u8]) -> Result<(), Error>;
    /// Waits for the next bytes. `None` when none have come until the deadline.
    fn receive(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>, Error>;
}

impl Link for Box<dyn Link> {
    fn name(&self) -> &str {
        self.as_ref().name()
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.as_mut().send(bytes)
    }

    fn receive(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>, Error> {
        self.as_mut().receive(deadline)
    }
}

/// Reads in the background, so that one may wait for a limited time. The channel closes when
/// the source does.
pub(crate) fn read_in_background(mut source: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length @ 1..) = source.read(&mut buffer) {
            let part = buffer.get(..length).unwrap_or_default().to_vec();
            if sender.send(part).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Writes in the background, so that a device that takes nothing blocks nobody.
pub(crate) fn write_in_background(mut sink: impl Write + Send + 'static) -> Sender<Vec<u8>> {
    let (sender, receiver) = channel::<Vec<u8>>();
    thread::spawn(move || {
        for part in receiver {
            if sink.write_all(&part).and_then(|()| sink.flush()).is_err() {
                return;
            }
        }
    });
    sender
}

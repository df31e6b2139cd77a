//! Where a device is, as it is typed.

use crate::{Board, Error, boards, find};
use std::path::PathBuf;

/// The speed of a serial port for which none is given.
const BAUD: u32 = 115_200;

/// Where a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In an emulator: `qemu:mps2-an386`.
    Emulated(Board),
    /// At a serial port: `serial:/dev/ttyACM0@115200`.
    Serial {
        /// The port.
        port: PathBuf,
        /// Its speed in bits a second.
        baud: u32,
    },
}

impl Place {
    /// Reads what was typed.
    pub fn parse(spec: &str) -> Result<Self, Error> {
        let Some(serial) = spec.strip_prefix("serial:") else {
            return find(spec).map(Place::Emulated);
        };
        let (port, baud) = match serial.rsplit_once('@') {
            Some((port, baud)) => (port, baud.parse().ok()),
            None => (serial, Some(BAUD)),
        };
        match baud {
            Some(baud) if baud > 0 && !port.is_empty() => Ok(Place::Serial {
                port: port.into(),
                baud,
            }),
            _ => Err(unknown(spec)?),
        }
    }
}

/// The error for a device that there is not.
pub(crate) fn unknown(spec: &str) -> Result<Error, Error> {
    let emulated = boards()?.into_iter();
    let emulated = emulated.map(|board| format!("qemu:{}", board.name));
    let serial = "serial:PORT@BAUD".to_owned();
    Ok(Error::Unknown {
        spec: spec.to_owned(),
        known: emulated.chain([serial]).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_have_speeds() {
        let serial = |port: &str, baud| Place::Serial {
            port: port.into(),
            baud,
        };
        let parse = |spec| Place::parse(spec).unwrap();
        assert_eq!(parse("serial:/dev/ttyACM0"), serial("/dev/ttyACM0", BAUD));
        assert_eq!(parse("serial:a@b@9600"), serial("a@b", 9600));
        assert!(matches!(parse("qemu:an547"), Place::Emulated(_)));
        for wrong in ["serial:", "serial:@9600", "serial:x@", "serial:x@0", "x"] {
            let error = Place::parse(wrong).unwrap_err().to_string();
            assert!(error.contains("serial:PORT@BAUD"), "{error}");
        }
    }
}

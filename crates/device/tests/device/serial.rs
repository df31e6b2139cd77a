//! A board at a serial port: a terminal that an emulator's UART is connected to.

use crate::network::{Random, network};
use device::{Device, Error, Images, find};
use evaluate::{Host, Predict};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

struct Emulator(Child);

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts an image with its UART at a terminal of its own, and gives the terminal's name.
fn at_a_terminal(machine: &str, image: &Path) -> (Emulator, String) {
    let mut child = Command::new("qemu-system-arm")
        .args(["-nodefaults", "-display", "none", "-machine", machine])
        .args(["-serial", "pty", "-kernel"])
        .arg(image)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let emulator = Emulator(child);
    for line in output.lines() {
        // "char device redirected to /dev/pts/3 (label serial0)"
        let line = line.unwrap();
        if let Some(terminal) = line.split(' ').find(|word| word.starts_with("/dev/")) {
            return (emulator, terminal.to_owned());
        }
    }
    panic!("the emulator has no terminal");
}

#[test]
fn a_board_at_a_serial_port_gives_the_hosts_bits() {
    let board = find("qemu:mps2-an386").unwrap();
    let image = match Images::locate().find(&board) {
        Ok(image) => image,
        Err(missing) => return println!("skipped: {missing}"),
    };
    if Command::new("qemu-system-arm")
        .arg("--version")
        .output()
        .is_err()
    {
        return println!("skipped: qemu-system-arm is not installed");
    }
    let (_emulator, terminal) = at_a_terminal(&board.machine, &image);
    let model = network();
    let spec = format!("serial:{terminal}@115200");
    let mut device = Device::open(&spec, &model, &Images::locate()).unwrap();
    assert!(
        device.name().starts_with("serial:mps2-an386 ("),
        "{}",
        device.name()
    );
    let (mut host, mut random) = (Host::new(&model).unwrap(), Random(2));
    for _ in 0..3 {
        let values: Vec<f32> = (0..8 * 6 * 2).map(|_| random.real()).collect();
        let there = device.predict(&[&values]).unwrap();
        assert_eq!(there.raw, host.predict(&[&values]).unwrap().raw);
        // Its counter counts time, not instructions.
        assert_eq!(there.instructions, None);
    }
}

#[test]
fn a_port_that_there_is_not_is_named() {
    let outcome = Device::open("serial:/dev/no-such-port", &network(), &Images::locate());
    match outcome.map(|_| ()) {
        Err(error @ Error::System { .. }) => {
            assert!(error.to_string().contains("/dev/no-such-port"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

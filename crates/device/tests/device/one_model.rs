//! The image of `firmware/one-model`: an exported model on a Cortex-M4 gives the host's bits.

use crate::network::Random;
use runtime::host::Runner;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const IMAGE: &str = "thumbv7em-none-eabi/release/one-model";
/// An input and an output of the digits' model.
const INPUT_BYTES: usize = 64;
const OUTPUT_BYTES: usize = 10;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware/one-model")
}

/// The image where Cargo builds it; `None`, said, where it or the emulator is missing.
fn image() -> Option<PathBuf> {
    if let Some(missing) = device::emulator_missing() {
        println!("skipped: {missing}");
        return None;
    }
    let elsewhere = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let folders = elsewhere.into_iter().chain([folder().join("target")]);
    let found = folders
        .map(|folder| folder.join(IMAGE))
        .find(|image| image.is_file());
    if found.is_none() {
        println!("skipped: firmware/one-model is not built; `cargo xtask test firmware` builds it");
    }
    found
}

/// What the image writes and what it says for an input.
fn on_board(image: &Path, input: &[u8]) -> (Vec<u8>, String) {
    let mut qemu = Command::new("qemu-system-arm")
        .args(["-machine", "mps2-an386", "-nodefaults", "-display", "none"])
        .args(["-icount", "shift=0"])
        .args(["-semihosting-config", "enable=on,target=native", "-kernel"])
        .arg(image)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    qemu.stdin.take().unwrap().write_all(input).unwrap();
    let output = qemu.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    (output.stdout, said)
}

#[test]
fn an_exported_model_gives_the_hosts_bits() {
    let Some(image) = image() else { return };
    let file = std::fs::read(folder().join("digits.mopt")).unwrap();
    let digit = std::fs::read(folder().join("digit.bin")).unwrap();
    let mut random = Random(11);
    let mut inputs = vec![digit];
    for _ in 0..8 {
        inputs.push((0..INPUT_BYTES).map(|_| random.next() as u8).collect());
    }
    let mut runner = Runner::new(&file).unwrap();
    for input in inputs {
        let mut session = runner.session().unwrap();
        session.set_input(0, &input).unwrap();
        session.run();
        let mut expected = [0; OUTPUT_BYTES];
        session.output(0, &mut expected).unwrap();
        let (output, said) = on_board(&image, &input);
        assert_eq!(output, expected, "{said}");
        assert!(
            said.contains("class ") && said.contains(" instructions"),
            "{said}"
        );
    }
}

#[test]
fn the_example_is_classified() {
    let Some(image) = image() else { return };
    let digit = std::fs::read(folder().join("digit.bin")).unwrap();
    let (_, said) = on_board(&image, &digit);
    assert!(said.contains("class 5, "), "{said}");
}

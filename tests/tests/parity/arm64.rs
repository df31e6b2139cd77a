//! A model on an emulated 64-bit Arm processor: the runtime's example `answers`.

use evaluate::layout::{encode, to_tensor};
use format::Model;
use format::meta::Meta;
use runtime::host::AlignedBytes;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

const EMULATOR: &str = "qemu-aarch64";

/// Processors with and without dot products, and the kernels that run on them.
pub(crate) const PROCESSORS: [(&str, &str); 2] = [("max", "neon-dotprod"), ("cortex-a53", "neon")];

/// The program, where it was built and can run.
pub(crate) fn program() -> Option<PathBuf> {
    // `tmp` in the folder that Cargo builds in.
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()?;
    let program = built.join("aarch64-unknown-linux-musl/release/examples/answers");
    let has_emulator = Command::new(EMULATOR).arg("--version").output().is_ok();
    (program.is_file() && has_emulator).then_some(program)
}

/// The kernels' name, and the outputs of every sample.
pub(crate) fn answers(
    program: &Path,
    processor: &str,
    model: &[u8],
    samples: &[Vec<f32>],
) -> (String, Vec<u8>) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(model).unwrap();
    let mut inputs = tempfile::tempfile().unwrap();
    inputs.write_all(&stored(model, samples)).unwrap();
    inputs.rewind().unwrap();
    let output = Command::new(EMULATOR)
        .args(["-cpu", processor])
        .args([program, file.path()])
        .stdin(inputs)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{processor}: {said}");
    let end = output
        .stdout
        .iter()
        .position(|&byte| byte == b'\n')
        .unwrap();
    let kernels = String::from_utf8_lossy(&output.stdout[..end]).into_owned();
    (kernels, output.stdout[end + 1..].to_vec())
}

/// Samples as the model stores them.
fn stored(model: &[u8], samples: &[Vec<f32>]) -> Vec<u8> {
    let aligned = AlignedBytes::copy_of(model);
    let view = Model::new(aligned.bytes()).unwrap();
    let meta = Meta::of(&view).unwrap();
    let input = &evaluate::signature(&meta, &view).0[0];
    let tensor = view.input(0).unwrap();
    let of_sample = |sample: &Vec<f32>| {
        let ordered = to_tensor(sample, &input.shape, &meta.inputs[0].axes);
        encode(&tensor, &ordered).unwrap()
    };
    samples.iter().flat_map(of_sample).collect()
}

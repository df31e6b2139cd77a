//! `cargo xtask sizes --models`: images of `firmware/one-model` with a real model each, on an
//! emulated Cortex-M4, against limits and against TensorFlow Lite Micro.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::cross::Compiler;
use crate::figures::{self, Places, Subject};
use crate::process;
use crate::sizes::{self, Sizes};
use crate::workspace::Workspace;

const TARGET: &str = "thumbv7em-none-eabi";

/// Bytes of code and constants besides the model, bytes of RAM, executed instructions.
struct Figures {
    code_bytes: u64,
    ram_bytes: u64,
    instructions: u64,
}

/// At most, and TensorFlow Lite Micro of August 2026 with CMSIS-NN and only the operators needed,
/// by the best of GCC 12.2 (`-O2`, `-O3`) and Clang; its RAM is the arena alone.
const BOUNDS: &[(&str, Figures, Figures)] = &[
    (
        "kws_ds_cnn_f32.onnx",
        figures(24_000, 16_400, 5_000_000),
        figures(86_048, 22_820, 7_401_412),
    ),
    (
        "vww_mobilenet_v1_025_f32.onnx",
        figures(24_000, 40_960, 10_000_000),
        figures(86_048, 100_708, 23_390_970),
    ),
    (
        "ic_resnet8_f32.onnx",
        figures(24_000, 40_960, 20_000_000),
        figures(84_332, 54_996, 28_457_360),
    ),
    (
        "ad_autoencoder_f32.onnx",
        figures(12_000, 1_300, 420_000),
        figures(31_512, 2_580, 573_330),
    ),
];

const fn figures(code_bytes: u64, ram_bytes: u64, instructions: u64) -> Figures {
    Figures {
        code_bytes,
        ram_bytes,
        instructions,
    }
}

/// Builds and measures an image for every model, and fails where one is over a limit.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let compiler = Compiler::require(workspace)?;
    let places = figures::prepare(workspace)?;
    let target = workspace.metadata(&workspace.root)?.target_directory;
    let folder = target.join("one-model").into_std_path_buf();
    let mut rows = Vec::new();
    let mut is_over = false;
    for subject in figures::SUBJECTS {
        let Some((_, most, rival)) = BOUNDS.iter().find(|(model, ..)| *model == subject.model)
        else {
            continue;
        };
        let made = measure(workspace, &compiler, &places, subject, &folder);
        let made = made.context(subject.name)?;
        is_over |= made.code_bytes > most.code_bytes
            || made.ram_bytes > most.ram_bytes
            || made.instructions > most.instructions;
        rows.push(row(subject.name, &made, most, rival));
    }
    println!(
        "\n| one model on Cortex-M4 | code, bytes | at most | TFLM | RAM, bytes | at most | TFLM \
         | instructions | at most | TFLM |\n|---|---|---|---|---|---|---|---|---|---|"
    );
    rows.iter().for_each(|row| println!("{row}"));
    if is_over {
        bail!("an image is over a limit");
    }
    Ok(())
}

fn row(name: &str, made: &Figures, most: &Figures, rival: &Figures) -> String {
    let cells = [
        (made.code_bytes, most.code_bytes, rival.code_bytes),
        (made.ram_bytes, most.ram_bytes, rival.ram_bytes),
        (made.instructions, most.instructions, rival.instructions),
    ];
    let cells: Vec<String> = cells
        .iter()
        .map(|(made, most, rival)| format!("{made} | {most} | {rival}"))
        .collect();
    format!("| {name} | {} |", cells.join(" | "))
}

fn measure(
    workspace: &Workspace,
    compiler: &Compiler,
    places: &Places,
    subject: &Subject,
    folder: &Path,
) -> Result<Figures> {
    let (compact, _) = figures::quantize(subject, places)?;
    let package = folder.join(Path::new(subject.model).with_extension(""));
    copy_example(workspace, &package)?;
    let mut export = Command::new(&places.program);
    export.arg("export").arg(&compact).args(["--to", "rust"]);
    process::run(export.arg("-o").arg(package.join("model")))?;
    let target_folder = folder.join("target");
    let mut build = workspace.command("cargo");
    build
        .current_dir(&package)
        .env("CARGO_TARGET_DIR", &target_folder)
        .args(["build", "--locked", "--release", "--quiet"])
        .args(["--target", TARGET]);
    compiler.apply(&mut build, TARGET);
    process::run(&mut build)?;
    let image = target_folder.join(TARGET).join("release/one-model");
    let sizes: Sizes = sizes::measure(&fs::read(&image)?)?;
    let constants = fs::metadata(package.join("model/src/constants.bin"))?.len();
    Ok(Figures {
        code_bytes: sizes.flash_bytes().saturating_sub(constants),
        ram_bytes: sizes.ram_bytes(),
        instructions: instructions(&image)?,
    })
}

/// The example's package anew, without its model; its paths still lead to the repository.
fn copy_example(workspace: &Workspace, package: &Path) -> Result<()> {
    let example = workspace.root.join("firmware/one-model");
    if package.exists() {
        fs::remove_dir_all(package)?;
    }
    fs::create_dir_all(package.join("src"))?;
    for file in ["Cargo.lock", "build.rs", "memory.x", "src/main.rs"] {
        fs::copy(example.join(file), package.join(file)).context(file)?;
    }
    let manifest = fs::read_to_string(example.join("Cargo.toml"))?;
    let firmware: PathBuf = workspace.root.join("firmware");
    let manifest = manifest.replace("path = \"../", &format!("path = \"{}/", firmware.display()));
    fs::write(package.join("Cargo.toml"), manifest)?;
    Ok(())
}

/// Executed instructions of one run on zeros, as the image prints them.
fn instructions(image: &Path) -> Result<u64> {
    let mut emulator = Command::new("qemu-system-arm");
    emulator
        .args(["-machine", "mps2-an386", "-nodefaults", "-display", "none"])
        .args(["-icount", "shift=0"])
        .args(["-semihosting-config", "enable=on,target=native", "-kernel"])
        .arg(image)
        .stdin(Stdio::null());
    let output = emulator
        .output()
        .context("cannot start qemu-system-arm; `cargo xtask setup` installs it")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let count = said
        .split_once(" instructions")
        .and_then(|(before, _)| before.rsplit(' ').next());
    match count.map(str::parse) {
        Some(Ok(count)) if output.status.success() => Ok(count),
        _ => bail!("the image ended without a count: {said}"),
    }
}

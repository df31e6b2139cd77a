//! `cargo xtask sizes --models`: images of `firmware/one-model` with a real model each, on
//! emulated boards, against limits and against TensorFlow Lite Micro.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::cross::Compiler;
use crate::figures::{self, Measured, Places};
use crate::process;
use crate::sizes::{self, Sizes};
use crate::workspace::Workspace;

/// An emulated board, as the example is built for it.
struct Board {
    processor: &'static str,
    machine: &'static str,
    target: &'static str,
    features: &'static str,
    /// Whether its kernels take packed weights.
    takes_packed: bool,
    bounds: &'static [Bounds],
}

/// What is measured, in the order of figures and bounds.
const MEASURES: [&str; 3] = ["code, bytes", "RAM, bytes", "instructions"];

/// A model's short name, and per measure what its image may take at most and what a rival's takes.
type Bounds = (&'static str, [Option<[u64; 2]>; MEASURES.len()]);

/// The rival is TensorFlow Lite Micro of August 2026 with CMSIS-NN and only the operators needed,
/// by the best of GCC 12.2 (`-O2`, `-O3`) and Clang; its RAM is the arena alone. Code does not
/// count the model.
const BOARDS: &[Board] = &[
    Board {
        processor: "Cortex-M4",
        machine: "mps2-an386",
        target: "thumbv7em-none-eabi",
        features: "",
        takes_packed: true,
        bounds: &[
            (
                "kws",
                [
                    Some([24_000, 86_048]),
                    Some([16_400, 22_820]),
                    Some([5_000_000, 7_401_412]),
                ],
            ),
            (
                "vww",
                [
                    Some([24_000, 86_048]),
                    Some([40_960, 100_708]),
                    Some([10_000_000, 23_390_970]),
                ],
            ),
            (
                "ic",
                [
                    Some([24_000, 84_332]),
                    Some([40_960, 54_996]),
                    Some([20_000_000, 28_457_360]),
                ],
            ),
            (
                "ic_latency",
                [
                    Some([24_000, 84_332]),
                    Some([40_960, 54_996]),
                    Some([10_000_000, 28_457_360]),
                ],
            ),
            (
                "ad",
                [
                    Some([12_000, 31_512]),
                    Some([1_300, 2_580]),
                    Some([420_000, 573_330]),
                ],
            ),
            (
                "ww",
                [
                    Some([24_000, 82_840]),
                    Some([7_000, 16_596]),
                    Some([1_500_000, 2_138_271]),
                ],
            ),
        ],
    },
    Board {
        processor: "Cortex-M55",
        machine: "mps3-an547",
        target: "thumbv8m.main-none-eabihf",
        features: "helium",
        takes_packed: false,
        bounds: &[
            ("kws", instructions_only([1_100_000, 1_696_667])),
            ("vww", instructions_only([2_600_000, 6_034_051])),
            ("ic", instructions_only([3_000_000, 4_422_120])),
            ("ad", instructions_only([50_000, 63_295])),
            ("ww", instructions_only([260_000, 387_670])),
        ],
    },
];

const fn instructions_only(bound: [u64; 2]) -> [Option<[u64; 2]>; MEASURES.len()] {
    [None, None, Some(bound)]
}

/// Builds and measures an image for every model and board, and fails where one is over a limit.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let places = figures::prepare(workspace)?;
    let mut rows = Vec::new();
    let mut is_over = false;
    each_image(workspace, &places, &figures::compacts(&places)?, |made| {
        let Some((_, bounds)) = made
            .board
            .bounds
            .iter()
            .find(|row| row.0 == made.model.short)
        else {
            return Ok(());
        };
        let instructions = instructions(made.board, &made.path)?;
        let figures = [made.code_bytes, made.sizes.ram_bytes(), instructions];
        let mut pairs = figures.iter().zip(bounds);
        is_over |= pairs.any(|(made, bound)| bound.is_some_and(|[most, _]| *made > most));
        rows.push(row(
            [made.model.name, made.board.processor],
            &figures,
            bounds,
        ));
        Ok(())
    })?;
    let columns = MEASURES.map(|measure| format!("{measure} | at most | TFLM"));
    println!("\n| one model | processor | {} |", columns.join(" | "));
    println!("{}|", "|---".repeat(2 + 3 * MEASURES.len()));
    rows.iter().for_each(|row| println!("{row}"));
    if is_over {
        bail!("an image is over a limit");
    }
    Ok(())
}

fn row(names: [&str; 2], made: &[u64; 3], bounds: &[Option<[u64; 2]>; 3]) -> String {
    let cells = made.iter().zip(bounds).map(|(made, bound)| match bound {
        Some([most, rival]) => format!("{made} | {most} | {rival}"),
        None => format!("{made} | – | –"),
    });
    let cells: Vec<String> = cells.collect();
    format!("| {} | {} |", names.join(" | "), cells.join(" | "))
}

/// Bytes of flash that an image takes.
pub(crate) struct ImageBytes {
    /// Code and constants without the model's own.
    pub(crate) code: u64,
    pub(crate) whole: u64,
}

/// Those of every model's image by the model's short name and the board's machine.
pub(crate) fn image_bytes(
    workspace: &Workspace,
    places: &Places,
    models: &[Measured],
) -> Result<HashMap<(&'static str, &'static str), ImageBytes>> {
    let mut all = HashMap::new();
    each_image(workspace, places, models, |made| {
        let bytes = ImageBytes {
            code: made.code_bytes,
            whole: made.sizes.flash_bytes(),
        };
        all.insert((made.model.short, made.board.machine), bytes);
        Ok(())
    })?;
    Ok(all)
}

/// An image that was built.
struct Image<'a> {
    model: &'a Measured,
    board: &'static Board,
    path: PathBuf,
    sizes: Sizes,
    /// Without the model's own constants.
    code_bytes: u64,
}

/// Builds the image of every model for every board, and hands it to `take`.
fn each_image(
    workspace: &Workspace,
    places: &Places,
    models: &[Measured],
    mut take: impl FnMut(&Image<'_>) -> Result<()>,
) -> Result<()> {
    let compiler = Compiler::require(workspace)?;
    let target = workspace.metadata(&workspace.root)?.target_directory;
    let folder = target.join("one-model").into_std_path_buf();
    for model in models {
        let package = folder.join(model.short);
        copy_example(workspace, &package)?;
        let mut export = Command::new(&places.program);
        export
            .arg("export")
            .arg(&model.compact)
            .args(["--to", "rust"]);
        process::run(export.arg("-o").arg(package.join("model")))?;
        for board in BOARDS {
            let made = build(workspace, &compiler, board, &package);
            let (path, sizes, code_bytes) =
                made.with_context(|| format!("{}, {}", model.name, board.processor))?;
            take(&Image {
                model,
                board,
                path,
                sizes,
                code_bytes,
            })?;
        }
    }
    Ok(())
}

/// The image of a package, its sizes, and the bytes of its code.
fn build(
    workspace: &Workspace,
    compiler: &Compiler,
    board: &Board,
    package: &Path,
) -> Result<(PathBuf, Sizes, u64)> {
    let target_folder = package.with_file_name("target");
    let mut build = workspace.command("cargo");
    build
        .current_dir(package)
        .env("CARGO_TARGET_DIR", &target_folder)
        .args(["build", "--locked", "--release", "--quiet"])
        .args(["--target", board.target, "--features", board.features]);
    compiler.apply(&mut build, board.target);
    process::run(&mut build)?;
    let image = target_folder.join(board.target).join("release/one-model");
    let sizes: Sizes = sizes::measure(&fs::read(&image)?)?;
    let code_bytes = sizes
        .flash_bytes()
        .saturating_sub(constants(board, package)?);
    Ok((image, sizes, code_bytes))
}

/// Bytes of a model's constants that its image for a board has: of weights that are there twice, those
/// that the board's kernels read.
fn constants(board: &Board, package: &Path) -> Result<u64> {
    let source = package.join("model/src");
    let weights = match board.takes_packed {
        true => "packed.bin",
        false => "weights.bin",
    };
    let shared = fs::metadata(source.join("constants.bin"))?.len();
    // There are none twice in most models.
    let weights = fs::metadata(source.join(weights)).map_or(0, |file| file.len());
    Ok(shared + weights)
}

/// The example's package anew, without its model; its paths still lead to the repository.
fn copy_example(workspace: &Workspace, package: &Path) -> Result<()> {
    let example = workspace.root.join("firmware/one-model");
    if package.exists() {
        fs::remove_dir_all(package)?;
    }
    for folder in ["src", "boards"] {
        fs::create_dir_all(package.join(folder))?;
    }
    let boards = BOARDS
        .iter()
        .map(|board| format!("boards/{}.x", board.machine));
    let files = ["Cargo.lock", "build.rs", "src/main.rs"].map(str::to_owned);
    for file in boards.chain(files) {
        fs::copy(example.join(&file), package.join(&file)).context(file)?;
    }
    let manifest = fs::read_to_string(example.join("Cargo.toml"))?;
    let firmware: PathBuf = workspace.root.join("firmware");
    let manifest = manifest.replace("path = \"../", &format!("path = \"{}/", firmware.display()));
    fs::write(package.join("Cargo.toml"), manifest)?;
    Ok(())
}

/// Executed instructions of one run on zeros, as the image prints them.
fn instructions(board: &Board, image: &Path) -> Result<u64> {
    let mut emulator = Command::new("qemu-system-arm");
    emulator
        .args(["-machine", board.machine, "-nodefaults", "-display", "none"])
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

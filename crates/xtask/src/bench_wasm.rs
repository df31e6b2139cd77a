//! `cargo xtask bench wasm`: the time of one inference of the npm package in Node, on one thread,
//! beside ONNX Runtime Web and TensorFlow.js, which run in turns with it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::bench_contest::{self, Contender, OURS};
use crate::bench_subjects::{self, Subject};
use crate::cross::{Compiler, WASM_TARGET};
use crate::figures::{self, Places};
use crate::process;
use crate::workspace::Workspace;

/// The scripts, and the versions of the rivals.
const FOLDER: &str = "benches/wasm";

/// Where the rivals are installed, apart from everything else.
const RIVALS_FOLDER: &str = "target/wasm-rivals";

/// What npm reads to install them.
const NPM_FILES: [&str; 3] = ["package.json", "package-lock.json", ".npmrc"];

/// Written last: the lock file whose packages are installed.
const STAMP: &str = "installed.json";

/// What runs the contenders.
struct Stage<'a> {
    workspace: &'a Workspace,
    places: Places,
    rivals: PathBuf,
}

/// Measures all models, prints them, and adds a line to the history.
pub(crate) fn run(workspace: &Workspace, as_json: bool) -> Result<()> {
    let rivals = install_rivals(workspace)?;
    build_package(workspace)?;
    let stage = Stage {
        workspace,
        places: figures::prepare(workspace)?,
        rivals,
    };
    let mut rows: Vec<Value> = Vec::new();
    for subject in bench_subjects::prepare(workspace, &stage.places)? {
        eprintln!("{}: contenders take turns", subject.short);
        let mut contenders = stage.contenders(&subject).context(subject.short)?;
        rows.extend(bench_contest::hold(subject.short, "wasm", &mut contenders)?);
    }
    bench_contest::print(&rows, as_json);
    bench_contest::remember(workspace, &format!("{FOLDER}/history.jsonl"), rows)
}

/// Installs the rivals that the lock file names, unless they are there: their folder.
fn install_rivals(workspace: &Workspace) -> Result<PathBuf> {
    let from = workspace.root.join(FOLDER);
    let folder = workspace.root.join(RIVALS_FOLDER);
    let wanted = std::fs::read_to_string(from.join("package-lock.json")).context(FOLDER)?;
    let stamp = folder.join(STAMP);
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }
    std::fs::create_dir_all(&folder)?;
    for name in NPM_FILES {
        std::fs::copy(from.join(name), folder.join(name)).context(name)?;
    }
    let mut npm = workspace.command("npm");
    npm.current_dir(&folder)
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    eprintln!("installing rivals into {RIVALS_FOLDER}");
    process::capture(&mut npm)
        .with_context(|| format!("cannot install the Node packages of {FOLDER}"))?;
    std::fs::write(stamp, wanted)?;
    Ok(folder)
}

/// Builds the modules of our package.
fn build_package(workspace: &Workspace) -> Result<()> {
    let compiler = Compiler::require(workspace)?;
    let mut node = workspace.command("node");
    node.args(["wasm/build.mjs", "--modules"]);
    compiler.apply(&mut node, WASM_TARGET);
    process::capture(&mut node).map(drop)
}

impl Stage<'_> {
    /// Where there is a float model, it comes first: its outputs are those to come close to. The
    /// others are compared with our int8 model, which is what it was in TensorFlow Lite.
    fn contenders(&self, subject: &Subject) -> Result<Vec<Contender>> {
        let layers = self.layers(subject)?;
        let mut all = Vec::new();
        if let Some(float) = &subject.float {
            all.push(self.rival("onnxruntime-web", "float", &float.onnx, subject)?);
        }
        let int8 = self.ours("int8", &subject.int8, &subject.raw)?;
        let answers = bench_subjects::answers(&self.places, &subject.int8, &subject.raw)?;
        int8.require_same(&answers)?;
        all.push(int8);
        if let Some(float) = &subject.float {
            all.push(self.ours("float", &float.compact, &subject.real)?);
        }
        all.push(self.rival("onnxruntime-web", "int8", &subject.qdq_onnx, subject)?);
        all.push(self.rival("tfjs", "float", &layers, subject)?);
        Ok(all)
    }

    fn ours(&self, kind: &'static str, model: &Path, samples: &Path) -> Result<Contender> {
        self.contender(
            OURS,
            kind,
            model,
            samples,
            &self.workspace.root.join("wasm"),
        )
    }

    fn rival(
        &self,
        runtime: &'static str,
        kind: &'static str,
        model: &Path,
        subject: &Subject,
    ) -> Result<Contender> {
        self.contender(runtime, kind, model, &subject.real, &self.rivals)
    }

    fn contender(
        &self,
        runtime: &'static str,
        kind: &'static str,
        model: &Path,
        samples: &Path,
        folder: &Path,
    ) -> Result<Contender> {
        let mut node = self.workspace.command("node");
        node.arg(format!("{FOLDER}/contender.mjs"));
        node.arg(runtime).arg(model).arg(samples).arg(folder);
        Contender::worker(runtime, kind, &mut node)
    }

    /// The float model, or the int8 one in floats where there is no other, for TensorFlow.js.
    fn layers(&self, subject: &Subject) -> Result<PathBuf> {
        let onnx = subject.float.as_ref().map(|float| &float.onnx);
        let out = self
            .places
            .out
            .join(format!("{}_layers.json", subject.short));
        let mut python = bench_subjects::python(self.workspace, &format!("{FOLDER}/layers.py"));
        process::capture(python.arg(onnx.unwrap_or(&subject.qdq_onnx)).arg(&out))
            .context("`cargo xtask setup` installs what this needs")?;
        Ok(out)
    }
}

//! Writes golden models: `cargo run -p modelopt-compile --example golden -- FOLDER`.
//!
//! Each is a small network of related operators, `NAME.mopt`, with `NAME.txt` beside it: the bytes of
//! every input and output of two runs, one after the other. `crates/compile/tests/golden` holds such files
//! for good: the test beside it runs them. What is there is never written again, as files that users
//! have are not either; give a network for a new operator a new name, and write it into that folder.

mod kept;
mod network;
mod networks;

use compile::{Options, compile};
use format::DType;
use format::fixed::Rounding;
use network::Network;
use networks::*;
use runtime::Session;
use runtime::host::Runner;
use runtime::ops::ALL;
use std::error::Error;
use std::fmt::Write;
use std::path::Path;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Makes a network and says how its outputs are rounded.
type Make = fn(&mut Network) -> Result<()>;

/// Runs of each model: what keeps state differs from run to run.
const RUNS: usize = 2;

const NETWORKS: [(&str, Rounding, Make); 23] = [
    ("windows_int8", Rounding::High, windows_int8),
    ("windows_int8_single", Rounding::Single, windows_int8),
    ("windows_int8_double", Rounding::Double, windows_int8),
    ("arithmetic_int8", Rounding::High, arithmetic_int8),
    ("int16", Rounding::High, int16),
    ("rows_int16", Rounding::High, rows_int16),
    ("quotients_int8", Rounding::High, quotients_int8),
    ("folds", Rounding::High, folds),
    ("folds_tflm", Rounding::Double, folds_tflm),
    ("int16_tflm", Rounding::Double, int16_tflm),
    ("norms_tflm", Rounding::Double, norms_tflm),
    ("windows_float", Rounding::High, windows_float),
    ("arithmetic_float", Rounding::High, arithmetic_float),
    ("movements", Rounding::High, movements),
    ("whole_numbers", Rounding::High, whole_numbers),
    ("special", Rounding::High, special),
    ("streams", Rounding::Double, streams),
    ("recurrent", Rounding::Double, recurrent),
    ("variables", Rounding::High, kept::variables),
    ("unsigned_int8", Rounding::Single, unsigned_int8),
    ("onnx_int8", Rounding::Single, onnx_int8),
    ("narrow_int8", Rounding::High, narrow_int8),
    ("narrow_float", Rounding::High, narrow_float),
];

fn main() -> Result<()> {
    let folder = std::env::args()
        .nth(1)
        .ok_or("name the folder to write to")?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    let mut written = 0;
    for (name, rounding, make) in NETWORKS {
        let path = folder.join(format!("{name}.mopt"));
        if path.exists() {
            continue;
        }
        let mut network = Network::default();
        make(&mut network).map_err(|error| format!("{name}: {error}"))?;
        let options = Options {
            rounding,
            narrow_weights: name.starts_with("narrow"),
            ..Options::default()
        };
        let file = compile(&network.graph, &options)?.bytes;
        std::fs::write(path, file)?;
        written += 1;
    }
    record(folder)?;
    let mut codes: Vec<(u16, &str)> = ALL.iter().map(|op| (op.code, op.name)).collect();
    codes.sort();
    let lines = codes.iter().map(|(code, name)| format!("{code}\t{name}\n"));
    std::fs::write(folder.join("codes.tsv"), lines.collect::<String>())?;
    println!("{}: {written} new models", folder.display());
    Ok(())
}

/// Writes the answers of models that have none yet.
fn record(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let record = path.with_extension("txt");
        if path
            .extension()
            .is_some_and(|extension| extension == "mopt")
            && !record.exists()
        {
            std::fs::write(record, answers(&std::fs::read(path)?)?)?;
        }
    }
    Ok(())
}

/// The bytes of every input and output of each run, as `RUN in|out PORT HEX` lines.
fn answers(file: &[u8]) -> Result<String> {
    let mut runner = Runner::new(file)?;
    let mut random = Random(1);
    let mut text = String::new();
    let mut session = runner.session()?;
    for run in 0..RUNS {
        for port in 0..session.model().input_count() {
            let tensor = session.model().input(port).ok_or("an input is missing")?;
            let bytes = random.bytes(tensor.dtype, tensor.shape.elements())?;
            session.set_input(port, &bytes)?;
            line(&mut text, run, "in", port, &bytes)?;
        }
        session.run();
        for port in 0..session.model().output_count() {
            let bytes = output(&session, port)?;
            line(&mut text, run, "out", port, &bytes)?;
        }
    }
    Ok(text)
}

fn output(session: &Session<'_>, port: usize) -> Result<Vec<u8>> {
    let tensor = session.model().output(port).ok_or("an output is missing")?;
    let mut bytes = vec![0; tensor.bytes()];
    session.output(port, &mut bytes)?;
    Ok(bytes)
}

fn line(text: &mut String, run: usize, side: &str, port: usize, bytes: &[u8]) -> Result<()> {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(writeln!(text, "{run} {side} {port} {hex}")?)
}

/// Uniform numbers that repeat on every machine.
struct Random(u64);

impl Random {
    /// 0 to `limit`, exclusive.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % limit
    }

    /// A multiple of 1/64 within ±4, exact as a float.
    fn real(&mut self) -> f32 {
        self.below(512) as f32 / 64.0 - 4.0
    }

    fn reals(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.real()).collect()
    }

    /// Elements of a type: any of int8 and int16, others small.
    fn bytes(&mut self, dtype: DType, elements: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for _ in 0..elements {
            match dtype {
                DType::F32 => bytes.extend(self.real().to_le_bytes()),
                DType::I8 => bytes.push(self.below(256) as u8),
                DType::I16 => bytes.extend((self.below(65_536) as u16).to_le_bytes()),
                DType::Bool => bytes.push(self.below(2) as u8),
                DType::I32 => bytes.extend((self.below(12) as i32 - 3).to_le_bytes()),
                DType::I64 => bytes.extend((self.below(12) as i64 - 3).to_le_bytes()),
                other => return Err(format!("no golden model takes {other}").into()),
            }
        }
        Ok(bytes)
    }
}

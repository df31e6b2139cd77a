//! `modelopt bench`: how long a model takes, and which of its nodes take it.

use crate::failure::Failure;
use crate::model::{self, ImportArguments, ModelFile};
use crate::place::{self, Device};
use crate::progress;
use crate::say::say;
use crate::table::{self, grouped};
use format::Node;
use runtime::host::{Batch, Runner, node_macs};
use runtime::{Session, ops};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Instant;

/// Measure a compact model: time on this machine, instructions on an emulated board.
///
/// Times are of one thread, or of `--threads` of them, which divide each layer among them, or with `--batch`
/// the samples. They are those of one sample in any case. A machine does other things too: the least of
/// many runs is the figure to compare, the median says how quiet it was. "First" is the time from a
/// file in memory to its first answer. Boards count instructions by their timer: counts of the same work
/// differ by one of its ticks at most, which is 31 to 63 instructions.
///
/// `--per-op` lists what every node takes. On boards whose fastest multiplication is known (1.1
/// instructions a MAC on cores with DSP instructions, 0.16 with Helium), the list begins with the node
/// that is furthest above what its MACs would take at that speed.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  modelopt bench kws.mopt --per-op\n  modelopt bench kws.mopt --threads 2\n  modelopt bench kws.mopt --threads 2 --batch 16\n  modelopt bench kws.mopt --device qemu:mps2-an386 --per-op --json"
)]
pub(crate) struct Arguments {
    /// The compact model
    model: PathBuf,
    /// Where it runs: host, qemu:BOARD or serial:PORT@BAUD
    #[arg(long, default_value_t = Device::Host)]
    device: Device,
    /// Runs on this machine; boards run once
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Threads on this machine
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,
    /// Samples that are computed together, divided among the threads, each of which computes whole ones
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65_536), conflicts_with = "per_op")]
    batch: u32,
    /// Print what every node takes, the most expensive first, or that furthest above its limit
    #[arg(long)]
    per_op: bool,
}

/// What was measured, in one unit.
struct Measured {
    /// The kernels that ran.
    kernels: String,
    ram_bytes: usize,
    /// `microseconds` or `instructions`.
    unit: &'static str,
    least: f64,
    /// Where there were several runs.
    median: Option<f64>,
    /// From the file in memory to the first answer, on this machine.
    first: Option<f64>,
    /// Per node of the plan; on this machine only where it is asked for.
    nodes: Vec<f64>,
}

pub(crate) fn run(arguments: &Arguments, json: bool) -> Result<(), Failure> {
    let path = &arguments.model;
    let ModelFile::Compact(runner) = model::load(path, &ImportArguments::default())? else {
        let message =
            "is no compact model; make one with `modelopt quantize` or `modelopt optimize`";
        return Err(Failure::usage(message).of(path));
    };
    let measured = match &arguments.device {
        Device::Host => on_host(&runner, arguments)?,
        _ if arguments.threads > 1 => {
            return Err(Failure::usage("--threads is for this machine alone"));
        }
        _ if arguments.batch > 1 => {
            return Err(Failure::usage("--batch is for this machine alone"));
        }
        Device::Board(spec) => on_board(runner.file(), spec)?,
        Device::Wasm { .. } => {
            let message = "a WebAssembly module is timed where it runs, by the page of wasm/demo";
            return Err(Failure::usage(message));
        }
    };
    let model = runner.model().map_err(Failure::usage)?;
    let nodes: Vec<Node<'_>> = model.nodes().collect();
    match json {
        true => say!("{}", as_json(arguments, &measured, &nodes)),
        false => print(arguments, &measured, &nodes),
    }
    Ok(())
}

/// Runs on zeros: what integers and floats take does not depend on them.
fn on_host(runner: &Runner, arguments: &Arguments) -> Result<Measured, Failure> {
    let runs = arguments.runs;
    let (file, threads) = (runner.file().to_vec(), usize::from(arguments.threads));
    let model = runner.model().map_err(Failure::usage)?;
    let (count, ram_bytes) = (model.node_count(), model.arena_bytes());
    let first = first_answer(&file, threads, runs.min(FIRST_RUNS))?;
    let bar = progress::bar("measuring", runs as usize);
    let mut totals = Vec::new();
    let mut measure = |run: &mut dyn FnMut() -> Result<(), Failure>| {
        run()?;
        for _ in 0..runs {
            let start = Instant::now();
            run()?;
            totals.push(start.elapsed().as_secs_f64() * 1e6 / f64::from(arguments.batch));
            bar.inc(1);
        }
        Ok::<(), Failure>(())
    };
    let samples = arguments.batch as usize;
    if samples > 1 {
        let batch = Batch::new(&file, threads).map_err(Failure::usage)?;
        let run = |session: &mut Session<'_>, _| session.run();
        measure(&mut || batch.run(samples, run).map(|_| ()).map_err(Failure::usage))?;
    }
    let mut runner = with_threads(&file, threads)?;
    let mut session = runner.session().map_err(Failure::usage)?;
    if samples == 1 {
        measure(&mut || {
            session.run();
            Ok(())
        })?;
    }
    let mut nodes = vec![f64::INFINITY; count];
    let watched = if arguments.per_op { runs } else { 0 };
    for _ in 0..watched {
        let mut last = Instant::now();
        session.run_with(&mut |_, node| {
            if let Some(least) = nodes.get_mut(node.index) {
                *least = least.min(last.elapsed().as_secs_f64() * 1e6);
            }
            last = Instant::now();
        });
    }
    bar.finish_and_clear();
    totals.sort_by(f64::total_cmp);
    Ok(Measured {
        kernels: session.kernels().to_string(),
        ram_bytes,
        unit: "microseconds",
        least: totals.first().copied().unwrap_or(0.0),
        median: totals.get(totals.len() / 2).copied(),
        first: Some(first),
        nodes,
    })
}

/// Models are loaded at most this often, and for about so long, to find how long the first answer takes.
const FIRST_RUNS: u32 = 50;
const FIRST_SECONDS: f64 = 0.2;

fn with_threads(file: &[u8], threads: usize) -> Result<Runner, Failure> {
    let runner = Runner::new(file).map_err(Failure::usage)?;
    let started = runner.with_threads(threads);
    started.map_err(|error| Failure::usage(format!("--threads {threads}: {error}")))
}

/// The shortest time from a file in memory to its first answer, in microseconds.
fn first_answer(file: &[u8], threads: usize, runs: u32) -> Result<f64, Failure> {
    let mut least = f64::INFINITY;
    let begin = Instant::now();
    for _ in 0..runs {
        let start = Instant::now();
        let mut runner = with_threads(file, threads)?;
        runner.session().map_err(Failure::usage)?.run();
        least = least.min(start.elapsed().as_secs_f64() * 1e6);
        if begin.elapsed().as_secs_f64() >= FIRST_SECONDS {
            break;
        }
    }
    Ok(least)
}

fn on_board(file: &[u8], spec: &str) -> Result<Measured, Failure> {
    use evaluate::Predict;
    let images = device::Images::locate();
    let failed = |error: device::Error| place::failure(error.into());
    let mut board = device::Device::open(spec, file, &images).map_err(failed)?;
    let zeros: Vec<Vec<f32>> = board.inputs().iter().map(zeros).collect();
    let zeros: Vec<&[f32]> = zeros.iter().map(Vec::as_slice).collect();
    let prediction = board.predict(&zeros).map_err(place::failure)?;
    let fact = |name: &str| board.facts().into_iter().find(|(fact, _)| *fact == name);
    let ram_bytes = fact("ram_bytes").map_or(0, |(_, bytes)| bytes as usize);
    let nodes = board.profile().map_err(failed)?;
    let nodes: Vec<f64> = nodes.into_iter().map(|count| count as f64).collect();
    let counts = prediction.instructions.map(|count| count as f64);
    Ok(Measured {
        kernels: board.info().kernels.to_string(),
        ram_bytes,
        unit: if counts.is_some() {
            "instructions"
        } else {
            "ticks"
        },
        least: counts.unwrap_or(nodes.iter().sum()),
        median: None,
        first: None,
        nodes,
    })
}

fn zeros(input: &evaluate::Input) -> Vec<f32> {
    vec![0.0; input.shape.iter().product()]
}

impl Measured {
    /// The least that a multiplication takes with these kernels, loads and widening included, where it
    /// is known.
    fn cost_per_mac_min(&self) -> Option<f64> {
        match (self.unit, self.kernels.as_str()) {
            ("instructions", "armv7em") => Some(1.1),
            ("instructions", "helium") => Some(0.16),
            _ => None,
        }
    }

    fn shown(&self, value: f64) -> String {
        match self.unit {
            "microseconds" => format!("{value:.1}"),
            _ => grouped(value as u64),
        }
    }

    /// How far a node is above what its multiplications alone would take.
    fn excess(&self, macs: u64, cost: f64) -> Option<f64> {
        Some((cost - self.cost_per_mac_min()? * macs as f64).max(0.0))
    }
}

/// The name of a node's operator, its output's shape and its multiplications.
fn describe(node: &Node<'_>) -> (&'static str, String, u64) {
    let op = ops::ALL.iter().find(|op| op.code == node.code());
    let shape = node
        .output(0)
        .map_or(String::new(), |tensor| tensor.shape.to_string());
    (op.map_or("?", |op| op.name), shape, node_macs(node))
}

fn as_json(arguments: &Arguments, measured: &Measured, nodes: &[Node<'_>]) -> Value {
    let mut value = json!({
        "model": arguments.model.display().to_string(), "device": arguments.device.to_string(), "kernels": measured.kernels,
        "ram_bytes": measured.ram_bytes, "unit": measured.unit, "min": measured.least, "median": measured.median,
        "first": measured.first, "threads": arguments.threads, "batch": arguments.batch,
        "macs": nodes.iter().map(node_macs).sum::<u64>(),
    });
    if arguments.per_op {
        let rows = nodes.iter().zip(&measured.nodes).map(|(node, cost)| {
            let (operator, shape, macs) = describe(node);
            json!({ "node": node.index, "operator": operator, "shape": shape, "macs": macs, "cost": cost, "excess": measured.excess(macs, *cost) })
        });
        value["nodes"] = rows.collect();
    }
    value
}

fn print(arguments: &Arguments, measured: &Measured, nodes: &[Node<'_>]) {
    if arguments.per_op {
        print_nodes(measured, nodes);
    }
    let number = |value: f64| measured.shown(value);
    let macs: u64 = nodes.iter().map(node_macs).sum();
    let median = measured
        .median
        .map(|median| format!(", median {}", number(median)));
    let first = measured
        .first
        .map(|first| format!(", first {}", number(first)));
    let threads = match arguments.threads {
        1 => String::new(),
        threads => format!(", {threads} threads"),
    };
    let batch = match arguments.batch {
        1 => String::new(),
        batch => format!(", {batch} samples at a time"),
    };
    say!(
        "{} on {} ({}{threads}{batch}): {} {}{}{}; {} MACs, RAM {} bytes",
        arguments.model.display(),
        arguments.device,
        measured.kernels,
        number(measured.least),
        measured.unit,
        median.unwrap_or_default(),
        first.unwrap_or_default(),
        grouped(macs),
        grouped(measured.ram_bytes as u64),
    );
}

/// One line per node: the worst first, which is the one furthest above its limit where that is known.
fn print_nodes(measured: &Measured, nodes: &[Node<'_>]) {
    let mut header = vec![
        "node",
        "operator",
        "output",
        "MACs",
        measured.unit,
        "share",
        "per MAC",
    ];
    header.extend(measured.cost_per_mac_min().map(|_| "above limit"));
    let mut rows = table::table(&header, 3);
    let whole: f64 = measured.nodes.iter().sum();
    let worth = |node: &Node<'_>, cost: f64| {
        let excess = measured.excess(node_macs(node), cost);
        excess.unwrap_or(cost)
    };
    let mut order: Vec<(&Node<'_>, f64)> =
        nodes.iter().zip(measured.nodes.iter().copied()).collect();
    order.sort_by(|a, b| worth(b.0, b.1).total_cmp(&worth(a.0, a.1)));
    for (node, cost) in order {
        let (operator, shape, macs) = describe(node);
        let per_mac = match (macs, measured.unit) {
            (0, _) => String::new(),
            (macs, "microseconds") => format!("{:.3} ns", cost * 1e3 / macs as f64),
            (macs, _) => format!("{:.2}", cost / macs as f64),
        };
        let mut row = vec![
            node.index.to_string(),
            operator.to_string(),
            shape,
            grouped(macs),
            measured.shown(cost),
            format!("{:.1} %", 100.0 * cost / whole.max(f64::MIN_POSITIVE)),
            per_mac,
        ];
        row.extend(
            measured
                .excess(macs, cost)
                .map(|excess| measured.shown(excess)),
        );
        rows.add_row(row);
    }
    table::print(rows);
    if let Some(limit) = measured.cost_per_mac_min() {
        say!("limit: {limit} instructions a MAC, and none for what has no MACs");
    }
    say!("");
}

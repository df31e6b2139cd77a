//! The project's own chores, run as `cargo xtask COMMAND`.

mod agreement;
mod arm64;
mod bench;
mod bench_contest;
mod bench_host;
mod bench_subjects;
mod bench_threads;
mod bench_wasm;
mod ci;
mod conformance;
mod cross;
mod figures;
mod fuzz;
mod miri;
mod one_model;
mod options;
mod process;
mod setup;
mod sizes;
mod test;
mod tidy;
mod totals;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

use crate::workspace::Workspace;

/// The project's own chores: set-up, tests, checks of the source, sizes.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Command {
    /// Install what the tests need: Rust targets, emulators, a browser, Node packages.
    Setup,
    /// Run every check and every test, and print the totals of each runner.
    Test(test::Arguments),
    /// What continuous integration does: `setup`, then `test`.
    Ci,
    /// Check the source for what the compiler does not: layers, lengths, unsafe code, links, …
    Tidy,
    /// Quantize and evaluate the real models beside the repository, and print one table.
    Figures {
        #[command(subcommand)]
        part: Option<FiguresPart>,
    },
    /// Measure models beside a rival, and hold them against their budgets.
    #[command(subcommand)]
    Bench(bench::Arguments),
    /// Run the public ONNX node tests and count how they end.
    Conformance(conformance::Arguments),
    /// Compare quantized ONNX files here and in ONNX Runtime, both ways.
    Agreement(agreement::Arguments),
    /// Feed damaged input to everything that reads bytes from outside.
    Fuzz(fuzz::Arguments),
    /// Run the tests of format, runtime and scalar kernels in Miri; needs a nightly toolchain with it.
    Miri,
    /// Print the section sizes of firmware images and WebAssembly modules.
    Sizes(sizes::Arguments),
}

/// A table beside that of what quantization reaches.
#[derive(clap::Subcommand)]
enum FiguresPart {
    /// What options of `optimize` and `quantize` cost and gain, against budgets
    Options(options::Arguments),
}

fn main() -> ExitCode {
    let workspace = Workspace::locate();
    let outcome = match Command::parse() {
        Command::Setup => setup::run(&workspace),
        Command::Test(arguments) => test::run(&workspace, &arguments),
        Command::Ci => ci::run(&workspace),
        Command::Tidy => tidy::run(&workspace),
        Command::Figures { part: None } => figures::run(&workspace),
        Command::Figures {
            part: Some(FiguresPart::Options(arguments)),
        } => options::run(&workspace, &arguments),
        Command::Bench(arguments) => bench::run(&workspace, &arguments),
        Command::Conformance(arguments) => conformance::run(&workspace, &arguments),
        Command::Agreement(arguments) => agreement::run(&workspace, &arguments),
        Command::Fuzz(arguments) => fuzz::run(&workspace, &arguments),
        Command::Miri => miri::run(&workspace),
        Command::Sizes(arguments) => sizes::run(&workspace, &arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

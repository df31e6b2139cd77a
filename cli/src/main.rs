//! `modelopt`: from a trained model to one that runs on the smallest machines, with its accuracy
//! known at every step.

// What is printed goes through `say`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod check;
mod commands;
mod dataset;
mod failure;
mod float;
mod front_end;
mod goal;
mod model;
mod output;
mod patches;
mod place;
mod progress;
mod say;
mod table;

use clap::{Parser, Subcommand};
use failure::{Code, Failure};
use say::say;
use std::process::ExitCode;

/// Quantize, inspect, evaluate, compare and run models for edge devices
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit codes:\n  0  done\n  1  a gate did not hold\n  2  not possible with these options, this model or this data\n  \
                  3  a file or a device cannot be read, written or reached\n  4  a mistake in modelopt"
)]
struct Arguments {
    /// Print one JSON value on the standard output instead of text: of a failure, {"error": {"code", "message"}}
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Inspect(commands::inspect::Arguments),
    Optimize(commands::optimize::Arguments),
    Quantize(commands::quantize::Arguments),
    Evaluate(commands::evaluate::Arguments),
    Compare(commands::compare::Arguments),
    Bench(commands::bench::Arguments),
    Export(commands::export::Arguments),
    Run(commands::run::Arguments),
    /// List the operators that models may have
    #[command(after_help = "Example:\n  modelopt ops --json")]
    Ops,
    /// List the places where models can run
    #[command(after_help = "Example:\n  modelopt devices")]
    Devices,
    Explain(commands::explain::Arguments),
}

/// Name and version, for manifests.
fn tool() -> String {
    concat!("modelopt ", env!("CARGO_PKG_VERSION")).to_string()
}

/// Says what went wrong in a line.
fn tell_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let what = panic.to_string().replace('\n', " ");
    let remedy = "this is a mistake in modelopt: please report it with the files that led to it";
    say::error(&format!("{what}; {remedy}"), &[]);
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return not_understood(&error),
    };
    std::panic::set_hook(Box::new(tell_panic));
    // A panic is a mistake of this program: it has its documented code.
    let outcome = std::panic::catch_unwind(|| run(&arguments).and_then(|()| say::finish()));
    let failure = match outcome {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(failure)) => {
            say::error(&failure.message, &failure.details);
            failure
        }
        Err(_) => Failure::internal("a mistake in modelopt, which the standard error stream tells"),
    };
    // Of a gate that does not hold, the value with all figures is there already.
    if arguments.json && failure.code != Code::NotPassed {
        say!("{}", failure.as_json());
    }
    ExitCode::from(failure.code as u8)
}

/// Prints help where it is asked for, or what is wrong with the arguments.
fn not_understood(error: &clap::Error) -> ExitCode {
    let _nobody_listens = error.print();
    let wants_json = std::env::args_os().any(|argument| argument == "--json");
    if wants_json && error.use_stderr() {
        let text = error.render().to_string();
        let message = text.split("\n\n").next().unwrap_or_default();
        let message = message.trim_start_matches("error: ");
        say!("{}", Failure::usage(message).as_json());
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Code::Usage as u8))
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let json = arguments.json;
    match &arguments.command {
        Command::Inspect(arguments) => commands::inspect::run(arguments, json),
        Command::Optimize(arguments) => commands::optimize::run(arguments, json),
        Command::Quantize(arguments) => commands::quantize::run(arguments, json),
        Command::Evaluate(arguments) => commands::evaluate::run(arguments, json),
        Command::Compare(arguments) => commands::compare::run(arguments, json),
        Command::Bench(arguments) => commands::bench::run(arguments, json),
        Command::Export(arguments) => commands::export::run(arguments, json),
        Command::Run(arguments) => commands::run::run(arguments, json),
        Command::Ops => {
            commands::ops::run(json);
            Ok(())
        }
        Command::Devices => commands::devices::run(json),
        Command::Explain(arguments) => commands::explain::run(arguments, json),
    }
}

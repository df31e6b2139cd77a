//! `--goal` and `--target`: what flash may be spent for.

use crate::failure::Failure;
use crate::say::say;
use crate::table::grouped;
use clap::ValueEnum;

#[derive(clap::Args)]
pub(crate) struct GoalArguments {
    /// size: nothing is in the file twice; latency: convolutions also carry their weights packed for
    /// the loops of --target, where it has faster ones for such. Answers are the same to the bit, on
    /// every target
    #[arg(long, value_name = "GOAL", value_enum, default_value_t = Goal::Size)]
    goal: Goal,
    /// The core that weights are packed for with --goal latency; the file runs everywhere all the same
    #[arg(long, value_name = "CORE", value_enum)]
    target: Option<Target>,
}

/// What is made small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Goal {
    /// The file
    Size,
    /// The time of an inference
    Latency,
}

/// Cores that there are packings for: one for all that have the DSP extension and no vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    CortexM4,
    CortexM7,
    CortexM33,
}

impl Target {
    /// As it is typed.
    fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or(String::new(), |value| value.get_name().to_string())
    }
}

impl GoalArguments {
    /// The core that weights are packed for, if they are.
    fn core(&self) -> Result<Option<Target>, Failure> {
        match (self.goal, self.target) {
            (Goal::Size, None) => Ok(None),
            (Goal::Latency, Some(target)) => Ok(Some(target)),
            (Goal::Latency, None) => Err(Failure::usage(
                "--goal latency packs weights for a core: say which with --target, such as --target \
                 cortex-m4",
            )),
            (Goal::Size, Some(target)) => Err(Failure::usage(format!(
                "--target {} changes nothing without --goal latency: a file runs on every target as \
                 it is",
                target.name()
            ))),
        }
    }

    /// Whether weights are packed.
    pub(crate) fn is_latency(&self) -> Result<bool, Failure> {
        Ok(self.core()?.is_some())
    }

    /// The options as they would be typed.
    pub(crate) fn recipe(&self) -> String {
        match self.core() {
            Ok(Some(target)) => format!(" --goal latency --target {}", target.name()),
            _ => String::new(),
        }
    }

    /// Tells what packed weights take.
    pub(crate) fn print(&self, packed_bytes: usize) {
        match (self.core(), packed_bytes) {
            (Ok(Some(target)), 0) => say!(
                "no weights packed for {}: they would be those of int8 convolutions of 3 x 3 without \
                 stride, from a multiple of 8 channels to one of 4",
                target.name()
            ),
            (Ok(Some(target)), bytes) => say!(
                "weights packed for {}: {} bytes",
                target.name(),
                grouped(bytes as u64)
            ),
            _ => {}
        }
    }
}

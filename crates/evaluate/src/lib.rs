//! The evaluator: it judges deployed bytes, wherever they run, by one set of metrics.
//!
//! [`Predict`] is all that it knows of a model. Metrics stream over samples in constant memory and
//! merge; [`Gate`]s turn them into verdicts.

mod gate;
mod host;
pub mod layout;
pub mod metrics;
mod predict;
mod report;
mod run;
pub mod table;
mod totals;

pub use gate::{Gate, Verdict, judge};
pub use host::Host;
pub use predict::{Facts, Input, Output, Predict, PredictError, Prediction, prepare, signature};
pub use report::report;
pub use run::{Case, ClassRow, Comparison, Confusion, Error, Evaluation, compare, evaluate};

//! Bounds on metrics, and whether they hold.

use crate::Evaluation;
use serde_json::{Value, json};
use std::fmt;
use std::str::FromStr;

/// A bound on a metric: `top1>=0.91`, `bytes<=27000`, or on its change against the baseline:
/// `top1>=-0.01@baseline`.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    metric: String,
    is_lower_bound: bool,
    bound: f64,
    is_change: bool,
}

impl FromStr for Gate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let help = || {
            format!(
                "'{text}' is no gate; write METRIC>=BOUND or METRIC<=BOUND, with @baseline for a change"
            )
        };
        let (metric, bound, is_lower_bound) = match (text.split_once(">="), text.split_once("<=")) {
            (Some((metric, bound)), None) => (metric, bound, true),
            (None, Some((metric, bound))) => (metric, bound, false),
            _ => return Err(help()),
        };
        let (bound, is_change) = match bound.split_once('@') {
            Some((bound, "baseline")) => (bound, true),
            None => (bound, false),
            Some(_) => return Err(help()),
        };
        let bound: f64 = bound.trim().parse().map_err(|_| help())?;
        let metric = metric.trim().to_string();
        if metric.is_empty() || !bound.is_finite() {
            return Err(help());
        }
        Ok(Gate {
            metric,
            is_lower_bound,
            bound,
            is_change,
        })
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.is_lower_bound { ">=" } else { "<=" };
        let of = if self.is_change { "@baseline" } else { "" };
        write!(f, "{}{sign}{}{of}", self.metric, self.bound)
    }
}

/// A gate, what it looked at, and whether it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The gate.
    pub gate: Gate,
    /// The metric, or its change; `None` where it was not measured.
    pub value: Option<f64>,
    /// Whether the value is there and in its bounds.
    pub passed: bool,
    /// What there is where the value is not; empty otherwise.
    pub instead: String,
}

impl Verdict {
    /// The gate and what was found, without whether that is well.
    pub fn finding(&self) -> String {
        let (gate, instead) = (&self.gate, &self.instead);
        match self.value {
            Some(value) => format!("{gate}, it is {value:.6}"),
            None => format!("{gate}, it was not measured: {instead}"),
        }
    }

    /// Stable names: `gate`, `value`, `passed`.
    pub fn to_json(&self) -> Value {
        json!({ "gate": self.gate.to_string(), "value": self.value, "passed": self.passed })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.passed { "passed" } else { "failed" };
        write!(f, "{word}: {}", self.finding())
    }
}

/// What there is instead of a metric.
fn instead(gate: &Gate, evaluation: &Evaluation, baseline: Option<&Evaluation>) -> String {
    if gate.is_change && baseline.is_none() {
        return "there is no baseline here; `modelopt compare` has one".into();
    }
    let names = evaluation.metrics.iter().map(|(name, _)| name.as_str());
    let names = names.collect::<Vec<_>>().join(", ");
    match evaluation.classes.is_empty() {
        true => format!("there are {names}; those of classes need labels"),
        false => format!("there are {names}"),
    }
}

/// Holds metrics against gates. A metric that is gated but missing fails.
pub fn judge(
    gates: &[Gate],
    evaluation: &Evaluation,
    baseline: Option<&Evaluation>,
) -> Vec<Verdict> {
    gates
        .iter()
        .map(|gate| {
            let value = evaluation.metric(&gate.metric);
            let value = match gate.is_change {
                false => value,
                true => value
                    .zip(baseline.and_then(|baseline| baseline.metric(&gate.metric)))
                    .map(|(value, base)| value - base),
            };
            let passed = value.is_some_and(|value| {
                if gate.is_lower_bound {
                    value >= gate.bound
                } else {
                    value <= gate.bound
                }
            });
            Verdict {
                gate: gate.clone(),
                value,
                passed,
                instead: match value {
                    Some(_) => String::new(),
                    None => instead(gate, evaluation, baseline),
                },
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation(top1: f64) -> Evaluation {
        Evaluation {
            metrics: vec![("top1".into(), top1)],
            ..Evaluation::default()
        }
    }

    #[test]
    fn gates_read_as_they_are_written() {
        for text in ["top1>=0.9", "bytes<=27000", "top1>=-0.01@baseline"] {
            assert_eq!(text.parse::<Gate>().unwrap().to_string(), text);
        }
        for text in [
            "top1",
            "top1=0.9",
            ">=1",
            "top1>=x",
            "top1>=1@other",
            "top1>=NaN",
        ] {
            assert!(text.parse::<Gate>().is_err(), "{text}");
        }
    }

    #[test]
    fn bounds_and_changes_hold_or_not() {
        let judged = |text: &str| {
            let gate = text.parse().unwrap();
            judge(&[gate], &evaluation(0.9), Some(&evaluation(0.92)))[0].passed
        };
        assert!(judged("top1>=0.9"));
        assert!(!judged("top1>=0.91"));
        assert!(judged("top1>=-0.03@baseline"));
        assert!(!judged("top1>=-0.01@baseline"));
        assert!(!judged("auc>=0.1"), "a missing metric fails");
    }

    #[test]
    fn what_is_missing_is_told_with_what_there_is() {
        let told = |text: &str, baseline: Option<&Evaluation>| {
            let gate = text.parse().unwrap();
            judge(&[gate], &evaluation(0.9), baseline)[0].to_string()
        };
        let here = told("top_1>=0.9", None);
        assert!(here.contains("not measured: there are top1; those of classes need labels"));
        assert!(told("top1>=0@baseline", None).contains("there is no baseline"));
        let missing = told("auc>=0@baseline", Some(&evaluation(0.9)));
        assert!(missing.contains("there are top1"), "{missing}");
    }
}

//! Which layers get int4 weights: those whose loss of precision is small for the bytes that they save.
//!
//! Each layer is tried alone, and layers are then narrowed one after the other, those with the least noise
//! for each weight first. One that brings an output below [`LEAST_DB`] stays int8.

use super::apply::{self, BestScales, Changes, Recipe};
use super::calibrate::{Float, Sample, Statistics};
use super::{Error, Judge, correct, weights};
use graph::{DType, ValueId};
use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

/// The least signal to noise ratio of an output, in decibels, that narrower weights may leave: noise of a
/// sixth of the signal.
const LEAST_DB: f64 = 15.0;

/// The type of weights of integer layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeightType {
    /// int8 everywhere.
    #[default]
    Int8,
    /// int4 where that costs little precision, int8 elsewhere.
    Int4,
}

impl FromStr for WeightType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "int8" => Ok(WeightType::Int8),
            "int4" => Ok(WeightType::Int4),
            _ => Err(format!("'{text}' is neither int8 nor int4")),
        }
    }
}

impl fmt::Display for WeightType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WeightType::Int8 => "int8",
            WeightType::Int4 => "int4",
        })
    }
}

/// The best scales of weights in both types.
struct Scales {
    wide: BestScales,
    narrow: BestScales,
}

/// The best scales where some weights are int4.
pub(crate) fn best_scales(recipe: &Recipe<'_>) -> BestScales {
    let scales = Scales::of(recipe);
    scales.mixed(recipe.narrow)
}

impl Scales {
    fn of(recipe: &Recipe<'_>) -> Self {
        Scales {
            wide: apply::best_scales(recipe.graph, weights::INT8),
            narrow: apply::best_scales(recipe.graph, weights::INT4),
        }
    }

    fn mixed(&self, narrow: &HashSet<ValueId>) -> BestScales {
        let mut scales = self.wide.clone();
        let narrow = self.narrow.iter().filter(|(id, _)| narrow.contains(id));
        scales.extend(narrow.map(|(&id, best)| (id, best.clone())));
        scales
    }
}

/// The weights that become int4. `recipe` is that of the layer's graph with int8 weights.
pub(crate) fn choose(
    recipe: &Recipe<'_>,
    float: &mut Float,
    statistics: &Statistics,
    samples: &[Sample],
) -> Result<HashSet<ValueId>, Error> {
    let scales = Scales::of(recipe);
    let mut quality = |narrow: &HashSet<ValueId>| -> Result<f64, Error> {
        let best = &scales.mixed(narrow);
        let recipe = Recipe {
            best,
            narrow,
            ..*recipe
        };
        let judge = Judge { recipe, samples };
        let plain = judge.attempt(float, Changes::default())?;
        let biases = correct::biases(recipe.graph, &plain.graph, recipe.assignment, statistics);
        let corrected = judge.attempt(
            float,
            Changes {
                biases,
                ..Changes::default()
            },
        )?;
        Ok(judge.quality(&judge.better(plain, corrected).fidelity))
    };
    let mut costs = Vec::new();
    for id in candidates(recipe) {
        let noise = 10f64.powf(-quality(&HashSet::from([id]))? / 10.0);
        let elements = recipe.graph.value(id).shape.elements();
        costs.push((noise / elements.max(1) as f64, id));
    }
    costs.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut chosen = HashSet::new();
    for (_, id) in costs {
        chosen.insert(id);
        if quality(&chosen)? < LEAST_DB {
            chosen.remove(&id);
        }
    }
    Ok(chosen)
}

/// The weights of int8 layers, each once.
fn candidates(recipe: &Recipe<'_>) -> Vec<ValueId> {
    let nodes = recipe.graph.nodes.iter().zip(&recipe.assignment.types);
    let layers =
        nodes.filter(|(node, dtype)| apply::has_weights(&node.kind) && **dtype == DType::I8);
    let ids = layers.filter_map(|(node, _)| node.inputs.get(1).copied().flatten());
    let mut seen = HashSet::new();
    ids.filter(|&id| seen.insert(id)).collect()
}

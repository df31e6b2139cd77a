//! Variables that a model reads and assigns to while it runs, started by graphs that are called once.
//!
//! Operators run in the order of the file: what is read before an assignment is what the last run left,
//! what is read behind one is what was assigned. So a variable is state only where something is read
//! first, and constant where nothing but its start is assigned.

use super::call::{Call, Refusal};
use super::schema::{ASSIGN_VARIABLE, CALL_ONCE, Model, Operator, READ_VARIABLE, VAR_HANDLE};
use super::{Importer, malformed, ops, tensor};
use crate::error::{Problem, Unsupported};
use crate::sizes;
use graph::{DType, Data, Quantization, Shape, ValueId};
use runtime::ops::assign::Assign;
use runtime::ops::reshape::Reshape;
use runtime::ops::variable::Variable as Held;
use std::collections::{HashMap, HashSet};

/// The variables of a model.
#[derive(Debug, Default)]
pub(super) struct Variables {
    all: Vec<Variable>,
    /// The variable behind each tensor that names one.
    of_tensor: HashMap<usize, usize>,
    /// Whether the operators that run now are those of a start.
    is_start: bool,
}

#[derive(Debug, Default)]
struct Variable {
    name: String,
    /// The first tensor that is assigned in a run, and whether any is.
    assigned: Option<usize>,
    /// What it starts from, where the file says so.
    start: Option<ValueId>,
    /// What the last run left, once something reads it.
    before: Option<ValueId>,
    /// What it holds at this place.
    now: Option<ValueId>,
}

const CHANGE: &str =
    "change the model, so that variables keep their shape and type, and start from constants";

impl Variables {
    /// The variables that operators name.
    pub(super) fn of(model: &Model<'_>) -> Result<Self, Problem> {
        let mut variables = Variables::default();
        let mut known: HashMap<(String, String), usize> = HashMap::new();
        let all = model.operators.iter().chain(&model.starting);
        for operator in all.filter(|operator| operator.code == VAR_HANDLE) {
            let text = |field: usize| {
                let table = operator.options;
                table
                    .map_or(Ok(String::new()), |table| table.text(field))
                    .map_err(malformed)
            };
            let (container, name) = (text(0)?, text(1)?);
            let Some(&tensor) = operator.outputs.first() else {
                continue;
            };
            let index = *known.entry((container, name.clone())).or_insert_with(|| {
                variables.all.push(Variable {
                    name,
                    ..Variable::default()
                });
                variables.all.len() - 1
            });
            variables.of_tensor.insert(tensor, index);
        }
        for operator in model
            .operators
            .iter()
            .filter(|op| op.code == ASSIGN_VARIABLE)
        {
            let value = operator.inputs.get(1).copied().flatten();
            if let Some(index) = variables.index(operator)
                && let Some(variable) = variables.all.get_mut(index)
            {
                variable.assigned = variable.assigned.or(value);
            }
        }
        Ok(variables)
    }

    /// The variable that an operator reads or assigns to.
    fn index(&self, operator: &Operator<'_>) -> Option<usize> {
        let tensor = operator.inputs.first().copied().flatten()?;
        self.of_tensor.get(&tensor).copied()
    }
}

/// Whether an operator only says which variables there are and what they start from.
pub(super) fn is_declaration(operator: &Operator<'_>) -> bool {
    [VAR_HANDLE, CALL_ONCE].contains(&operator.code)
}

/// The indices of the operators that the outputs depend on, in this run or in later ones, in the order
/// of the file.
pub(super) fn live(
    operators: &[Operator<'_>],
    outputs: &[usize],
    variables: &Variables,
) -> Vec<usize> {
    let mut needed: HashSet<usize> = outputs.iter().copied().collect();
    let mut read: HashSet<usize> = HashSet::new();
    let mut is_live = vec![false; operators.len()];
    loop {
        let before = (needed.len(), read.len());
        for (operator, is_live) in operators.iter().zip(&mut is_live).rev() {
            let variable = variables.index(operator);
            let is_assigned = operator.code == ASSIGN_VARIABLE
                && variable.is_some_and(|variable| read.contains(&variable));
            let mut made = operator.outputs.iter();
            let is_needed = is_assigned || made.any(|output| needed.contains(output));
            if *is_live || !is_needed {
                continue;
            }
            *is_live = true;
            match operator.code {
                READ_VARIABLE => read.extend(variable),
                ASSIGN_VARIABLE => needed.extend(operator.inputs.get(1).copied().flatten()),
                _ => needed.extend(
                    operator
                        .inputs
                        .iter()
                        .take(ops::operands(operator))
                        .flatten(),
                ),
            }
        }
        if (needed.len(), read.len()) == before {
            break;
        }
    }
    (0..operators.len())
        .filter(|&index| is_live[index])
        .collect()
}

impl<'a> Importer<'a> {
    /// Runs the graphs that are called once, as far as variables that are read need it.
    pub(super) fn start(&mut self, operators: &[Operator<'a>]) -> Vec<Unsupported> {
        let calls = |code| operators.iter().position(|operator| operator.code == code);
        let (Some(call), first) = (
            operators
                .iter()
                .rposition(|operator| operator.code == CALL_ONCE),
            calls(READ_VARIABLE)
                .into_iter()
                .chain(calls(ASSIGN_VARIABLE))
                .min(),
        ) else {
            return Vec::new();
        };
        if first.is_some_and(|first| first < call) {
            let reason = "it is called behind operators that read or assign variables";
            let refusal = Refusal::new(reason, "call it before all of them");
            return vec![self.refused(&operators[call], refusal)];
        }
        let is_read = |operator: &&Operator<'a>| operator.code == READ_VARIABLE;
        let read: Vec<usize> = operators
            .iter()
            .filter(is_read)
            .flat_map(|op| op.outputs.clone())
            .collect();
        let starting = self.model.starting.clone();
        let both: Vec<Operator<'a>> = operators.iter().chain(&starting).cloned().collect();
        let live = live(&both, &read, &self.variables);
        let mut refused = Vec::new();
        self.variables.is_start = true;
        for index in live
            .into_iter()
            .filter_map(|index| index.checked_sub(operators.len()))
        {
            let Some(operator) = starting.get(index) else {
                continue;
            };
            if let Err(refusal) = self.operator(operator) {
                refused.push(self.refused(operator, refusal));
            }
        }
        self.variables.is_start = false;
        refused
    }

    /// Assigns what each variable that is read before holds at the end.
    pub(super) fn assign(&mut self) -> Vec<Unsupported> {
        let mut refused = Vec::new();
        for index in 0..self.variables.all.len() {
            let Variable {
                name,
                before,
                now,
                start,
                ..
            } = &self.variables.all[index];
            let (name, start) = (name.clone(), *start);
            let (&Some(before), &Some(now)) = (before, now) else {
                continue;
            };
            if self.graph.producer(before).is_none() {
                continue;
            }
            if let Err(Refusal { reason, remedy }) = self.assignment(&name, [before, now], start) {
                let operator = "ASSIGN_VARIABLE".into();
                refused.push(Unsupported {
                    node: name,
                    operator,
                    reason,
                    remedy,
                });
            }
        }
        refused
    }

    fn assignment(
        &mut self,
        name: &str,
        [before, now]: [ValueId; 2],
        start: Option<ValueId>,
    ) -> Result<(), Refusal> {
        let quantization = self.graph.value(before).quantization.clone();
        let now = self.shaped(now, before, quantization.clone())?;
        let mut inputs = vec![before, now];
        inputs.extend(start);
        let outputs = self.graph.push(name, Assign, &inputs);
        for output in outputs.map_err(|error| Refusal::new(error.reason, CHANGE))? {
            self.graph
                .value_mut(output)
                .quantization
                .clone_from(&quantization);
        }
        Ok(())
    }

    /// A value under the shape of another, with a quantization of its own.
    fn shaped(
        &mut self,
        value: ValueId,
        like: ValueId,
        quantization: Option<Quantization>,
    ) -> Result<ValueId, Refusal> {
        let (given, held) = (self.graph.value(value), self.graph.value(like));
        let (types, shapes) = ([given.dtype, held.dtype], [given.shape, held.shape]);
        if types[0] != types[1] || shapes[0].elements() != shapes[1].elements() {
            let (dtype, shape) = (types[1], shapes[1]);
            let reason = format!(
                "it gives {} {} to a variable of {dtype} {shape}",
                types[0], shapes[0]
            );
            return Err(Refusal::new(reason, CHANGE));
        }
        if given.shape == held.shape && given.quantization == quantization {
            return Ok(value);
        }
        let (name, shape) = (given.name.clone(), held.shape);
        let made = self
            .graph
            .push(name, Reshape { shape }, &[value])
            .map_err(|error| error.reason)?;
        let &made = made.first().ok_or("it makes nothing")?;
        self.graph.value_mut(made).quantization = quantization;
        Ok(made)
    }
}

impl Call<'_, '_> {
    fn variable(&self) -> Result<usize, Refusal> {
        let index = self.importer.variables.index(self.operator);
        index.ok_or_else(|| {
            Refusal::new(
                "its variable is not named by VAR_HANDLE",
                "convert the model again",
            )
        })
    }

    /// What a variable holds when a run begins: state, or its start where nothing assigns to it.
    fn before(&mut self, index: usize) -> Result<ValueId, Refusal> {
        let Variable {
            name,
            assigned,
            start,
            ..
        } = &self.importer.variables.all[index];
        let (name, assigned, start) = (name.clone(), *assigned, *start);
        let output = self.output()?;
        let (dtype, shape) = (tensor::dtype(output)?, output.shape);
        let quantization = tensor::quantization(output)?;
        if let Some(problem) = sizes::problem(&shape) {
            return Err(format!("its variable {problem}").into());
        }
        let start = match (start, assigned) {
            (Some(start), _) => Some(self.started(&name, start, (dtype, shape), &quantization)?),
            (None, Some(assigned)) => self.rest(assigned, (dtype, shape), &quantization)?,
            (None, None) => {
                let reason = format!("nothing assigns to the variable '{name}'");
                return Err(Refusal::new(reason, CHANGE));
            }
        };
        let graph = &mut self.importer.graph;
        let before = match (assigned, start) {
            (None, Some(start)) => start,
            _ => {
                let made = graph.push(name, Held { dtype, shape }, &[]);
                let made = made.map_err(|error| error.reason)?;
                *made.first().ok_or("it makes nothing")?
            }
        };
        graph.value_mut(before).quantization = quantization;
        let variable = &mut self.importer.variables.all[index];
        (variable.before, variable.start) = (Some(before), start);
        Ok(before)
    }

    /// The constant that a variable starts from, in the shape in which it is read.
    fn started(
        &mut self,
        name: &str,
        start: ValueId,
        (dtype, shape): (DType, Shape),
        quantization: &Option<Quantization>,
    ) -> Result<ValueId, Refusal> {
        let value = self.value(start);
        let data = value.data.clone().filter(|data| data.dtype() == dtype);
        let data = data
            .filter(|data| data.len() == shape.elements())
            .ok_or_else(|| {
                let (other, given) = (value.dtype, value.shape);
                let reason =
                    format!("'{name}' starts from {other} {given} and is read as {dtype} {shape}");
                Refusal::new(reason, CHANGE)
            })?;
        let quantization = quantization.clone();
        let held = super::Held { data, quantization };
        Ok(self.importer.hold(format!("{name}/start"), shape, held))
    }

    /// What TensorFlow Lite Micro starts a variable from that nothing is assigned to: the zero point of
    /// the first tensor that a run assigns, in every byte. `None` where that is the state's own.
    fn rest(
        &mut self,
        assigned: usize,
        (dtype, shape): (DType, Shape),
        quantization: &Option<Quantization>,
    ) -> Result<Option<ValueId>, Refusal> {
        let tensor = self
            .importer
            .model
            .tensors
            .get(assigned)
            .ok_or("a tensor is missing")?;
        let zero =
            |quantization: &Option<Quantization>| quantization.as_ref().map_or(0, |q| q.zero_point);
        let (given, own) = (zero(&tensor::quantization(tensor)?), zero(quantization));
        if dtype != DType::I8 || given == own {
            return Ok(None);
        }
        let elements = self.constant_elements()?;
        let data = Data::I8(vec![given as i8; elements]);
        let held = super::Held {
            data,
            quantization: quantization.clone(),
        };
        Ok(Some(self.importer.hold(
            format!("{}/start", tensor.name),
            shape,
            held,
        )))
    }
}

/// READ_VARIABLE: what was assigned last.
pub(super) fn read(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let index = call.variable()?;
    if call.importer.variables.is_start {
        return Err(Refusal::new("a start reads a variable", CHANGE));
    }
    let now = call.importer.variables.all[index].now;
    let value = match now.or(call.importer.variables.all[index].before) {
        Some(value) => value,
        None => call.before(index)?,
    };
    call.deliver(value)
}

/// ASSIGN_VARIABLE: of a start, what a variable holds before the first run.
pub(super) fn assign(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let index = call.variable()?;
    let tensor = call.operator.inputs.get(1).copied().flatten();
    let tensor = tensor.ok_or("input 1 is missing")?;
    let held = call.importer.model.tensors.get(tensor);
    let is_made = call.importer.values.contains_key(&tensor);
    if !is_made && held.is_none_or(|held| held.content.is_empty()) {
        // The operator that makes it was refused: this one cannot be judged.
        return Ok(());
    }
    let value = call.importer.value(tensor)?;
    let is_constant = call.value(value).data.is_some();
    let is_start = call.importer.variables.is_start;
    let variable = &mut call.importer.variables.all[index];
    match is_start {
        false => variable.now = Some(value),
        true if is_constant => variable.start = Some(value),
        true => {
            let reason = format!("what '{}' starts from is computed", variable.name);
            return Err(Refusal::new(reason, CHANGE));
        }
    }
    Ok(())
}

/// VAR_HANDLE and CALL_ONCE, which are read before all others.
pub(super) fn declaration(_call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    Ok(())
}

//! One node while it is imported: its operands, its attributes, and what it adds to the graph.

use super::attributes::Attributes;
use super::constant;
use super::external::External;
use crate::sizes::problem;
use format::fixed::Rounding;
use graph::{DType, Graph, Kind, Quantization, Shape, ValueId};
use runtime::host::{Tensor, evaluate};
use runtime::ops::reshape::Reshape;
use runtime::ops::transpose::Transpose;
use std::rc::Rc;

/// Why a node cannot be imported, and what helps.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) reason: String,
    pub(super) remedy: String,
}

impl Refusal {
    pub(super) fn new(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Refusal {
            reason: reason.into(),
            remedy: remedy.into(),
        }
    }
}

impl<T: Into<String>> From<T> for Refusal {
    fn from(reason: T) -> Self {
        Refusal::new(
            reason,
            "change this node in the source model, or cut the model before it",
        )
    }
}

/// What a name of the source stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Item {
    /// An index into [`Builder::constants`].
    Constant(usize),
    /// A value that is known only at run time.
    Value(ValueId),
    /// Integers that stand for real numbers: an index into [`Builder::quantized`].
    Quantized(usize),
}

/// A constant, in the graph only once a node reads it.
struct Held {
    name: String,
    tensor: Rc<Tensor>,
    /// The steps of floats that were integers.
    steps: Option<Quantization>,
    value: Option<ValueId>,
}

/// Integers that are known only at run time, and the real numbers that they stand for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quantized {
    /// The integers, unsigned ones moved by 128.
    pub(super) integers: ValueId,
    /// The type of the integers in the source.
    pub(super) dtype: DType,
    /// What became these integers, where the source does not give them itself.
    pub(super) source: Option<Item>,
    /// The real numbers, once a node reads them.
    pub(super) real: Option<Item>,
}

/// All constants that import itself makes, in elements, so that small files stay small.
const FOLDED_ELEMENTS: usize = 1 << 23;

/// The graph under construction.
pub(super) struct Builder {
    pub(super) graph: Graph,
    pub(super) notes: Vec<String>,
    pub(super) quantized: Vec<Quantized>,
    constants: Vec<Held>,
    budget: usize,
}

impl Builder {
    pub(super) fn new(name: String) -> Self {
        let graph = Graph {
            name,
            ..Graph::default()
        };
        Builder {
            graph,
            notes: Vec::new(),
            quantized: Vec::new(),
            constants: Vec::new(),
            budget: FOLDED_ELEMENTS,
        }
    }

    /// Calls a value what the source calls it, unless it is an input or a constant.
    pub(super) fn name(&mut self, item: Item, name: &str) {
        let is_input = |id| self.graph.inputs.iter().any(|port| port.value == id);
        let id = match item {
            Item::Value(id) => id,
            Item::Quantized(index) => self.quantized[index].integers,
            Item::Constant(_) => return,
        };
        if !is_input(id) && !name.is_empty() {
            self.graph.value_mut(id).name = name.into();
        }
    }

    pub(super) fn constant(&mut self, name: impl Into<String>, tensor: Tensor) -> Item {
        self.constant_of_steps(name, tensor, None)
    }

    /// Floats that are whole numbers of steps.
    pub(super) fn constant_of_steps(
        &mut self,
        name: impl Into<String>,
        tensor: Tensor,
        steps: Option<Quantization>,
    ) -> Item {
        let tensor = Rc::new(tensor);
        self.constants.push(Held {
            name: name.into(),
            tensor,
            steps,
            value: None,
        });
        Item::Constant(self.constants.len() - 1)
    }

    /// The elements of a constant.
    pub(super) fn tensor(&self, item: Item) -> Option<Rc<Tensor>> {
        match item {
            Item::Constant(index) => self
                .constants
                .get(index)
                .map(|held| Rc::clone(&held.tensor)),
            Item::Value(_) | Item::Quantized(_) => None,
        }
    }

    /// The item as a value of the graph.
    pub(super) fn value(&mut self, item: Item) -> ValueId {
        match item {
            Item::Value(id) => id,
            Item::Quantized(index) => self.quantized[index].integers,
            Item::Constant(index) => {
                let held = &mut self.constants[index];
                *held.value.get_or_insert_with(|| {
                    let Tensor { shape, data } = (*held.tensor).clone();
                    let id = self.graph.add_constant(held.name.clone(), shape, data);
                    self.graph.value_mut(id).quantization = held.steps.clone();
                    id
                })
            }
        }
    }
}

/// A node being imported.
pub(super) struct Call<'a> {
    /// The graph it goes into.
    pub(super) builder: &'a mut Builder,
    /// Version of the operator set.
    pub(super) opset: i64,
    /// The node's name.
    pub(super) name: String,
    /// Its attributes.
    pub(super) attributes: Attributes<'a>,
    /// Its operands, `None` where an optional one is left out.
    pub(super) inputs: Vec<Option<Item>>,
    /// How many outputs it has.
    pub(super) outputs: usize,
    /// Where the data of constants may be.
    pub(super) external: &'a External<'a>,
}

impl Call<'_> {
    /// Operand `index`, if it is there.
    pub(super) fn input(&self, index: usize) -> Option<Item> {
        self.inputs.get(index).copied().flatten()
    }

    /// Operand `index`.
    pub(super) fn required(&self, index: usize) -> Result<Item, Refusal> {
        self.input(index)
            .ok_or_else(|| format!("input {index} is missing").into())
    }

    /// Operand `index`, which must be of floats.
    pub(super) fn float(&self, index: usize) -> Result<Item, Refusal> {
        let item = self.required(index)?;
        match self.dtype(item) {
            DType::F32 => Ok(item),
            other => Err(Refusal::new(
                format!("computes with {other}, but only float is supported here"),
                "export the model in float32",
            )),
        }
    }

    /// The tensor behind operand `index` if that is constant.
    pub(super) fn constant_input(&self, index: usize) -> Option<Rc<Tensor>> {
        self.tensor(self.input(index)?)
    }

    /// The tensor behind operand `index`, which must be constant; `None` if it is left out.
    pub(super) fn optional_constant(
        &self,
        index: usize,
        what: &str,
    ) -> Result<Option<Rc<Tensor>>, Refusal> {
        let Some(item) = self.input(index) else {
            return Ok(None);
        };
        let message = || {
            let reason = format!("its {what} (input {index}) is computed at run time");
            Refusal::new(
                reason,
                "make it constant, or simplify the model with onnxsim",
            )
        };
        self.tensor(item).map(Some).ok_or_else(message)
    }

    /// The tensor behind operand `index`, which must be there and constant.
    pub(super) fn required_constant(
        &self,
        index: usize,
        what: &str,
    ) -> Result<Rc<Tensor>, Refusal> {
        let tensor = self.optional_constant(index, what)?;
        tensor.ok_or_else(|| format!("its {what} (input {index}) is missing").into())
    }

    /// The elements of a constant.
    pub(super) fn tensor(&self, item: Item) -> Option<Rc<Tensor>> {
        self.builder.tensor(item)
    }

    /// The steps of a constant of floats that were integers.
    pub(super) fn steps(&self, item: Item) -> Option<Quantization> {
        match item {
            Item::Constant(index) => self.builder.constants[index].steps.clone(),
            _ => None,
        }
    }

    /// The name of a constant operand, for the constants made from it.
    pub(super) fn operand_name(&self, index: usize) -> String {
        self.input(index)
            .map_or_else(|| self.name.clone(), |item| self.name_of(item))
    }

    /// The name of a constant, or this node's.
    pub(super) fn name_of(&self, item: Item) -> String {
        match item {
            Item::Constant(held) => self.builder.constants[held].name.clone(),
            _ => self.name.clone(),
        }
    }

    /// Dimensions of an item.
    pub(super) fn shape(&self, item: Item) -> Shape {
        match item {
            Item::Constant(index) => self.builder.constants[index].tensor.shape,
            Item::Value(id) => self.builder.graph.value(id).shape,
            Item::Quantized(index) => {
                let integers = self.builder.quantized[index].integers;
                self.builder.graph.value(integers).shape
            }
        }
    }

    /// Element type of an item.
    pub(super) fn dtype(&self, item: Item) -> DType {
        match item {
            Item::Constant(index) => self.builder.constants[index].tensor.data.dtype(),
            Item::Value(id) => self.builder.graph.value(id).dtype,
            Item::Quantized(index) => self.builder.quantized[index].dtype,
        }
    }

    /// An axis counted from the end where negative, below `rank`.
    pub(super) fn axis(&self, axis: i64, rank: usize) -> Result<usize, Refusal> {
        let from_start = if axis < 0 {
            axis.checked_add(rank as i64)
        } else {
            Some(axis)
        };
        from_start
            .and_then(|axis| usize::try_from(axis).ok())
            .filter(|&axis| axis < rank)
            .ok_or_else(|| format!("there is no axis {axis} in {rank} dimensions").into())
    }

    /// A new constant, paid for from the budget of folded elements.
    pub(super) fn constant(&mut self, tensor: Tensor) -> Result<Item, Refusal> {
        self.afford(&tensor.shape)?;
        let name = self.name.clone();
        Ok(self.builder.constant(name, tensor))
    }

    /// Takes the elements of a constant out of the budget, before they are made.
    pub(super) fn afford(&mut self, shape: &Shape) -> Result<(), Refusal> {
        let budget = shape
            .checked_elements()
            .and_then(|n| self.builder.budget.checked_sub(n));
        self.builder.budget = budget.ok_or_else(|| {
            Refusal::from(format!(
                "would make a constant of {shape}, but {FOLDED_ELEMENTS} elements in all are the most \
                 that can be folded"
            ))
        })?;
        Ok(())
    }

    /// Refuses what the budget has no room for, before work is done to make it.
    pub(super) fn room_for(&self, elements: Option<usize>) -> Result<(), Refusal> {
        match elements.filter(|&elements| elements <= self.builder.budget) {
            Some(_) => Ok(()),
            None => Err(format!(
                "would make a constant of more than the {FOLDED_ELEMENTS} elements that can be folded"
            )
            .into()),
        }
    }

    /// A rearranged copy of a constant, which costs no budget: it is as large as the file.
    pub(super) fn rearranged(&mut self, name: impl Into<String>, tensor: Tensor) -> Item {
        self.builder.constant(name, tensor)
    }

    /// As [`Call::rearranged`], from a constant whose axes are permuted, so that steps go with them.
    pub(super) fn turned(
        &mut self,
        name: impl Into<String>,
        tensor: Tensor,
        from: Item,
        permutation: &[usize],
    ) -> Item {
        let steps = self
            .steps(from)
            .map(|steps| turned_steps(steps, permutation));
        self.builder.constant_of_steps(name, tensor, steps)
    }

    /// A constant row of floats.
    pub(super) fn floats(&mut self, dims: &[usize], values: Vec<f32>) -> Result<Item, Refusal> {
        let shape = to_shape(dims)?;
        let data = graph::Data::F32(values);
        Ok(self.rearranged(self.name.clone(), Tensor { shape, data }))
    }

    /// Applies an operator with one output.
    pub(super) fn push(&mut self, kind: impl Into<Kind>, inputs: &[Item]) -> Result<Item, Refusal> {
        let outputs = self.push_all(kind, inputs)?;
        outputs
            .first()
            .copied()
            .ok_or_else(|| "it makes nothing".into())
    }

    /// Applies an operator with any number of outputs.
    pub(super) fn push_all(
        &mut self,
        kind: impl Into<Kind>,
        inputs: &[Item],
    ) -> Result<Vec<Item>, Refusal> {
        let kind = kind.into();
        if let Some(items) = self.fold(&kind, inputs)? {
            return Ok(items);
        }
        let ids: Vec<ValueId> = inputs
            .iter()
            .map(|&item| self.builder.value(item))
            .collect();
        let operands: Vec<Option<ValueId>> = ids.iter().copied().map(Some).collect();
        let inferred = self.builder.graph.infer(&self.name, &kind, &operands);
        for (_, shape) in inferred.map_err(|error| error.reason)? {
            if let Some(problem) = problem(&shape) {
                return Err(format!("its result of {problem}").into());
            }
        }
        let outputs = self.builder.graph.push(self.name.clone(), kind, &ids);
        let outputs = outputs.map_err(|error| error.reason)?;
        Ok(outputs.into_iter().map(Item::Value).collect())
    }

    /// The results of an operator over constants, where they are cheap to have.
    fn fold(&mut self, kind: &Kind, inputs: &[Item]) -> Result<Option<Vec<Item>>, Refusal> {
        let tensors: Option<Vec<Rc<Tensor>>> =
            inputs.iter().map(|&item| self.tensor(item)).collect();
        let Some(tensors) = tensors else {
            return Ok(None);
        };
        let results = match (kind, tensors.first()) {
            (Kind::Transpose(t), Some(tensor)) => constant::transpose(tensor, &t.permutation)
                .into_iter()
                .collect(),
            (Kind::Reshape(r), Some(tensor)) if r.shape.elements() == tensor.data.len() => {
                vec![Tensor {
                    shape: r.shape,
                    data: tensor.data.clone(),
                }]
            }
            (_, Some(_))
                if is_cheap(kind) && tensors.iter().all(|t| problem(&t.shape).is_none()) =>
            {
                self.evaluate(kind, &tensors)?
            }
            _ => return Ok(None),
        };
        let steps = inputs.first().and_then(|&item| self.steps(item));
        let steps = steps.and_then(|steps| moved_steps(steps, kind));
        let mut items = Vec::new();
        for result in results {
            self.afford(&result.shape)?;
            let name = self.name.clone();
            items.push(self.builder.constant_of_steps(name, result, steps.clone()));
        }
        Ok(Some(items).filter(|items| !items.is_empty()))
    }

    fn evaluate(&mut self, kind: &Kind, tensors: &[Rc<Tensor>]) -> Result<Vec<Tensor>, Refusal> {
        let operands: Vec<_> = tensors
            .iter()
            .map(|tensor| Some(((**tensor).clone(), None)))
            .collect();
        let shapes: Vec<_> = tensors.iter().map(|t| operand(t)).collect();
        for (_, shape) in kind.operator().infer(&shapes)? {
            self.afford(&shape)?;
        }
        // The rounding is one of integers: it has no part in float arithmetic.
        Ok(evaluate(kind.operator(), &operands, &[], Rounding::Single)?)
    }

    /// The item under other dimensions.
    pub(super) fn reshape(&mut self, item: Item, dims: &[usize]) -> Result<Item, Refusal> {
        let shape = to_shape(dims)?;
        if shape == self.shape(item) {
            return Ok(item);
        }
        self.push(Reshape { shape }, &[item])
    }

    /// The item with its axes permuted.
    pub(super) fn transpose(&mut self, item: Item, axes: Vec<usize>) -> Result<Item, Refusal> {
        if axes.iter().enumerate().all(|(to, &from)| to == from) {
            return Ok(item);
        }
        self.push(Transpose { permutation: axes }, &[item])
    }
}

/// The steps of a tensor whose axes were permuted.
fn turned_steps(steps: Quantization, permutation: &[usize]) -> Quantization {
    let axis = steps
        .axis
        .and_then(|axis| permutation.iter().position(|&from| from == axis));
    Quantization { axis, ..steps }
}

/// The steps of what an operator makes that moves elements, where they are still known.
fn moved_steps(steps: Quantization, kind: &Kind) -> Option<Quantization> {
    match kind {
        Kind::Transpose(transpose) => Some(turned_steps(steps, &transpose.permutation)),
        Kind::Reshape(_) => Some(steps).filter(|steps| steps.axis.is_none()),
        _ => None,
    }
}

/// Operators that are folded over constants.
fn is_cheap(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Unary(_)
            | Kind::Binary(_)
            | Kind::Pad(_)
            | Kind::Slice(_)
            | Kind::Concat(_)
            | Kind::Gather(_)
            | Kind::GatherElements(_)
            | Kind::Scatter(_)
            | Kind::MatMul(_)
            | Kind::Cumulate(_)
            | Kind::Extreme(_)
            | Kind::TopK(_)
            | Kind::WholeNumbers(_)
            | Kind::Compare(_)
            | Kind::Choose(_)
            | Kind::Cast(_)
            | Kind::Reduce(_)
    )
}

fn operand(tensor: &Tensor) -> Option<graph::Operand<'_>> {
    Some(graph::Operand {
        dtype: tensor.data.dtype(),
        shape: tensor.shape,
        quantization: None,
        data: Some(&tensor.data),
    })
}

/// A shape of sizes that may come from the file.
pub(super) fn to_shape(dims: &[usize]) -> Result<Shape, Refusal> {
    crate::sizes::shape(dims).map_err(|problem| format!("a tensor's {problem}").into())
}

/// The dimensions as sizes.
pub(super) fn sizes(shape: &Shape) -> Vec<usize> {
    shape.dims().iter().map(|&d| d as usize).collect()
}

//! One operator while it is imported: its operands, its options, and what it adds to the graph.

use super::Importer;
use super::flatbuffer::Table;
use super::schema::{Operator, Tensor};
use super::tensor::{self, Held};
use graph::{DType, Data, Kind, Quantization, Shape, Value, ValueId};
use runtime::host::{Activation, Tensor as Known, evaluate};
use runtime::ops::reshape::Reshape;

/// Why an operator cannot be imported, and what helps.
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
        let remedy = "change this operator in the source model and convert it again";
        Refusal::new(reason, remedy)
    }
}

/// More elements in one tensor are refused: an edge device holds far less.
pub(super) const MOST_ELEMENTS: usize = 1 << 26;

/// More elements of one constant are not made of a few bytes of a file.
const MOST_MADE: usize = 1 << 20;

/// More whole numbers in one tensor are computed while the model runs, though they are known.
const MOST_KNOWN: usize = 1 << 16;

/// An operator being imported.
pub(super) struct Call<'c, 'a> {
    pub(super) importer: &'c mut Importer<'a>,
    pub(super) operator: &'c Operator<'a>,
    /// The name of its first output.
    pub(super) name: String,
}

impl<'a> Call<'_, 'a> {
    /// The options, where the file has them; defaults otherwise.
    fn option<T>(
        &self,
        default: T,
        read: impl FnOnce(Table<'a>) -> Result<T, String>,
    ) -> Result<T, Refusal> {
        match self.operator.options {
            Some(table) => Ok(read(table)?),
            None => Ok(default),
        }
    }

    /// A code or a truth value among the options.
    pub(super) fn option_i8(&self, field: usize) -> Result<i8, Refusal> {
        self.option(0, |table| table.i8(field, 0))
    }

    /// A number among the options.
    pub(super) fn option_i32(&self, field: usize, default: i32) -> Result<i32, Refusal> {
        self.option(default, |table| table.i32(field, default))
    }

    /// A float among the options.
    pub(super) fn option_f32(&self, field: usize, default: f32) -> Result<f32, Refusal> {
        self.option(default, |table| table.f32(field, default))
    }

    /// A size among the options: at least 1.
    pub(super) fn option_size(&self, field: usize, default: i32) -> Result<usize, Refusal> {
        let size = self.option_i32(field, default)?;
        let positive = usize::try_from(size).ok().filter(|&size| size > 0);
        positive.ok_or_else(|| format!("{size} is not a stride, dilation or window").into())
    }

    /// The fused activation among the options.
    pub(super) fn activation(&self, field: usize) -> Result<Activation, Refusal> {
        Ok(match self.option_i8(field)? {
            0 => Activation::None,
            1 => Activation::Relu,
            2 => Activation::Clip(-1.0, 1.0),
            3 => Activation::Clip(0.0, 6.0),
            code => return Err(format!("the fused activation {code} is not supported").into()),
        })
    }

    /// The output tensor as the file declares it.
    pub(super) fn output(&self) -> Result<&Tensor<'a>, Refusal> {
        self.output_at(0)
    }

    fn output_at(&self, index: usize) -> Result<&Tensor<'a>, Refusal> {
        let tensor = self.operator.outputs.get(index);
        let tensor = tensor.and_then(|&index| self.importer.model.tensors.get(index));
        tensor.ok_or_else(|| "it has no output".into())
    }

    /// What the integers of the output stand for.
    pub(super) fn output_quantization(&self) -> Result<Option<Quantization>, Refusal> {
        tensor::quantization(self.output()?)
    }

    /// The element type of the output.
    pub(super) fn output_dtype(&self) -> Result<DType, Refusal> {
        tensor::dtype(self.output()?)
    }

    /// Operand `index` as a value of the graph, if it is there.
    pub(super) fn optional(&mut self, index: usize) -> Result<Option<ValueId>, Refusal> {
        match self.operator.inputs.get(index).copied().flatten() {
            Some(tensor) => self.importer.value(tensor).map(Some),
            None => Ok(None),
        }
    }

    /// Operand `index` as a value of the graph.
    pub(super) fn input(&mut self, index: usize) -> Result<ValueId, Refusal> {
        let value = self.optional(index)?;
        value.ok_or_else(|| format!("input {index} is missing").into())
    }

    /// The value behind an id.
    pub(super) fn value(&self, id: ValueId) -> &Value {
        self.importer.graph.value(id)
    }

    /// Its dimensions.
    pub(super) fn shape(&self, id: ValueId) -> Shape {
        self.value(id).shape
    }

    /// Operand `index`, which must be constant, as a value of the graph.
    pub(super) fn constant(&mut self, index: usize, what: &str) -> Result<ValueId, Refusal> {
        let id = self.input(index)?;
        match self.value(id).data {
            Some(_) => Ok(id),
            None => Err(format!("its {what} (input {index}) are computed at run time").into()),
        }
    }

    /// The whole numbers of operand `index`, which must be constant.
    pub(super) fn numbers(&mut self, index: usize, what: &str) -> Result<Vec<i64>, Refusal> {
        let id = self.constant(index, what)?;
        match &self.value(id).data {
            Some(data) => Ok(data.to_i64()?),
            None => Ok(Vec::new()),
        }
    }

    /// Refuses weights of integers for activations of floats.
    pub(super) fn refuse_hybrid(&self, input: ValueId, weights: ValueId) -> Result<(), Refusal> {
        let types = (self.value(input).dtype, self.value(weights).dtype);
        match types {
            (DType::F32, DType::I8 | DType::I16) => Err(Refusal::new(
                format!(
                    "it is hybrid: {} weights for float activations, which are quantized while it runs",
                    types.1
                ),
                "convert the model with full integer quantization, or without any and quantize it here",
            )),
            _ => Ok(()),
        }
    }

    /// An axis counted from the end where negative, below `rank`.
    pub(super) fn axis(&self, axis: i64, rank: usize) -> Result<usize, Refusal> {
        let from_start = match axis {
            ..0 => axis.saturating_add(rank as i64),
            _ => axis,
        };
        let axis_inside = usize::try_from(from_start).ok().filter(|&a| a < rank);
        axis_inside.ok_or_else(|| format!("there is no axis {axis} in {rank} dimensions").into())
    }

    /// A constant made from others.
    pub(super) fn held(&mut self, like: ValueId, shape: Shape, held: Held) -> ValueId {
        let name = self.value(like).name.clone();
        self.importer.hold(name, shape, held)
    }

    /// Applies an operator whose result is an intermediate one.
    pub(super) fn push(
        &mut self,
        kind: impl Into<Kind>,
        inputs: &[ValueId],
        quantization: Option<Quantization>,
    ) -> Result<ValueId, Refusal> {
        match self.push_all(kind, inputs, &[quantization])?[..] {
            [output] => Ok(output),
            _ => Err("it has more than one result".into()),
        }
    }

    /// Applies an operator with a result for each of the quantizations.
    pub(super) fn push_all(
        &mut self,
        kind: impl Into<Kind>,
        inputs: &[ValueId],
        quantizations: &[Option<Quantization>],
    ) -> Result<Vec<ValueId>, Refusal> {
        let kind = kind.into();
        let operands: Vec<Option<ValueId>> = inputs.iter().copied().map(Some).collect();
        if let Some(results) = self.known(&kind, &operands) {
            let held = results.into_iter().map(|Known { shape, data }| {
                let name = self.name.clone();
                self.importer.hold(
                    name,
                    shape,
                    Held {
                        data,
                        quantization: None,
                    },
                )
            });
            return Ok(held.collect());
        }
        let graph = &mut self.importer.graph;
        let inferred = graph.infer(&self.name, &kind, &operands);
        for (_, shape) in inferred.map_err(|error| error.reason)? {
            let elements = shape.checked_elements();
            if !elements.is_some_and(|n| (1..=MOST_ELEMENTS).contains(&n)) {
                return Err(format!("its result would be {shape}").into());
            }
        }
        let node = graph.make_node(self.name.clone(), kind, operands);
        let node = node.map_err(|error| error.reason)?;
        if node.outputs.len() != quantizations.len() {
            return Err(format!("it has {} results", node.outputs.len()).into());
        }
        for (&output, quantization) in node.outputs.iter().zip(quantizations) {
            graph.value_mut(output).quantization = quantization.clone();
        }
        // What cannot run is told now, with everything else that cannot.
        let operator = node.kind.operator();
        let outputs: Vec<_> = node.outputs.iter().map(|&id| graph.operand(id)).collect();
        operator.lower(
            &graph.operands(&node.inputs),
            &outputs,
            self.importer.rounding,
        )?;
        let made = node.outputs.clone();
        graph.nodes.push(node);
        Ok(made)
    }

    /// The results of an operator of whole numbers and truth values that are all known, as those are that
    /// shapes are computed from.
    fn known(&self, kind: &Kind, operands: &[Option<ValueId>]) -> Option<Vec<Known>> {
        let is_whole = |dtype| matches!(dtype, DType::I32 | DType::I64 | DType::Bool);
        let known = |id: ValueId| {
            let Value { shape, data, .. } = self.value(id);
            let is_small = shape.elements() <= MOST_KNOWN;
            let data = data
                .clone()
                .filter(|data| is_small && is_whole(data.dtype()))?;
            let shape = *shape;
            Some(Known { shape, data })
        };
        let inputs: Option<Vec<Known>> = operands.iter().map(|id| known((*id)?)).collect();
        let inputs = inputs.filter(|inputs| !inputs.is_empty())?;
        let operator = kind.operator();
        let outputs = operator
            .infer(&self.importer.graph.operands(operands))
            .ok()?;
        let is_small = |shape: &Shape| shape.checked_elements().is_some_and(|n| n <= MOST_KNOWN);
        let mut all = outputs.iter();
        if !all.all(|(dtype, shape)| is_whole(*dtype) && is_small(shape)) {
            return None;
        }
        if let (Kind::Reshape(reshape), Some(Known { data, .. })) = (kind, inputs.first()) {
            let (shape, data) = (reshape.shape, data.clone());
            return Some(vec![Known { shape, data }]);
        }
        let inputs: Vec<_> = inputs
            .into_iter()
            .map(|input| Some((input, None)))
            .collect();
        evaluate(operator, &inputs, &[], self.importer.rounding).ok()
    }

    /// Applies an operator that makes the output; its type must be what the file declares, and its
    /// shape as well, but for dimensions of 1.
    pub(super) fn finish(
        &mut self,
        kind: impl Into<Kind>,
        inputs: &[ValueId],
    ) -> Result<(), Refusal> {
        let quantization = tensor::quantization(self.output()?)?;
        let value = self.push(kind, inputs, quantization)?;
        self.deliver(value)
    }

    /// Makes a value the output, under the shape and the quantization that the file declares.
    pub(super) fn deliver(&mut self, value: ValueId) -> Result<(), Refusal> {
        self.deliver_at(0, value)
    }

    /// As [`Self::deliver`], for any output.
    pub(super) fn deliver_at(&mut self, index: usize, value: ValueId) -> Result<(), Refusal> {
        let declared = self.output_at(index)?;
        let (dtype, shape) = (tensor::dtype(declared)?, declared.shape);
        let quantization = tensor::quantization(declared)?;
        let made = self.value(value);
        if made.dtype != dtype || made.shape.elements() != shape.elements() {
            let (made_type, made_shape) = (made.dtype, made.shape);
            return Err(format!(
                "it makes {made_type} {made_shape} where the file declares {dtype} {shape}"
            )
            .into());
        }
        let same = made.shape == shape && made.quantization == quantization;
        let value = match same {
            true => value,
            false => self.push(Reshape { shape }, &[value], quantization)?,
        };
        self.bind_at(index, value)
    }

    /// Makes a value the output as it is.
    pub(super) fn bind(&mut self, value: ValueId) -> Result<(), Refusal> {
        self.bind_at(0, value)
    }

    fn bind_at(&mut self, index: usize, value: ValueId) -> Result<(), Refusal> {
        let name = self.output_at(index)?.name.clone();
        let graph = &mut self.importer.graph;
        let is_input = graph.inputs.iter().any(|port| port.value == value);
        if !is_input && graph.value(value).data.is_none() {
            graph.value_mut(value).name = name;
        }
        if let Some(&index) = self.operator.outputs.get(index) {
            self.importer.values.insert(index, value);
        }
        Ok(())
    }

    /// Elements of the output, where it may become a constant that the file does not hold.
    pub(super) fn constant_elements(&self) -> Result<usize, Refusal> {
        let shape = self.output()?.shape;
        let elements = shape.checked_elements().filter(|&n| n <= MOST_MADE);
        elements.ok_or_else(|| format!("its constant result would be {shape}").into())
    }

    /// A constant result.
    pub(super) fn finish_constant(&mut self, data: Data) -> Result<(), Refusal> {
        let declared = self.output()?;
        let (name, shape) = (declared.name.clone(), declared.shape);
        let quantization = tensor::quantization(declared)?;
        if data.dtype() != tensor::dtype(declared)? || data.len() != shape.elements() {
            return Err(format!("its constant result is not {shape}").into());
        }
        let value = self.importer.hold(name, shape, Held { data, quantization });
        self.bind(value)
    }
}

impl Call<'_, '_> {
    /// The quantization of a value whose integers the output has too. What the file declares for
    /// the output may differ in the last bits of the scale; anything more is refused.
    pub(super) fn shared_quantization(
        &self,
        input: ValueId,
    ) -> Result<Option<Quantization>, Refusal> {
        let quantization = self.value(input).quantization.clone();
        close(&quantization, &tensor::quantization(self.output()?)?)?;
        Ok(quantization)
    }

    /// Refuses values whose integers do not stand for the same numbers.
    pub(super) fn alike(&self, a: ValueId, b: ValueId) -> Result<(), Refusal> {
        close(&self.value(a).quantization, &self.value(b).quantization)
    }
}

fn close(a: &Option<Quantization>, b: &Option<Quantization>) -> Result<(), Refusal> {
    let alike = match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => {
            let apart = (a.scale(0) - b.scale(0)).abs();
            a.zero_point == b.zero_point && apart <= 1e-6 * a.scale(0).abs().max(1.0)
        }
        _ => false,
    };
    match alike {
        true => Ok(()),
        false => Err("its inputs and its output need one scale and zero point".into()),
    }
}

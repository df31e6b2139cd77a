//! TensorFlow Lite files: the schema, tensors, then one importer per operator.
//!
//! The integers of the file become the integers of the graph, and the rounding rule says how sums
//! become outputs: by default that of TensorFlow Lite Micro, which the runtime then equals bit for
//! bit, or for files of unsigned bytes that of LiteRT.

mod call;
mod flatbuffer;
mod ops;
mod schema;
mod tensor;
mod variables;

use crate::error::{Error, Problem, Unsupported};
use crate::{Format, Imported, Options};
use call::{Call, Refusal};
use flatbuffer::Buffer;
use format::fixed::Rounding;
use graph::{DType, Graph, Shape, Value, ValueId};
use schema::{Element, Model, Operator};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::Path;
use tensor::Held;
use variables::{Variables, is_declaration, live};

/// The version of the schema that is known, and the only one in use.
const SCHEMA: u32 = 3;

/// The bytes at place 4 that mark a TensorFlow Lite file.
const MARK: &[u8] = b"TFL3";

/// The names of the TensorFlow Lite operators that can be imported, sorted.
pub fn tflite_operators() -> impl Iterator<Item = &'static str> {
    ops::names()
}

/// Whether these bytes are those of a TensorFlow Lite file.
pub fn is_tflite(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(MARK)
}

/// Imports a TensorFlow Lite file.
pub fn tflite(path: &Path, options: &Options) -> Result<Imported, Error> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let bytes = std::fs::read(path).map_err(Problem::Read);
    let imported = bytes.and_then(|bytes| import(&name, &bytes, options));
    imported.map_err(|problem| Error {
        file: path.display().to_string(),
        problem,
    })
}

/// Imports a TensorFlow Lite model from memory under a name for the graph and for messages.
pub fn tflite_bytes(name: &str, bytes: &[u8], options: &Options) -> Result<Imported, Error> {
    import(name, bytes, options).map_err(|problem| Error {
        file: name.into(),
        problem,
    })
}

fn malformed(reason: String) -> Problem {
    Problem::MalformedTflite(reason)
}

fn import(name: &str, bytes: &[u8], options: &Options) -> Result<Imported, Problem> {
    if !is_tflite(bytes) {
        return Err(malformed("it does not carry the mark TFL3".into()));
    }
    let buffer = Buffer::new(bytes);
    let model = Model::read(&buffer).map_err(malformed)?;
    if model.version != SCHEMA {
        let version = model.version;
        return Err(malformed(format!("it has version {version} of the schema")));
    }
    let rounding = options.rounding.unwrap_or_else(|| rounding_of(&model));
    let (operators, outputs) = (model.operators.clone(), model.outputs.clone());
    let producer = model.description.clone();
    let mut importer = Importer {
        graph: Graph {
            name: name.into(),
            ..Graph::default()
        },
        notes: Vec::new(),
        values: HashMap::new(),
        rounding,
        buffer: &buffer,
        variables: Variables::of(&model)?,
        model,
    };
    importer.inputs(options)?;
    importer.operators(&operators)?;
    importer.outputs(&outputs)?;
    let Importer { graph, notes, .. } = importer;
    graph.verify()?;
    Ok(Imported {
        quantized: None,
        graph,
        format: Format::Tflite,
        opset: i64::from(SCHEMA),
        producer,
        source_hash: Sha256::digest(bytes).into(),
        notes,
        rounding,
    })
}

/// The rule by which a model rounds: that of TensorFlow Lite Micro, or of LiteRT where more than a conversion
/// of signed bytes makes unsigned ones, which the former takes no longer.
fn rounding_of(model: &Model<'_>) -> Rounding {
    let is = |index: usize, element: Element| {
        let tensor = model.tensors.get(index);
        tensor.is_some_and(|tensor| tensor.element == element && tensor.quantization.is_some())
    };
    let is_conversion = |operator: &Operator<'_>| {
        let from = operator.inputs.first().copied().flatten();
        ops::is_conversion(operator) && from.is_some_and(|index| is(index, Element::I8))
    };
    let computed = model
        .operators
        .iter()
        .filter(|operator| !is_conversion(operator));
    let mut made = computed.flat_map(|operator| operator.outputs.iter());
    match made.any(|&index| is(index, Element::U8)) {
        true => Rounding::Single,
        false => Rounding::Double,
    }
}

/// What the tensors of the file stand for so far. A tensor is missing where its operator was
/// refused.
struct Importer<'a> {
    graph: Graph,
    notes: Vec<String>,
    values: HashMap<usize, ValueId>,
    rounding: Rounding,
    buffer: &'a Buffer<'a>,
    variables: Variables,
    model: Model<'a>,
}

impl<'a> Importer<'a> {
    fn inputs(&mut self, options: &Options) -> Result<(), Problem> {
        let given = options.dims.keys().chain(options.shapes.keys()).next();
        if let Some(name) = given {
            let reason = "a TensorFlow Lite file fixes its shapes; leave out --dim and --shape";
            return Err(Problem::Input {
                input: name.clone(),
                reason: reason.into(),
            });
        }
        let mut has_open = false;
        let mut has_unsigned = false;
        for index in self.model.inputs.clone() {
            let tensor = &self.model.tensors[index];
            let input = tensor.name.clone();
            let refused = |refusal: Refusal| Problem::Input {
                input: input.clone(),
                reason: format!("{}; {}", refusal.reason, refusal.remedy),
            };
            let dtype = tensor::dtype(tensor).map_err(refused)?;
            let quantization = tensor::quantization(tensor).map_err(refused)?;
            if dtype == DType::U8 || tensor.shape.elements() == 0 {
                let reason = match dtype {
                    DType::U8 => "unsigned bytes without a scale; convert the model with one",
                    _ => "has no elements; convert the model with a fixed shape",
                };
                return Err(Problem::Input {
                    input,
                    reason: reason.into(),
                });
            }
            has_open |= !tensor.dynamic_axes.is_empty();
            has_unsigned |= tensor.element == schema::Element::U8;
            let id = self.graph.add_input(input, dtype, tensor.shape);
            self.graph.value_mut(id).quantization = quantization;
            self.values.insert(index, id);
        }
        if has_open {
            self.notes
                .push("the size of the batch is open, and is taken as 1".into());
        }
        if has_unsigned {
            self.notes
                .push("unsigned bytes are held as signed ones, 128 lower".into());
        }
        if self.model.further_graphs > 0 {
            let count = self.model.further_graphs;
            self.notes.push(format!(
                "{count} further graphs, of control flow, are left out"
            ));
        }
        Ok(())
    }

    fn operators(&mut self, operators: &[Operator<'a>]) -> Result<(), Problem> {
        let live = live(operators, &self.model.outputs, &self.variables);
        let is_unused = |(index, operator): &(usize, &Operator<'_>)| {
            live.binary_search(index).is_err() && !is_declaration(operator)
        };
        let unused = operators.iter().enumerate().filter(is_unused).count();
        if unused > 0 {
            self.notes.push(format!(
                "{unused} operators that no output needs are left out"
            ));
        }
        let mut refused = self.start(operators);
        for index in live {
            let operator = &operators[index];
            if let Err(refusal) = self.operator(operator) {
                refused.push(self.refused(operator, refusal));
            }
        }
        if refused.is_empty() {
            refused = self.assign();
        }
        match refused.is_empty() {
            true => Ok(()),
            false => Err(Problem::Unsupported(refused)),
        }
    }

    fn refused(&self, operator: &Operator<'_>, Refusal { reason, remedy }: Refusal) -> Unsupported {
        Unsupported {
            node: self.name(operator),
            operator: schema::operator_name(operator),
            reason,
            remedy,
        }
    }

    /// The name of an operator is that of its first output.
    fn name(&self, operator: &Operator<'_>) -> String {
        let tensor = operator
            .outputs
            .first()
            .map(|&index| &self.model.tensors[index]);
        tensor.map_or_else(String::new, |tensor| tensor.name.clone())
    }

    fn operator(&mut self, operator: &Operator<'a>) -> Result<(), Refusal> {
        let import = ops::find(operator)?;
        let read = ops::operands(operator);
        let is_missing = |&tensor: &usize| {
            let held = &self.model.tensors[tensor];
            !self.values.contains_key(&tensor) && held.content.is_empty()
        };
        let mut tensors = operator.inputs.iter().take(read).flatten().copied();
        if let Some(index) = tensors.find(is_missing) {
            let tensor = &self.model.tensors[index];
            if tensor.is_variable {
                let remedy = "models with state between runs cannot be imported from TFLite yet";
                let reason = format!("it keeps '{}' between runs", tensor.name);
                return Err(Refusal::new(reason, remedy));
            }
            // The operator that makes it was refused: this one cannot be judged.
            return Ok(());
        }
        let name = self.name(operator);
        let mut call = Call {
            importer: self,
            operator,
            name,
        };
        import(&mut call)
    }

    /// The value that a tensor is: made before, or constant.
    fn value(&mut self, index: usize) -> Result<ValueId, Refusal> {
        if let Some(&value) = self.values.get(&index) {
            return Ok(value);
        }
        let tensor = self.model.tensors.get(index).ok_or("a tensor is missing")?;
        if tensor.content.is_empty() {
            return Err(format!("nothing makes '{}' before it is read", tensor.name).into());
        }
        self.buffer.pay(tensor.content.len())?;
        let (name, shape) = (tensor.name.clone(), tensor.shape);
        let held = tensor::elements(tensor)?;
        let id = self.hold(name, shape, held);
        self.values.insert(index, id);
        Ok(id)
    }

    fn hold(&mut self, name: String, shape: Shape, held: Held) -> ValueId {
        self.graph.add_value(Value {
            name,
            dtype: held.data.dtype(),
            shape,
            quantization: held.quantization,
            data: Some(held.data),
        })
    }

    fn outputs(&mut self, outputs: &[usize]) -> Result<(), Problem> {
        for &index in outputs {
            let name = self.model.tensors[index].name.clone();
            let value = self.value(index);
            let value = value.map_err(|refusal| malformed(refusal.reason))?;
            self.graph.add_output(name, value);
        }
        match outputs.is_empty() {
            true => Err(malformed("it has no outputs".into())),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;

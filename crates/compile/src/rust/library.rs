//! The library's code: constants that describe it, and one call per node.

use super::constants::Constants;
use super::{Library, arena_bytes, element_type, nodes, real};
use crate::Error;
use format::meta::{Channel, Meta, Port, Preprocess};
use format::{DType, Model, Place, Shape, Tensor};
use runtime::host::Runner;
use std::fmt::Write;

/// A port of the model and the parameter of `run` for it.
struct Parameter<'a> {
    port: &'a Port,
    tensor: Tensor,
    name: String,
    element: &'static str,
}

impl Parameter<'_> {
    fn array(&self) -> String {
        format!("[{}; {}]", self.element, self.tensor.shape.elements())
    }
}

/// The file `lib.rs` of the library.
pub(super) fn write(
    model: &Model<'_>,
    placed: &Constants,
    meta: &Meta,
    library: &Library,
) -> Result<String, Error> {
    let inputs = parameters(&meta.inputs, "input", |index| model.input(index))?;
    let outputs = parameters(&meta.outputs, "output", |index| model.output(index))?;
    let state = initial_state(model)?;
    let mut code = introduction(&inputs, &outputs, library);
    code.push_str(&constants(model, placed, [&inputs, &outputs], &state));
    code.push_str(&structure(&state));
    code.push_str(&run(model, placed, [&inputs, &outputs])?);
    code.push_str(
        "}\n\nimpl Default for Model {\n    fn default() -> Self {\n        Self::new()\n    }\n}\n",
    );
    Ok(code)
}

fn parameters<'a>(
    ports: &'a [Port],
    kind: &str,
    tensor: impl Fn(usize) -> Option<Tensor>,
) -> Result<Vec<Parameter<'a>>, Error> {
    let one = |(index, port): (usize, &'a Port)| {
        let tensor = tensor(index).ok_or_else(|| Error::Refused(format!("{kind} {index}")))?;
        if tensor.place == Place::Constant {
            let name = &port.name;
            return Err(Error::Library(format!(
                "{kind} '{name}' is a constant, which takes no model to tell"
            )));
        }
        let name = match ports.len() {
            1 => kind.to_string(),
            _ => format!("{kind}_{index}"),
        };
        let element = element_type(tensor.dtype)?;
        Ok(Parameter {
            port,
            tensor,
            name,
            element,
        })
    };
    ports.iter().enumerate().map(one).collect()
}

/// What the state's memory holds before the first run.
fn initial_state(model: &Model<'_>) -> Result<Vec<u8>, Error> {
    let mut state = vec![0; model.state_bytes()];
    if state.is_empty() {
        return Ok(state);
    }
    let refused = |error: runtime::Error| Error::Refused(error.to_string());
    let mut runner = Runner::new(model.bytes()).map_err(refused)?;
    let session = runner.session().map_err(refused)?;
    let region = Tensor {
        dtype: DType::U8,
        place: Place::State,
        offset: 0,
        shape: Shape::new(&[state.len() as u32]).unwrap_or(Shape::SCALAR),
        scale: 0.0,
        zero_point: 0,
    };
    session.read(&region, &mut state);
    Ok(state)
}

fn introduction(inputs: &[Parameter<'_>], outputs: &[Parameter<'_>], library: &Library) -> String {
    let Library {
        name, source, tool, ..
    } = library;
    let source = source.escape_debug();
    let crate_name = name.replace('-', "_");
    let mut text = format!(
        "//! A model as a library, written by {tool} from `{source}`.\n//!\n\
         //! | | name | elements | shape | scale | zero point |\n//! |---|---|---|---|---|---|\n"
    );
    for parameter in inputs.iter().chain(outputs) {
        let Parameter {
            name,
            port,
            element,
            tensor,
        } = parameter;
        let quantization = match tensor.scale > 0.0 {
            true => format!("{:?} | {}", tensor.scale, tensor.zero_point),
            false => "| ".into(),
        };
        let port_name = port.name.escape_debug();
        let shape = tensor.shape.dims();
        let _ = writeln!(
            text,
            "//! | `{name}` | `{port_name}` | `{element}` | `{shape:?}` | {quantization} |"
        );
    }
    for parameter in inputs {
        if let Some(told) = preparation(&parameter.port.preprocess) {
            let _ = write!(
                text,
                "//!\n//! `{}` takes raw data as {told}.\n",
                parameter.name
            );
        }
    }
    text.push_str("//!\n//! ```\n");
    let _ = writeln!(text, "//! let mut model = {crate_name}::Model::new();");
    for output in outputs {
        let (name, zero) = (&output.name, zero(output));
        let _ = writeln!(text, "//! let mut {name} = {zero};");
    }
    let given: Vec<String> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| format!("&{}", example(input, index, &crate_name)))
        .chain(outputs.iter().map(|output| format!("&mut {}", output.name)))
        .collect();
    let _ = writeln!(text, "//! model.run({});", given.join(", "));
    text.push_str(
        "//! ```\n//!\n//! Build images with `lto = \"fat\"`: what the model does not use is then \
         not linked.\n#![no_std]\n#![forbid(unsafe_code)]\n\n#[rustfmt::skip]\nmod nodes;\n\n",
    );
    text
}

/// An array for an input: of a real number, where integers stand for such.
fn example(input: &Parameter<'_>, index: usize, crate_name: &str) -> String {
    let convert = match input.tensor.dtype {
        DType::I8 => "to_i8",
        DType::I16 => "to_i16",
        _ => return zero(input),
    };
    if input.tensor.scale > 0.0 {
        let elements = input.tensor.shape.elements();
        return format!("[{crate_name}::INPUTS[{index}].{convert}(0.5); {elements}]");
    }
    zero(input)
}

/// An array of zeros for a port.
fn zero(parameter: &Parameter<'_>) -> String {
    let zero = match parameter.element {
        "f32" => "0.0",
        _ => "0",
    };
    format!("[{zero}; {}]", parameter.tensor.shape.elements())
}

/// How raw data become a model's input; `None` where they are it.
fn preparation(preprocess: &Preprocess) -> Option<String> {
    let mut told = Vec::new();
    if let Some(channel) = preprocess.channel {
        told.push(match channel {
            Channel::One(index) => format!("channel {index} of sound with several"),
            Channel::Mix => "the mean of all channels of sound".to_string(),
        });
    }
    let plain = Preprocess {
        channel: preprocess.channel,
        ..Preprocess::default()
    };
    if *preprocess != plain {
        let per_channel = |values: &[f32], none: &str| match values {
            [] => none.to_string(),
            [one] => format!("{one:?}"),
            several => format!("{several:?} by channel"),
        };
        told.push(format!(
            "`(value * {:?} - {}) / {}`",
            preprocess.scale,
            per_channel(&preprocess.mean, "0"),
            per_channel(&preprocess.std, "1")
        ));
    }
    (!told.is_empty()).then(|| told.join(", then "))
}

fn constants(
    model: &Model<'_>,
    placed: &Constants,
    [inputs, outputs]: [&[Parameter<'_>]; 2],
    state: &[u8],
) -> String {
    let ops = match nodes::has_others(model) {
        true => "use runtime::ops;\n",
        false => "",
    };
    let mut text = format!("{ops}use runtime::program::{{self, Arena, Constants, Port}};\n\n");
    let _ = write!(
        text,
        "/// Bytes of RAM that a [`Model`] takes.\npub const ARENA_BYTES: usize = {};\n\n",
        arena_bytes(model)
    );
    text.push_str(&ports(
        "INPUTS",
        "The inputs of [`Model::run`], in order.",
        inputs,
    ));
    text.push_str(&ports(
        "OUTPUTS",
        "The outputs of [`Model::run`], in order.",
        outputs,
    ));
    let labels = outputs
        .first()
        .map_or(&[][..], |output| &output.port.labels);
    let _ = write!(
        text,
        "/// The names of the classes that the first output scores.\n\
         #[rustfmt::skip]\npub const LABELS: [&str; {}] = {labels:?};\n\n",
        labels.len()
    );
    if !state.is_empty() {
        let _ = write!(
            text,
            "/// What is kept between runs, before the first.\n\
             #[rustfmt::skip]\nstatic STATE: [u8; {}] = {state:?};\n\n",
            state.len()
        );
    }
    let _ = write!(
        text,
        "static CONSTANTS: Constants<{}> = Constants(*include_bytes!(\"constants.bin\"));\n\n",
        placed.shared.len()
    );
    if !placed.packed.is_empty() {
        let _ = write!(
            text,
            "/// Weights of convolutions for kernels that take them as they are.\n\
             static WEIGHTS: Constants<{}> = Constants(*include_bytes!(\"weights.bin\"));\n\n\
             /// The same for kernels that take them packed: a program has one of the two.\n\
             static PACKED: Constants<{}> = Constants(*include_bytes!(\"packed.bin\"));\n\n",
            placed.weights.len(),
            placed.packed.len()
        );
    }
    text
}

fn ports(name: &str, about: &str, parameters: &[Parameter<'_>]) -> String {
    let mut text = format!(
        "/// {about}\n#[rustfmt::skip]\npub const {name}: [Port; {}] = [\n",
        parameters.len()
    );
    for Parameter { port, tensor, .. } in parameters {
        let _ = write!(
            text,
            "    Port {{\n        name: {:?},\n        shape: &{:?},\n        scale: {},\n        \
             zero_point: {},\n    }},\n",
            port.name,
            tensor.shape.dims(),
            real(tensor.scale),
            tensor.zero_point
        );
    }
    text.push_str("];\n\n");
    text
}

/// The structure and its methods but `run`.
fn structure(state: &[u8]) -> String {
    let mut text = String::from(
        "/// The model's working memory.\n#[derive(Clone, Debug)]\npub struct Model {\n    \
         arena: Arena<ARENA_BYTES>,\n}\n\nimpl Model {\n",
    );
    let arena = if state.is_empty() {
        "Arena::new()"
    } else {
        "Arena::with_state(&STATE)"
    };
    let _ = write!(
        text,
        "    /// A model that has not run yet.\n    pub const fn new() -> Self {{\n        \
         Model {{\n            arena: {arena},\n        }}\n    }}\n\n"
    );
    if !state.is_empty() {
        text.push_str(
            "    /// Forgets earlier runs.\n    pub fn reset(&mut self) {\n        \
             program::write(self.arena.cells(), 0, &STATE);\n    }\n\n",
        );
    }
    text
}

fn run(
    model: &Model<'_>,
    placed: &Constants,
    [inputs, outputs]: [&[Parameter<'_>]; 2],
) -> Result<String, Error> {
    let taken = |parameter: &Parameter<'_>, kind: &str| {
        format!("{}: &{kind}{}", parameter.name, parameter.array())
    };
    let parameters: Vec<String> = inputs
        .iter()
        .map(|input| taken(input, ""))
        .chain(outputs.iter().map(|output| taken(output, "mut ")))
        .collect();
    let mut text = String::from("    /// Computes the outputs.\n    #[rustfmt::skip]\n");
    if parameters.len() > 6 {
        text.push_str("    #[allow(clippy::too_many_arguments)]\n");
    }
    let _ = writeln!(
        text,
        "    pub fn run(&mut self, {}) {{",
        parameters.join(", ")
    );
    text.push_str("        let (arena, constants) = (self.arena.cells(), &CONSTANTS.0);\n");
    for input in inputs {
        let (offset, name) = (input.tensor.offset, &input.name);
        let _ = writeln!(text, "        program::write(arena, {offset}, {name});");
    }
    for node in model.nodes() {
        let _ = writeln!(text, "        {}", nodes::call(&node, placed)?);
    }
    for output in outputs {
        let (offset, name) = (output.tensor.offset, &output.name);
        let _ = writeln!(text, "        program::read(arena, {offset}, {name});");
    }
    text.push_str("    }\n");
    Ok(text)
}

//! ONNX files: parse, order, inputs, then one importer per operator.

mod attributes;
mod call;
mod compose;
mod constant;
mod external;
mod inputs;
mod ops;
mod order;
mod spatial;
mod tensor;
#[cfg(test)]
mod testing;
mod typed;
mod wire;

use crate::error::{Error, Problem, Unsupported};
use crate::{Format, Imported, Options};
use attributes::Attributes;
use call::{Builder, Call, Item, Refusal};
use external::External;
use format::fixed::Rounding;
use rten_onnx::onnx::{GraphProto, ModelProto, NodeProto};
use runtime::host::Tensor;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// The versions of the operator set that are known.
const OPSETS: [i64; 2] = [1, 22];

/// The names of the ONNX operators that can be imported, sorted.
pub fn onnx_operators() -> impl Iterator<Item = &'static str> {
    ops::names()
}

/// The names of the operators of the domain com.microsoft that can be imported, sorted.
pub fn microsoft_operators() -> impl Iterator<Item = &'static str> {
    ops::microsoft_names()
}

/// Imports an ONNX file; external data is looked for in its folder.
pub fn onnx(path: &Path, options: &Options) -> Result<Imported, Error> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let bytes = std::fs::read(path).map_err(Problem::Read);
    let imported = bytes.and_then(|bytes| import(&name, &bytes, &External::beside(path), options));
    imported.map_err(|problem| Error {
        file: path.display().to_string(),
        problem,
    })
}

/// Reads a tensor in a file of its own, as ONNX's tests have them (`TensorProto`). Types narrower or
/// wider than the runtime's are converted as they are in a model.
pub fn onnx_tensor(bytes: &[u8]) -> Result<Tensor, Problem> {
    // As the only initializer (field 5) of the graph (field 7) of a model, it is read like one.
    let model = wire::field(7, &wire::field(5, bytes));
    wire::check(&model).map_err(Problem::Malformed)?;
    let model = ModelProto::parse_buf(&model).map_err(|e| Problem::Malformed(e.to_string()))?;
    let graph = model.graph.unwrap_or_default();
    let proto = graph.initializer.first();
    let proto = proto.ok_or_else(|| Problem::Malformed("there is no tensor in it".into()))?;
    tensor::read(proto, &External::none())
}

/// The names of a model's inputs in its own order, without those that are constants.
pub fn onnx_inputs(bytes: &[u8]) -> Result<Vec<String>, Problem> {
    wire::check(bytes).map_err(Problem::Malformed)?;
    let model = ModelProto::parse_buf(bytes).map_err(|e| Problem::Malformed(e.to_string()))?;
    let Some(graph) = model.graph else {
        return Ok(Vec::new());
    };
    let held: HashSet<_> = graph.initializer.iter().map(|proto| &proto.name).collect();
    let own = graph
        .input
        .iter()
        .filter(|input| !held.contains(&input.name));
    Ok(own.filter_map(|input| input.name.clone()).collect())
}

/// Imports an ONNX model from memory under a name for the graph and for messages; it may have
/// no external data.
pub fn onnx_bytes(name: &str, bytes: &[u8], options: &Options) -> Result<Imported, Error> {
    let imported = import(name, bytes, &External::none(), options);
    imported.map_err(|problem| Error {
        file: name.into(),
        problem,
    })
}

fn import(
    name: &str,
    bytes: &[u8],
    external: &External<'_>,
    options: &Options,
) -> Result<Imported, Problem> {
    wire::check(bytes).map_err(Problem::Malformed)?;
    let model = ModelProto::parse_buf(bytes).map_err(|e| Problem::Malformed(e.to_string()))?;
    let source = model.graph.as_ref();
    let source = source.ok_or_else(|| Problem::Malformed("there is no graph in it".into()))?;
    let opset = opset(&model)?;
    let mut importer = Importer {
        opset,
        names: HashMap::new(),
        builder: Builder::new(name.into()),
        quantized: None,
    };
    importer.constants(source, external)?;
    for (name, tensor) in inputs::constants(source, options)? {
        let item = importer.builder.constant(name.clone(), tensor);
        importer.names.insert(name, item);
    }
    importer.inputs(source, options)?;
    importer.nodes(source, external)?;
    importer.outputs(source)?;
    let has_integers = !importer.builder.quantized.is_empty();
    let Builder {
        mut graph, notes, ..
    } = importer.builder;
    graph.simulates_integers = has_integers;
    graph.verify()?;
    // Other executors round sums once.
    let rounding = match has_integers {
        true => options.rounding.unwrap_or(Rounding::Single),
        false => Rounding::High,
    };
    let words = [model.producer_name, model.producer_version];
    let words: Vec<String> = words
        .into_iter()
        .flatten()
        .filter(|word| !word.is_empty())
        .collect();
    let source_hash = Sha256::digest(bytes).into();
    Ok(Imported {
        graph,
        format: Format::Onnx,
        opset,
        producer: words.join(" "),
        source_hash,
        notes,
        rounding,
        quantized: importer.quantized,
    })
}

/// The version of the standard operator set.
fn opset(model: &ModelProto) -> Result<i64, Problem> {
    let standard = model
        .opset_import
        .iter()
        .find(|set| is_standard(set.domain.as_deref()));
    let Some(found) = standard.and_then(|set| set.version) else {
        return Err(Problem::Malformed(
            "it does not say which operator set it uses".into(),
        ));
    };
    if (OPSETS[0]..=OPSETS[1]).contains(&found) {
        Ok(found)
    } else {
        Err(Problem::Opset {
            found,
            supported: OPSETS,
        })
    }
}

/// Whether this names the standard operators.
fn is_standard(domain: Option<&str>) -> bool {
    matches!(domain, None | Some("" | "ai.onnx"))
}

/// What the names of the source stand for so far. A name is missing where its node was refused.
struct Importer {
    opset: i64,
    names: HashMap<String, Item>,
    builder: Builder,
    /// The first node that computes with quantized numbers.
    quantized: Option<String>,
}

impl Importer {
    fn constants(&mut self, source: &GraphProto, external: &External<'_>) -> Result<(), Problem> {
        for proto in &source.initializer {
            let name = proto.name.clone().unwrap_or_default();
            let item = self
                .builder
                .constant(name.clone(), tensor::read(proto, external)?);
            if self.names.insert(name.clone(), item).is_some() {
                return Err(Problem::Structure(format!(
                    "there are two constants '{name}'"
                )));
            }
        }
        Ok(())
    }

    fn inputs(&mut self, source: &GraphProto, options: &Options) -> Result<(), Problem> {
        let constants: HashSet<&str> = self.names.keys().map(String::as_str).collect();
        let inputs = inputs::read(source, &constants, options, &mut self.builder.notes)?;
        for inputs::Input { name, dtype, shape } in inputs {
            let constant = |name: &str| self.builder.tensor(*self.names.get(name)?);
            let quantization = ops::steps::input_quantization(source, &name, dtype, constant);
            let held = match &quantization {
                Some(_) => ops::steps::held_type(dtype),
                None => dtype,
            };
            let id = self.builder.graph.add_input(name.clone(), held, shape);
            let item = match quantization {
                Some(quantization) => {
                    self.builder.graph.value_mut(id).quantization = Some(quantization);
                    ops::steps::input(&mut self.builder, id, dtype)
                }
                None => Item::Value(id),
            };
            self.names.insert(name, item);
        }
        Ok(())
    }

    fn nodes(&mut self, source: &GraphProto, external: &External<'_>) -> Result<(), Problem> {
        let known = self.names.keys().map(String::as_str).collect();
        let nodes = order::live_nodes(source, &known)?;
        let quantized = nodes.iter().find(|node| ops::is_quantized(node));
        self.quantized = quantized.map(|node| order::node_name(node));
        let unused = source.node.len() - nodes.len();
        if unused > 0 {
            self.builder
                .notes
                .push(format!("{unused} nodes that no output needs are left out"));
        }
        let read = nodes.iter().flat_map(|node| node.input.iter());
        let outputs = source
            .output
            .iter()
            .filter_map(|output| output.name.as_ref());
        let read: HashSet<&str> = read.chain(outputs).map(String::as_str).collect();
        let mut refused = Vec::new();
        for node in nodes {
            if let Err(Refusal { reason, remedy }) = self.node(node, &read, external) {
                let operator = node.op_type.clone().unwrap_or_default();
                let node = order::node_name(node);
                refused.push(Unsupported {
                    node,
                    operator,
                    reason,
                    remedy,
                });
            }
        }
        if refused.is_empty() {
            Ok(())
        } else {
            Err(Problem::Unsupported(refused))
        }
    }

    fn node(
        &mut self,
        node: &NodeProto,
        read: &HashSet<&str>,
        external: &External<'_>,
    ) -> Result<(), Refusal> {
        if node.op_type.as_deref() == Some("If") && is_standard(node.domain.as_deref()) {
            return self.branch(node, read, external);
        }
        let import = ops::find(node, self.opset)?;
        let mut inputs = Vec::new();
        for name in &node.input {
            match self.names.get(name) {
                _ if name.is_empty() => inputs.push(None),
                Some(&item) => inputs.push(Some(item)),
                // The node that makes it was refused: this one cannot be judged.
                None => return Ok(()),
            }
        }
        let is_read = |name: &&String| read.contains(name.as_str()) && !name.is_empty();
        let mut call = Call {
            opset: self.opset,
            name: order::node_name(node),
            attributes: Attributes::of(node),
            inputs,
            outputs: node.output.len(),
            external,
            builder: &mut self.builder,
        };
        let items = ops::steps::import(node, import, &mut call)?;
        for (name, &item) in node.output.iter().zip(&items) {
            self.builder.name(item, name);
            self.names.insert(name.clone(), item);
        }
        match node.output.iter().skip(items.len()).find(is_read) {
            None => Ok(()),
            Some(name) => Err(format!("its further output '{name}' is not supported").into()),
        }
    }

    /// The branch of an If that a condition chooses, which must be constant: its nodes in place of it.
    fn branch(
        &mut self,
        node: &NodeProto,
        read: &HashSet<&str>,
        external: &External<'_>,
    ) -> Result<(), Refusal> {
        let Some(condition) = node.input.first() else {
            return Err("its condition is missing".into());
        };
        let Some(&condition) = self.names.get(condition) else {
            // The node that makes it was refused: this one cannot be judged.
            return Ok(());
        };
        let Some(holds) = self.builder.tensor(condition) else {
            let remedy = "export without control flow, or simplify the model with onnxsim";
            return Err(Refusal::new(
                "its condition is computed at run time",
                remedy,
            ));
        };
        let holds = holds.data.bytes().iter().any(|&byte| byte != 0);
        let name = if holds { "then_branch" } else { "else_branch" };
        let chosen = node
            .attribute
            .iter()
            .find(|a| a.name.as_deref() == Some(name));
        let graph = chosen.and_then(|a| a.g.as_ref());
        let graph = graph.ok_or_else(|| format!("its {name} is missing"))?;
        let constants = self.constants(graph, external);
        constants.map_err(|problem| problem.to_string())?;
        let outputs = || {
            graph
                .output
                .iter()
                .filter_map(|output| output.name.as_deref())
        };
        let inner = graph.node.iter().flat_map(|node| node.input.iter());
        let mut read = read.clone();
        read.extend(inner.map(String::as_str).chain(outputs()));
        for node in &graph.node {
            let refused = |refusal: Refusal| Refusal {
                reason: format!(
                    "node '{}' in its {name}: {}",
                    order::node_name(node),
                    refusal.reason
                ),
                ..refusal
            };
            self.node(node, &read, external).map_err(refused)?;
        }
        for (name, output) in node.output.iter().zip(outputs()) {
            if let Some(&item) = self.names.get(output) {
                self.builder.name(item, name);
                self.names.insert(name.clone(), item);
            }
        }
        Ok(())
    }

    fn outputs(&mut self, source: &GraphProto) -> Result<(), Problem> {
        for output in &source.output {
            let name = output.name.clone().unwrap_or_default();
            let Some(&item) = self.names.get(&name) else {
                return Err(Problem::Structure(format!(
                    "no node makes the output '{name}'"
                )));
            };
            let id = self.builder.value(item);
            self.builder.graph.add_output(name, id);
        }
        if ops::steps::has_moved_port(&self.builder) {
            let note = "unsigned bytes are held as signed ones, 128 lower";
            self.builder.notes.push(note.into());
        }
        if self.builder.graph.outputs.is_empty() {
            return Err(Problem::Structure("the model has no outputs".into()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

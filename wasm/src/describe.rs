//! A model's description as bytes for JavaScript: little-endian, in the order written here.
//!
//! Numbers are `u32`, `i32` or `f32`; texts and lists are a `u32` count and that many bytes or
//! items. `js/description.js` reads it.

use crate::loaded::Loaded;
use format::meta::{Manifest, Port};
use format::{Error, Reason, Tensor};
use kernels::Architecture;

/// Everything that a caller may ask about a model.
pub(crate) fn describe(loaded: &Loaded) -> Result<Vec<u8>, Error> {
    let model = loaded.model()?;
    let meta = loaded.meta();
    let mut writer = Writer::default();
    writer.text(Architecture::current().name());
    writer.count(model.bytes().len());
    writer.count(loaded.ram_bytes());
    writer.count(model.node_count());
    writer.count(meta.inputs.len());
    for (index, port) in meta.inputs.iter().enumerate() {
        writer.port(
            port,
            &model.input(index).ok_or(Error::new(Reason::Port, index))?,
        );
    }
    writer.count(meta.outputs.len());
    for (index, port) in meta.outputs.iter().enumerate() {
        writer.port(
            port,
            &model.output(index).ok_or(Error::new(Reason::Port, index))?,
        );
    }
    writer.manifest(&meta.manifest);
    Ok(writer.bytes)
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn count(&mut self, count: usize) {
        self.bytes.extend((count as u32).to_le_bytes());
    }

    fn float(&mut self, value: f32) {
        self.bytes.extend(value.to_le_bytes());
    }

    fn floats(&mut self, values: &[f32]) {
        self.count(values.len());
        values.iter().for_each(|&value| self.float(value));
    }

    fn blob(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.bytes.extend(bytes);
    }

    fn text(&mut self, text: &str) {
        self.blob(text.as_bytes());
    }

    fn port(&mut self, port: &Port, tensor: &Tensor) {
        self.text(&port.name);
        self.count(port.shape.len());
        port.shape.iter().for_each(|&dim| self.count(dim as usize));
        self.text(tensor.dtype.name());
        self.float(tensor.scale);
        self.bytes.extend(tensor.zero_point.to_le_bytes());
        self.float(port.preprocess.scale);
        self.floats(&port.preprocess.mean);
        self.floats(&port.preprocess.std);
        self.count(usize::from(port.preprocess.channels_first));
        self.count(port.labels.len());
        port.labels.iter().for_each(|label| self.text(label));
    }

    fn manifest(&mut self, manifest: &Manifest) {
        self.text(&manifest.tool);
        self.blob(&manifest.source_hash);
        self.blob(&manifest.data_hash);
        self.text(&manifest.recipe);
        self.count(manifest.figures.len());
        for (name, figure) in &manifest.figures {
            self.text(name);
            self.float(*figure);
        }
    }
}

//! Typed access to a node's attributes.

use rten_onnx::onnx::{AttributeProto, AttributeType, NodeProto, TensorProto};

/// The attributes of a node.
#[derive(Clone, Copy)]
pub(super) struct Attributes<'a> {
    node: &'a NodeProto,
}

impl<'a> Attributes<'a> {
    pub(super) fn of(node: &'a NodeProto) -> Self {
        Attributes { node }
    }

    fn find(&self, name: &str, kind: AttributeType) -> Result<Option<&'a AttributeProto>, String> {
        let found = self
            .node
            .attribute
            .iter()
            .find(|a| a.name.as_deref() == Some(name));
        let Some(attribute) = found else {
            return Ok(None);
        };
        match attribute.r#type {
            // Files of old versions leave the type out.
            None | Some(AttributeType::UNDEFINED) => Ok(Some(attribute)),
            Some(found) if found == kind => Ok(Some(attribute)),
            Some(_) => Err(format!("its attribute '{name}' is of the wrong type")),
        }
    }

    /// Whether the attribute is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.node
            .attribute
            .iter()
            .any(|a| a.name.as_deref() == Some(name))
    }

    /// A whole number.
    pub(super) fn int(&self, name: &str, default: i64) -> Result<i64, String> {
        // Writers may leave out a value that is zero.
        let found = self.find(name, AttributeType::INT)?;
        Ok(found.map_or(default, |a| a.i.unwrap_or(0)))
    }

    /// A whole number that is 0 or 1.
    pub(super) fn flag(&self, name: &str) -> Result<bool, String> {
        Ok(self.int(name, 0)? != 0)
    }

    /// A real number.
    pub(super) fn float(&self, name: &str, default: f32) -> Result<f32, String> {
        let found = self.find(name, AttributeType::FLOAT)?;
        Ok(found.map_or(default, |a| a.f.unwrap_or(0.0)))
    }

    /// Whole numbers, `None` where the attribute is left out.
    pub(super) fn ints(&self, name: &str) -> Result<Option<&'a [i64]>, String> {
        Ok(self
            .find(name, AttributeType::INTS)?
            .map(|a| a.ints.as_slice()))
    }

    /// Real numbers, `None` where the attribute is left out.
    pub(super) fn floats(&self, name: &str) -> Result<Option<&'a [f32]>, String> {
        Ok(self
            .find(name, AttributeType::FLOATS)?
            .map(|a| a.floats.as_slice()))
    }

    /// A word.
    pub(super) fn text(&self, name: &str, default: &'a str) -> Result<&'a str, String> {
        let found = self.find(name, AttributeType::STRING)?;
        Ok(found.map_or(default, |a| a.s.as_deref().unwrap_or("")))
    }

    /// Words, none where the attribute is left out.
    pub(super) fn texts(&self, name: &str) -> Result<&'a [String], String> {
        let found = self.find(name, AttributeType::STRINGS)?;
        Ok(found.map_or(&[], |a| a.strings.as_slice()))
    }

    /// A tensor.
    pub(super) fn tensor(&self, name: &str) -> Result<Option<&'a TensorProto>, String> {
        Ok(self
            .find(name, AttributeType::TENSOR)?
            .and_then(|a| a.t.as_ref()))
    }

    /// Whether any attribute is a graph.
    pub(super) fn has_graph(&self) -> bool {
        self.node
            .attribute
            .iter()
            .any(|a| a.g.is_some() || a.r#type == Some(AttributeType::GRAPH))
    }
}

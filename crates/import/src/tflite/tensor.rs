//! Types, quantization and elements of tensors in the graph's form: unsigned bytes become signed
//! ones, small floats become floats, half bytes become bytes.

use super::call::Refusal;
use super::schema::{Element, Tensor};
use graph::{DType, Data, Quantization};
use half::f16;

/// The elements of a constant, and what they stand for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Held {
    pub(super) data: Data,
    pub(super) quantization: Option<Quantization>,
}

/// The element type in the graph.
pub(super) fn dtype(tensor: &Tensor<'_>) -> Result<DType, Refusal> {
    Ok(match tensor.element {
        Element::F32 | Element::F16 => DType::F32,
        Element::I32 => DType::I32,
        Element::I64 => DType::I64,
        Element::Bool => DType::Bool,
        Element::I16 => DType::I16,
        Element::I8 | Element::I4 => DType::I8,
        Element::U8 if tensor.quantization.is_some() => DType::I8,
        Element::U8 => DType::U8,
        Element::Other(code) => {
            let name = &tensor.name;
            let reason = format!("tensor '{name}' has the element type {code}");
            return Err(Refusal::new(
                reason,
                "convert the model to int8, int16 or float",
            ));
        }
    })
}

/// What the integers of a tensor stand for. Unsigned bytes are moved by 128.
pub(super) fn quantization(tensor: &Tensor<'_>) -> Result<Option<Quantization>, Refusal> {
    let mut quantization = match dtype(tensor)? {
        DType::I8 | DType::I16 => tensor.quantization.clone(),
        // A bias is in units of its layer's sums, whatever scale is written beside it.
        _ => None,
    };
    if let Some(quantization) = &mut quantization {
        if tensor.element == Element::U8 {
            quantization.zero_point = quantization.zero_point.saturating_sub(128);
        }
        let zero = quantization.zero_point;
        if tensor.element == Element::I16 && zero != 0 {
            return Err(Refusal::new(
                format!("tensor '{}' is int16 around {zero}", tensor.name),
                "convert the model with int16 activations around zero",
            ));
        }
        if !(-128..=127).contains(&zero) {
            return Err(format!(
                "the zero point {zero} of tensor '{}' is out of range",
                tensor.name
            )
            .into());
        }
    }
    Ok(quantization)
}

/// The elements of a constant.
pub(super) fn elements(tensor: &Tensor<'_>) -> Result<Held, Refusal> {
    let bytes = tensor.content;
    let data = match tensor.element {
        Element::F16 => {
            let (pairs, _) = bytes.as_chunks::<2>();
            let values = pairs.iter().map(|pair| f16::from_le_bytes(*pair).to_f32());
            Data::F32(values.collect())
        }
        Element::I4 => Data::I8(half_bytes(bytes, tensor.shape.elements())),
        Element::U8 if tensor.quantization.is_some() => {
            Data::I8(bytes.iter().map(|byte| (byte ^ 0x80) as i8).collect())
        }
        _ => Data::from_bytes(dtype(tensor)?, bytes)?,
    };
    let packed = match tensor.element {
        Element::F16 => 2 * tensor.shape.elements(),
        Element::I4 => tensor.shape.elements().div_ceil(2),
        _ => data.dtype().bytes() * tensor.shape.elements(),
    };
    if packed != bytes.len() {
        let (name, shape) = (&tensor.name, tensor.shape);
        let reason = format!(
            "the {} bytes of tensor '{name}' are not {shape}",
            bytes.len()
        );
        return Err(Refusal::new(reason, "convert the model again"));
    }
    let quantization = quantization(tensor)?;
    Ok(Held { data, quantization })
}

/// Signed half bytes, the lower one first.
fn half_bytes(bytes: &[u8], count: usize) -> Vec<i8> {
    let halves = bytes
        .iter()
        .flat_map(|&byte| [(byte << 4) as i8 >> 4, byte as i8 >> 4]);
    halves.take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use graph::Shape;

    fn tensor(element: Element, dims: &[u32], content: &[u8]) -> Held {
        let tensor = Tensor {
            name: "t".into(),
            shape: Shape::new(dims).unwrap(),
            element,
            content,
            quantization: Some(Quantization::per_tensor(0.5, 130)),
            is_variable: false,
            dynamic_axes: Vec::new(),
        };
        match element {
            Element::U8 => elements(&tensor).unwrap(),
            _ => elements(&Tensor {
                quantization: None,
                ..tensor
            })
            .unwrap(),
        }
    }

    #[test]
    fn unsigned_bytes_move_by_128() {
        let held = tensor(Element::U8, &[3], &[0, 130, 255]);
        assert_eq!(held.data, Data::I8(vec![-128, 2, 127]));
        assert_eq!(held.quantization, Some(Quantization::per_tensor(0.5, 2)));
    }

    #[test]
    fn half_bytes_and_half_floats_widen() {
        let held = tensor(Element::I4, &[3], &[0xF1, 0x08]);
        assert_eq!(held.data, Data::I8(vec![1, -1, -8]));
        let held = tensor(Element::F16, &[2], &[0x00, 0x3C, 0x00, 0xC0]);
        assert_eq!(held.data, Data::F32(vec![1.0, -2.0]));
    }
}

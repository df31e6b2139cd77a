//! Pad with a constant: amounts are an attribute before operator set 11, then an operand.

use crate::onnx::call::{Call, Item, Refusal};
use crate::onnx::constant::to_f32;
use runtime::ops::pad::Pad;

/// Larger amounts are refused: the compact format has 16 bits.
const LARGEST: i64 = 65_535;

pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.float(0)?;
    let mode = call.attributes.text("mode", "constant")?;
    if mode != "constant" {
        return Err(format!("padding in mode '{mode}' is not supported").into());
    }
    let rank = call.shape(x).rank();
    let (pads, value) = if call.opset < 11 {
        let pads = call
            .attributes
            .ints("pads")?
            .ok_or("its pads are missing")?;
        (pads.to_vec(), call.attributes.float("value", 0.0)?)
    } else {
        let value = match call.optional_constant(2, "value")? {
            Some(tensor) => to_f32(&tensor.data).first().copied().unwrap_or(0.0),
            None => 0.0,
        };
        (call.required_constant(1, "pads")?.data.to_i64()?, value)
    };
    let axes: Vec<usize> = match call.optional_constant(3, "axes")? {
        Some(axes) => {
            let axes = axes.data.to_i64()?;
            axes.iter()
                .map(|&axis| call.axis(axis, rank))
                .collect::<Result<_, _>>()?
        }
        None => (0..rank).collect(),
    };
    if pads.len() != 2 * axes.len() || pads.iter().any(|pad| !(0..=LARGEST).contains(pad)) {
        let needs = format!("{} numbers from 0 to {LARGEST}", 2 * axes.len());
        return Err(format!("its pads are {pads:?}, but must be {needs}").into());
    }
    let mut amounts = vec![[0, 0]; rank];
    for (i, &axis) in axes.iter().enumerate() {
        amounts[axis] = [pads[i] as usize, pads[i + axes.len()] as usize];
    }
    if amounts.iter().all(|amount| *amount == [0, 0]) {
        return Ok(vec![x]);
    }
    Ok(vec![call.push(Pad { amounts, value }, &[x])?])
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, float, ints, text};

    const X: [f32; 2] = [1.0, 2.0];

    #[test]
    fn amounts_are_an_attribute_then_an_operand() {
        let old = vec![ints("pads", &[0, 1, 0, 0]), float("value", 9.0)];
        let old = Source::new(10).input(&[1, 2], &X).apply("Pad", old);
        assert_eq!(old.run(), ("1x3".into(), vec![9.0, 1.0, 2.0]));
        let new = Source::new(13)
            .input(&[1, 2], &X)
            .whole(&[1, 0, 0, 0])
            .constant(&[], &[9.0]);
        assert_eq!(
            new.apply("Pad", vec![]).run(),
            ("2x2".into(), vec![9.0, 9.0, 1.0, 2.0])
        );
        let axes = Source::new(18)
            .input(&[1, 2], &X)
            .whole(&[1, 1])
            .absent()
            .whole(&[-1]);
        assert_eq!(
            axes.apply("Pad", vec![]).run(),
            ("1x4".into(), vec![0.0, 1.0, 2.0, 0.0])
        );
        let none = Source::new(13)
            .input(&[1, 2], &X)
            .whole(&[0; 4])
            .apply("Pad", vec![]);
        assert!(none.operators().is_empty());
    }

    #[test]
    fn other_modes_and_cropping_are_refused() {
        let pad = || Source::new(13).input(&[1, 2], &X);
        let mirror = pad()
            .whole(&[0, 1, 0, 0])
            .apply("Pad", vec![text("mode", "reflect")]);
        assert!(mirror.refusal().contains("mode 'reflect'"));
        assert!(
            pad()
                .whole(&[0, -1, 0, 0])
                .apply("Pad", vec![])
                .refusal()
                .contains("from 0 to")
        );
        assert!(
            pad()
                .whole(&[0, 1])
                .apply("Pad", vec![])
                .refusal()
                .contains("4 numbers")
        );
    }
}

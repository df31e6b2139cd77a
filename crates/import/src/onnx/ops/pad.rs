//! Pad: amounts are an attribute before operator set 11, then an operand. A constant has an operator of
//! its own; other modes are tables of where elements come from.

use crate::onnx::call::{Call, Item, Refusal};
use crate::onnx::constant::to_f32;
use graph::DType;
use runtime::ops::pad::Pad;

/// Larger amounts are refused: the compact format has 16 bits.
const LARGEST: i64 = 65_535;

pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    let mode = call.attributes.text("mode", "constant")?;
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
    if mode != "constant" || call.dtype(x) != DType::F32 && value == 0.0 {
        return by_table(call, x, mode, &axes, &pads);
    }
    call.float(0)?;
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

/// Every axis by a table; negative amounts cut.
fn by_table(
    call: &mut Call<'_>,
    mut x: Item,
    mode: &str,
    axes: &[usize],
    pads: &[i64],
) -> Result<Vec<Item>, Refusal> {
    if pads.len() != 2 * axes.len() || pads.iter().any(|pad| pad.unsigned_abs() > LARGEST as u64) {
        let needs = format!("{} numbers up to {LARGEST}", 2 * axes.len());
        return Err(format!("its pads are {pads:?}, but must be {needs}").into());
    }
    for (i, &axis) in axes.iter().enumerate() {
        let (before, after) = (pads[i], pads[i + axes.len()]);
        if [before, after] == [0, 0] {
            continue;
        }
        let size = call.shape(x).dim(axis) as i64;
        let from = |at: i64| match mode {
            _ if (0..size).contains(&at) => Ok(at),
            // A place behind the end picks zero.
            "constant" => Ok(size),
            "edge" => Ok(at.clamp(0, size - 1)),
            "wrap" => Ok(at.rem_euclid(size)),
            "reflect" => {
                let period = (2 * (size - 1)).max(1);
                let along = at.rem_euclid(period);
                Ok(along.min(period - along).min(size - 1))
            }
            other => Err(Refusal::from(format!(
                "padding in mode '{other}' is not known"
            ))),
        };
        let table = (-before..size + after).map(|at| from(at).map(|at| at as i32));
        let table: Vec<i32> = table.collect::<Result<_, _>>()?;
        if table.is_empty() {
            return Err("it leaves nothing".into());
        }
        x = call.picked(x, axis, table)?;
    }
    Ok(vec![x])
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
    fn the_image_goes_on() {
        let padded = |mode| {
            let source = Source::new(19).input(&[3], &[1.0, 2.0, 3.0]).whole(&[2, 1]);
            source.apply("Pad", vec![text("mode", mode)]).run().1
        };
        assert_eq!(padded("edge"), [1.0, 1.0, 1.0, 2.0, 3.0, 3.0]);
        assert_eq!(padded("reflect"), [3.0, 2.0, 1.0, 2.0, 3.0, 2.0]);
        assert_eq!(padded("wrap"), [2.0, 3.0, 1.0, 2.0, 3.0, 1.0]);
    }

    #[test]
    fn other_modes_and_cropping_are_refused() {
        let pad = || Source::new(13).input(&[1, 2], &X);
        let unknown = pad()
            .whole(&[0, 1, 0, 0])
            .apply("Pad", vec![text("mode", "symmetric")]);
        assert!(unknown.refusal().contains("mode 'symmetric'"));
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

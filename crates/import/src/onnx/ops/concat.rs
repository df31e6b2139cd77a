//! Concat, of constants too.

use crate::onnx::call::{Call, Item, Refusal, sizes, to_shape};
use crate::onnx::constant::select;
use crate::sizes::problem;
use graph::Data;
use runtime::host::Tensor;
use runtime::ops::concat::Concat;
use std::rc::Rc;

pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let parts: Result<Vec<Item>, _> = (0..call.inputs.len()).map(|i| call.required(i)).collect();
    let parts = parts?;
    let &first = parts.first().ok_or("it has no inputs")?;
    let axis = call.attributes.int("axis", 1)?;
    let axis = call.axis(axis, call.shape(first).rank())?;
    check_parts(call, &parts, axis)?;
    let tensors: Option<Vec<Rc<Tensor>>> = parts.iter().map(|&part| call.tensor(part)).collect();
    if let Some(tensors) = tensors {
        return Ok(vec![fold(call, &tensors, axis)?]);
    }
    let filled: Vec<Item> = parts
        .into_iter()
        .filter(|&part| call.shape(part).elements() > 0)
        .collect();
    match filled[..] {
        [only] => Ok(vec![only]),
        _ => Ok(vec![call.push(Concat { axis }, &filled)?]),
    }
}

/// Shapes and types that join, of a size that can be computed.
fn check_parts(call: &Call<'_>, parts: &[Item], axis: usize) -> Result<(), Refusal> {
    let first = call.shape(parts[0]);
    let mut joined = sizes(&first);
    joined[axis] = 0;
    for &part in parts {
        let shape = call.shape(part);
        let fits = shape.rank() == first.rank()
            && (0..first.rank()).all(|a| a == axis || shape.dim(a) == first.dim(a));
        if !fits || call.dtype(part) != call.dtype(parts[0]) {
            return Err(format!("{shape} does not join {first} along axis {axis}").into());
        }
        joined[axis] += shape.dim(axis);
    }
    let shape = to_shape(&joined)?;
    // What is empty is joined like anything else.
    match problem(&shape).filter(|_| shape.elements() > 0) {
        Some(problem) => Err(format!("its result of {problem}").into()),
        None => Ok(()),
    }
}

fn fold(call: &mut Call<'_>, tensors: &[Rc<Tensor>], axis: usize) -> Result<Item, Refusal> {
    let mut dims = sizes(&tensors[0].shape);
    dims[axis] = tensors.iter().map(|tensor| tensor.shape.dim(axis)).sum();
    let shape = to_shape(&dims)?;
    call.afford(&shape)?;
    // All parts one behind the other, then rows picked from them in turn.
    let mut bytes = Vec::new();
    let mut starts = Vec::new();
    let mut elements = 0;
    for tensor in tensors {
        starts.push(elements);
        elements += tensor.data.len();
        bytes.extend_from_slice(tensor.data.bytes());
    }
    let all = Data::from_bytes(tensors[0].data.dtype(), &bytes)?;
    let outer: usize = dims[..axis].iter().product();
    let rows = (0..outer).flat_map(|row| {
        let starts = starts.iter().zip(tensors);
        starts.flat_map(move |(&start, tensor)| {
            let length = tensor.data.len() / outer;
            start + row * length..start + (row + 1) * length
        })
    });
    let data = select(&all, rows);
    Ok(call.rearranged(call.name.clone(), Tensor { shape, data }))
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, int};

    #[test]
    fn parts_are_joined() {
        let parts = Source::new(13)
            .input(&[2, 1], &[1.0, 4.0])
            .input(&[2, 2], &[2.0, 3.0, 5.0, 6.0]);
        let joined = parts.apply("Concat", vec![int("axis", -1)]);
        assert_eq!(
            joined.run(),
            ("2x3".into(), vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        );
    }

    #[test]
    fn constants_are_folded_and_empty_parts_vanish() {
        let parts = Source::new(13)
            .whole_of(&[2, 1], &[1, 4])
            .whole_of(&[2, 2], &[2, 3, 5, 6]);
        let folded = parts.apply("Concat", vec![int("axis", 1)]).folded();
        assert_eq!(folded, ("2x3".into(), vec![1, 2, 3, 4, 5, 6]));
        let empty = Source::new(13).constant(&[0], &[]).input(&[2], &[1.0, 2.0]);
        let empty = empty.apply("Concat", vec![int("axis", 0)]);
        assert!(empty.operators().is_empty());
        assert_eq!(empty.run().1, [1.0, 2.0]);
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let parts = Source::new(13)
            .input(&[2], &[1.0, 2.0])
            .input(&[1, 1], &[1.0]);
        assert!(
            parts
                .apply("Concat", vec![int("axis", 0)])
                .refusal()
                .contains("does not join")
        );
    }
}

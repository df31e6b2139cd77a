//! Transpose: reverses the axes where `perm` is left out.

use crate::onnx::call::{Call, Item, Refusal};

pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    let rank = call.shape(x).rank();
    let axes = match call.attributes.ints("perm")? {
        None => (0..rank).rev().collect(),
        Some(perm) => {
            let axes: Result<Vec<usize>, _> =
                perm.iter().map(|&axis| call.axis(axis, rank)).collect();
            axes?
        }
    };
    let mut sorted = axes.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..rank) {
        return Err(format!("{axes:?} does not permute {rank} axes").into());
    }
    Ok(vec![call.transpose(x, axes)?])
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, ints};

    #[test]
    fn axes_are_reversed_or_named() {
        let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let reversed = Source::new(13)
            .input(&[1, 2, 3], &x)
            .apply("Transpose", vec![]);
        assert_eq!(
            reversed.run(),
            ("3x2x1".into(), vec![1.0, 4.0, 2.0, 5.0, 3.0, 6.0])
        );
        let named = Source::new(13).input(&[1, 2, 3], &x);
        let named = named.apply("Transpose", vec![ints("perm", &[1, 0, 2])]);
        assert_eq!(named.run(), ("2x1x3".into(), x.to_vec()));
    }

    #[test]
    fn axes_must_permute() {
        for perm in [vec![0, 0], vec![0], vec![0, 2]] {
            let source = Source::new(13).input(&[2, 1], &[1.0, 2.0]);
            let refusal = source
                .apply("Transpose", vec![ints("perm", &perm)])
                .refusal();
            assert!(refusal.contains("does not permute") || refusal.contains("no axis"));
        }
    }
}

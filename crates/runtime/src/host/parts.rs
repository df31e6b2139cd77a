//! Weights of more than 8 bits as sums of several of int8 that all see the same input: exact, for as many more
//! multiplications. Unsigned bytes less a number in their middle need 9 bits.

use std::vec::Vec;

/// How many int8 the largest of some weights are the sum of.
pub fn weight_parts(weights: &[i32]) -> usize {
    let parts = |&weight: &i32| {
        let most = if weight < 0 { 128 } else { 127 };
        weight.unsigned_abs().div_ceil(most).max(1) as usize
    };
    weights.iter().map(parts).max().unwrap_or(1)
}

/// Rows of weights, each followed by what did not fit the one before.
pub fn split_weights(weights: &[i32], row: usize, parts: usize) -> Vec<i8> {
    let mut split = Vec::with_capacity(weights.len() * parts);
    for row in weights.chunks(row.max(1)) {
        let mut rest = row.to_vec();
        for _ in 0..parts {
            for weight in &mut rest {
                let part = (*weight).clamp(-128, 127);
                *weight -= part;
                split.push(part as i8);
            }
        }
    }
    split
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up() {
        assert_eq!(
            [0, 127, -128, 128, -129, 254, 255].map(|weight| weight_parts(&[0, weight])),
            [1, 1, 1, 2, 2, 2, 3]
        );
        let parts = split_weights(&[200, -130, 5, -1], 2, 2);
        assert_eq!(parts, [127, -128, 73, -2, 5, -1, 0, 0]);
    }
}

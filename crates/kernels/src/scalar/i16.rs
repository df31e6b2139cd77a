//! int16 loops in plain Rust.

pub(crate) use super::integer::conv_2d;
use crate::{AddI16, LineI16};

/// See [`crate::i16::add`].
pub(crate) fn add(operands: &AddI16<'_>) {
    let [low, high] = operands.limits.map(i64::from);
    let factors = operands.factors.map(i64::from);
    for (i, cell) in operands.output.iter().enumerate() {
        let [a, b] = operands.inputs.map(|input| i64::from(input.get(i)));
        let sum = a * factors[0] + b * factors[1] + operands.offset;
        cell.set((sum >> operands.shift).clamp(low, high) as i16);
    }
}

/// See [`crate::i16::lookup`].
pub(crate) fn lookup(operands: &LineI16<'_>) {
    for (i, cell) in operands.output.iter().enumerate() {
        cell.set(interpolated(operands.table, operands.input.get(i)));
    }
}

/// See [`crate::i16::interpolated`].
#[inline(always)]
pub(crate) fn interpolated(table: &[i16], input: i16) -> i16 {
    let point = |index: usize| i32::from(table.get(index).copied().unwrap_or(0));
    let at = i32::from(input) + 32_768;
    let (index, between) = ((at >> 7) as usize, at & 127);
    let (from, to) = (point(index), point(index + 1));
    (from + (((to - from) * between + 64) >> 7)) as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::In;
    use core::cell::Cell;

    /// A table of the identity gives back every input but the largest, above which the last
    /// point cannot be written.
    #[test]
    fn lines_between_the_points_of_a_table() {
        let table: std::vec::Vec<i16> = (0..513)
            .map(|i| (i * 128 - 32_768).min(32_767) as i16)
            .collect();
        let input = [-32_768i16, -32_767, -1, 0, 1, 127, 128, 32_767];
        let mut output = [0i16; 8];
        let cells = Cell::from_mut(&mut output[..]).as_slice_of_cells();
        lookup(&LineI16 {
            input: In::from_slice(&input),
            output: cells,
            table: &table,
        });
        assert_eq!(output, input.map(|v| v.min(32_766)));
    }

    #[test]
    fn sums_round_halves_up_and_saturate() {
        let (a, b) = ([3i16, -3, 32_767], [0i16, 0, 32_767]);
        let mut output = [0i16; 3];
        let cells = Cell::from_mut(&mut output[..]).as_slice_of_cells();
        add(&AddI16 {
            inputs: [In::from_slice(&a), In::from_slice(&b)],
            output: cells,
            factors: [1 << 29, 1 << 29],
            offset: 1 << 29,
            shift: 30,
            limits: [-32_768, 32_767],
        });
        assert_eq!(output, [2, -1, 32_767]);
    }
}

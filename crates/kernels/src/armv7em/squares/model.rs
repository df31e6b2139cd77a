//! What the loops in assembly compute, in plain Rust: for tests of all round them on a host.

use super::{COLUMNS, Inputs, Products};
use crate::armv7em::dsp::{multiply_add, widen_even, widen_odd};
use crate::armv7em::finish::{Rule, high_output, wide_output};
use crate::armv7em::packing::{BLOCK, TOGETHER};
use crate::squares::{REACH, SIDE};

/// The halves of two words, added or subtracted.
fn halves(a: u32, b: u32, combine: fn(i16, i16) -> i16) -> u32 {
    let lower = combine(a as i16, b as i16) as u16;
    let upper = combine((a >> 16) as i16, (b >> 16) as i16) as u16;
    u32::from(lower) | u32::from(upper) << 16
}

/// The numbers of a row or a column, in the order 3, 2, 0, 1. The last is the negative of what it is
/// in the papers.
fn four([a, b, c, d]: [u32; REACH]) -> [u32; REACH] {
    let minus = |a, b| halves(a, b, i16::wrapping_sub);
    let plus = |a, b| halves(a, b, i16::wrapping_add);
    [minus(d, b), minus(c, b), minus(a, c), plus(b, c)]
}

/// Transforms all channels of the pixels under two squares.
///
/// # Safety
///
/// Pixels are readable, and `to` is writable for all numbers of all channels.
pub(super) unsafe fn transform(inputs: &Inputs) {
    for pair in 0..inputs.channels / 2 {
        let widen = [widen_even, widen_odd][pair % 2];
        let mut columns = [[0; REACH]; COLUMNS];
        for (column, pixels) in columns.iter_mut().zip(inputs.pixels.chunks_exact(REACH)) {
            for (number, pixel) in column.iter_mut().zip(pixels) {
                // SAFETY: channels are a multiple of four.
                let word = unsafe { pixel.add(pair / 2 * 4).cast::<u32>().read_unaligned() };
                *number = widen(word);
            }
            *column = four(*column);
        }
        for (row, square) in (0..REACH).flat_map(|row| (0..TOGETHER).map(move |i| (row, i))) {
            let [three, two, zero, one] = four([0, 1, 2, 3].map(|i| columns[square * 2 + i][row]));
            for (i, number) in [one, two, zero, three].into_iter().enumerate() {
                // SAFETY: there are 16 numbers, each with a word for every pair and square.
                unsafe {
                    let place = inputs.to.byte_add((row * REACH + i) * inputs.number_bytes);
                    place.add(pair * TOGETHER + square).write(number);
                }
            }
        }
    }
}

/// All channels of two squares.
///
/// # Safety
///
/// All that `task` points to has the sizes that it tells.
pub(super) unsafe fn products(task: &mut Products) {
    // SAFETY: the caller's promise.
    unsafe { products_by(task, Rule::High) }
}

/// As [`products`], with [`Rule::Single`].
///
/// # Safety
///
/// As there.
pub(super) unsafe fn products_single(task: &mut Products) {
    // SAFETY: the caller's promise.
    unsafe { products_by(task, Rule::Single) }
}

/// As [`products`], with [`Rule::Double`].
///
/// # Safety
///
/// As there.
pub(super) unsafe fn products_double(task: &mut Products) {
    // SAFETY: the caller's promise.
    unsafe { products_by(task, Rule::Double) }
}

/// # Safety
///
/// As [`products`], with records of the rule.
unsafe fn products_by(task: &mut Products, rule: Rule) {
    for block in 0..task.channels / BLOCK {
        // SAFETY: the caller's promise.
        unsafe {
            column_sums(task, block);
            for i in 0..BLOCK {
                // As in the loops: pixels that there are not are overwritten.
                for square in (0..TOGETHER).rev() {
                    let sums = row_sums(task, square * BLOCK + i);
                    for (pixel, sum) in sums.into_iter().enumerate().rev() {
                        let channel = block * BLOCK + i;
                        let value = finish(task, rule, channel, sum);
                        let output = task.outputs[square * 4 + pixel];
                        output.add(channel).write(value);
                    }
                }
            }
        }
    }
}

/// Four times the sums of a square's pixels, divided: from the sums of its columns.
///
/// # Safety
///
/// As [`products`]; the sums of the block are there.
unsafe fn row_sums(task: &Products, at: usize) -> [i32; 4] {
    // SAFETY: the caller's promise.
    let sum = |row: usize, column: usize| unsafe {
        let words = SIDE * TOGETHER * BLOCK;
        task.sums
            .add(row * words + column * TOGETHER * BLOCK + at)
            .read()
    };
    [0, 1, 2, 3].map(|pixel| {
        let column = pixel % 2;
        let (one, two) = (sum(3, column), sum(1, column));
        let four = match pixel / 2 {
            0 => one.wrapping_add(two).wrapping_add(sum(2, column)),
            _ => one.wrapping_sub(two).wrapping_add(sum(0, column)),
        };
        four >> 2
    })
}

/// Sums of products for four channels of two squares: of each row of numbers, two columns.
///
/// # Safety
///
/// As [`products`].
unsafe fn column_sums(task: &Products, block: usize) {
    let pairs = task.number_bytes / 4 / TOGETHER;
    for row in 0..REACH {
        for at in 0..TOGETHER * BLOCK {
            let (square, channel) = (at / BLOCK, at % BLOCK);
            let product = |i: usize| {
                let number = row * REACH + i;
                let pair = |pair: usize| {
                    let input = (number * pairs + pair) * TOGETHER + square;
                    let weight = ((block * REACH * REACH + number) * pairs + pair) * BLOCK;
                    // SAFETY: the caller's promise.
                    unsafe {
                        (
                            task.inputs.add(input).read(),
                            task.weights.add(weight + channel).read(),
                        )
                    }
                };
                (0..pairs).fold(0, |sum, i| {
                    let (input, weight) = pair(i);
                    multiply_add(input, weight, sum)
                })
            };
            let [one, two, zero, three] = [0, 1, 2, 3].map(product);
            let columns = [
                one.wrapping_add(two).wrapping_add(zero),
                one.wrapping_sub(two).wrapping_add(three),
            ];
            for (column, sum) in columns.into_iter().enumerate() {
                // SAFETY: there is room for two columns of every row.
                unsafe {
                    task.sums
                        .add((row * 2 + column) * TOGETHER * BLOCK + at)
                        .write(sum);
                }
            }
        }
    }
}

/// The output of a channel for its sum without bias.
///
/// # Safety
///
/// As [`products`]; the channel exists.
unsafe fn finish(task: &Products, rule: Rule, channel: usize, sum: i32) -> i8 {
    let limits = match task.is_limited {
        0 => [128, 127],
        _ => [task.low, task.high],
    };
    // SAFETY: the caller's promise.
    let first = unsafe { task.records.add(channel * rule.record_words()) };
    match rule {
        Rule::High => {
            // SAFETY: as above.
            let record = unsafe { first.read() };
            let bias = ((record as i32) >> 12) << task.bias_shift;
            let multiplier = (record & 0xFFF) << task.multiplier_shift;
            high_output(sum.wrapping_add(bias), multiplier, task.zero_point, limits)
        }
        Rule::Single | Rule::Double => {
            // SAFETY: as above.
            let record = unsafe { first.cast::<[u32; 3]>().read() };
            let sum = sum.wrapping_add(record[0] as i32);
            wide_output(rule, sum, record, task.zero_point, limits)
        }
    }
}

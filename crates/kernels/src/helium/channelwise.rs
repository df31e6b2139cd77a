//! Which pixels the depthwise loop sees.

use super::convolve::{Checked, Roundings, inside};
use super::copy::{helium_copy_rows, helium_fill};
use super::depthwise::{Depthwise, Rule, helium_depthwise};
use super::parameters::{helium_double_parameters, helium_high_parameters};
use super::plan::{BLOCK, WORDS_MAX, block_bytes, table_bytes, zeros_bytes};
use crate::Channels;
use crate::scalar::{position, taps_inside};
use core::ops::Range;

/// Every output, row by row: pixels whose windows are inside the image together, others alone.
#[inline(never)]
pub(super) fn depthwise<const RULES: u8>(checked: &Checked<'_>) {
    let geometry = &checked.operands.geometry;
    let [rows, columns, channels] = geometry.output;
    let zero_point = i32::from(checked.operands.input_zero_point);
    let rule = match checked.operands.channels {
        Channels::High(_) => Rule::High,
        channels => match Roundings::of::<RULES>(channels, &checked.operands.requantize) {
            Some(Roundings::One) => Rule::Single,
            Some(Roundings::Two) => Rule::Double,
            None => Rule::Raw,
        },
    };
    // SAFETY: behind the table there is room for a pixel, and there are channels; behind those
    // there is room for the blocks.
    let (zeros, blocks) = unsafe {
        let zeros = checked.scratch.add(table_bytes(geometry));
        helium_fill(zeros, zero_point, channels);
        let blocks = zeros.add(zeros_bytes(geometry));
        write_blocks(checked, rule, blocks);
        (zeros.cast_const(), blocks.cast_const())
    };
    let requantize = &checked.operands.requantize;
    let mut strip = Depthwise {
        table: checked.scratch.cast_const().cast(),
        taps: geometry.taps(),
        blocks,
        outputs: channels,
        zero_point: i32::from(requantize.zero_point),
        min: i32::from(requantize.min),
        max: i32::from(requantize.max),
        to: checked.operands.output.as_ptr().cast_mut().cast(),
        pixels: 0,
        step: geometry.window.stride[1] * channels,
        offset: 0,
        rule,
    };
    let inside = inside(geometry);
    for y in 0..rows {
        let tap_rows = taps_inside(geometry, 0, y);
        let whole = tap_rows.len() == geometry.window.kernel[0];
        let mut x = 0;
        while x < columns {
            let pixels = match whole && inside.contains(&x) {
                true => inside.end - x,
                false => 1,
            };
            fill_table(checked, [y, x], &tap_rows, zeros);
            strip.pixels = pixels;
            match rule {
                // SAFETY: the table's addresses have `channels` elements each, those of the next
                // pixels too where there are some; the rest was compared with the geometry.
                Rule::High | Rule::Single | Rule::Double => unsafe { helium_depthwise(&mut strip) },
                Rule::Raw => (0..pixels).for_each(|pixel| wide(checked, &strip, pixel)),
            }
            strip.to = strip.to.wrapping_add(pixels * channels);
            x += pixels;
        }
    }
}

/// Channels of the next block, where `left` have none yet.
fn block_channels(left: usize) -> usize {
    if left >= BLOCK { BLOCK } else { BLOCK / 2 }
}

/// Writes the blocks of all channels; those of channels that there are not have any weights.
///
/// # Safety
///
/// `to` has room for them, aligned to words.
unsafe fn write_blocks(checked: &Checked<'_>, rule: Rule, mut to: *mut i8) {
    let geometry = &checked.operands.geometry;
    let (channels, taps) = (geometry.output[2], geometry.taps());
    let mut first = 0;
    while first < channels {
        let width = block_channels(channels - first);
        let some = width.min(channels - first);
        let (biases, weights): (*mut i32, _) = (to.cast(), to.wrapping_add(width * 4));
        let multipliers: *mut i32 = weights.wrapping_add(width * taps).cast();
        for eight in (0..width).step_by(8) {
            // SAFETY: a block has `width` biases and multipliers, and shifts where the rule has
            // them; the channels of a whole eight exist.
            unsafe {
                let places = [
                    biases.add(eight),
                    multipliers.add(eight),
                    multipliers.wrapping_add(width + eight),
                ];
                match some >= eight + 8 {
                    true => write_eight(checked, rule, first + eight, places),
                    false => write_some(checked, rule, first + eight, places),
                }
            }
        }
        // SAFETY: every tap has weights for `some` channels from `first` on, and a block has room
        // for `width` of each.
        unsafe {
            let from = checked.operands.weights.as_ptr().add(first);
            helium_copy_rows(weights, from, some, width, channels, taps);
        }
        to = to.wrapping_add(block_bytes(geometry, width, words(rule)));
        first += some;
    }
}

/// Writes biases, multipliers and shifts of eight channels.
///
/// # Safety
///
/// The channels exist, and places for eight words of each kind that the rule has.
unsafe fn write_eight(checked: &Checked<'_>, rule: Rule, channel: usize, places: [*mut i32; 3]) {
    let [biases, multipliers, shifts] = places;
    let requantize = &checked.operands.requantize;
    // SAFETY: as the caller promises.
    unsafe {
        match (rule, checked.operands.channels) {
            (Rule::High, Channels::High(words)) => helium_high_parameters(
                biases,
                multipliers,
                words.as_ptr().add(channel),
                i32::from(requantize.bias_shift),
                i32::from(requantize.multiplier_shift) - 20,
            ),
            (Rule::Single | Rule::Double, Channels::Wide(words)) => {
                let records = words.as_ptr().add(channel * 3);
                helium_double_parameters(biases, multipliers, records, shifts);
            }
            _ => write_some(checked, rule, channel, places),
        }
    }
}

/// As [`write_eight`], where some channels do not exist or have no parameters.
///
/// # Safety
///
/// There are places for eight words of each kind that the rule has.
unsafe fn write_some(checked: &Checked<'_>, rule: Rule, channel: usize, places: [*mut i32; 3]) {
    let [biases, multipliers, shifts] = places;
    for (place, i) in [0, 2, 4, 6, 1, 3, 5, 7].into_iter().enumerate() {
        let [bias, multiplier, shift] = parameters(checked, rule, channel + i);
        // SAFETY: as the caller promises.
        unsafe {
            biases.add(place).write(bias);
            multipliers.add(place).write(multiplier);
            if matches!(rule, Rule::Single | Rule::Double) {
                shifts.add(place).write(shift);
            }
        }
    }
}

/// Words of a channel's parameters in a block.
fn words(rule: Rule) -> usize {
    match rule {
        Rule::Single | Rule::Double => WORDS_MAX,
        Rule::High | Rule::Raw => WORDS_MAX - 1,
    }
}

/// Bias, multiplier and shift of a channel, where the rule needs them; zeros elsewhere.
fn parameters(checked: &Checked<'_>, rule: Rule, channel: usize) -> [i32; 3] {
    let requantize = &checked.operands.requantize;
    match (rule, checked.operands.channels) {
        (Rule::High, Channels::High(words)) => {
            let word = words.get(channel).copied().unwrap_or(0);
            let multiplier = (word & 0xFFF) << requantize.multiplier_shift;
            [
                ((word as i32) >> 12) << requantize.bias_shift,
                multiplier as i32,
                0,
            ]
        }
        (Rule::Single | Rule::Double, Channels::Wide(words)) => {
            match words.get(channel * 3..channel * 3 + 3) {
                Some(&[bias, multiplier, shift]) => [bias, multiplier, shift],
                _ => [0; 3],
            }
        }
        _ => [0; 3],
    }
}

/// Writes where the taps of output pixel `at` are; those outside the image are at `zeros`.
fn fill_table(checked: &Checked<'_>, at: [usize; 2], rows: &Range<usize>, zeros: *const i8) {
    let geometry = &checked.operands.geometry;
    let [_, input_columns, channels] = geometry.input;
    let [kernel_rows, kernel_columns] = geometry.window.kernel;
    let input = checked.operands.input.as_ptr();
    let columns = taps_inside(geometry, 1, at[1]);
    let column = position(geometry, 1, at[1], columns.start);
    let step = geometry.window.dilation[1] * channels;
    let mut entry: *mut *const i8 = checked.scratch.cast();
    for tap_row in 0..kernel_rows {
        let row = position(geometry, 0, at[0], tap_row) * input_columns;
        let is_row = rows.contains(&tap_row);
        let mut pixel = input.wrapping_add((row + column) * channels);
        for tap_column in 0..kernel_columns {
            let is_tap = is_row && columns.contains(&tap_column);
            // SAFETY: the table has an entry for every tap.
            unsafe {
                entry.write(if is_tap { pixel } else { zeros });
                entry = entry.add(1);
            }
            if is_tap {
                pixel = pixel.wrapping_add(step);
            }
        }
    }
}

/// Pixel `pixel` of a strip, summed by vectors and scaled one channel at a time.
fn wide(checked: &Checked<'_>, strip: &Depthwise, pixel: usize) {
    let operands = checked.operands;
    let channels = strip.outputs;
    let mut blocks = strip.blocks;
    let mut first = 0;
    while first < channels {
        let width = block_channels(channels - first);
        let some = width.min(channels - first);
        let mut sums = [0i32; BLOCK];
        let mut part = Depthwise {
            blocks,
            outputs: some,
            to: sums.as_mut_ptr().cast(),
            pixels: 1,
            offset: pixel * strip.step + first,
            rule: Rule::Raw,
            ..*strip
        };
        // SAFETY: as for a strip, for `some` channels from `first` on; `sums` has room for a
        // block of them.
        unsafe { helium_depthwise(&mut part) };
        for (channel, sum) in (first..first + some).zip(sums) {
            let sum = sum + operands.channels.bias(&operands.requantize, channel);
            let value = operands.channels.finish(&operands.requantize, channel, sum);
            // SAFETY: the strip's pixels are inside the output.
            unsafe { strip.to.add(pixel * channels + channel).write(value) };
        }
        blocks = blocks.wrapping_add(block_bytes(&operands.geometry, width, words(Rule::Raw)));
        first += some;
    }
}

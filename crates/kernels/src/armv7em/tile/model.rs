//! What the loops in assembly compute, in plain Rust: for tests of all round them on a host.

use super::{Channels, Pixels};
use crate::armv7em::dsp::{sum_of_pixel, sums_of_pixels, widen_even, widen_odd};
use crate::armv7em::finish::{Rule, high_output, wide_output};

/// Every channel of four pixels.
///
/// # Safety
///
/// All that `tile` points to has the sizes that it tells; there are at least four weights in
/// a row, and outputs for all channels of all pixels.
pub(in crate::armv7em) unsafe fn tile_of_pixels(tile: &mut Pixels) {
    // SAFETY: the caller's promise.
    unsafe { tile_by(tile, Rule::High) }
}

/// As [`tile_of_pixels`], with [`Rule::Single`].
///
/// # Safety
///
/// As there.
pub(in crate::armv7em) unsafe fn tile_of_pixels_single(tile: &mut Pixels) {
    // SAFETY: the caller's promise.
    unsafe { tile_by(tile, Rule::Single) }
}

/// As [`tile_of_pixels`], with [`Rule::Double`].
///
/// # Safety
///
/// As there.
pub(in crate::armv7em) unsafe fn tile_of_pixels_double(tile: &mut Pixels) {
    // SAFETY: the caller's promise.
    unsafe { tile_by(tile, Rule::Double) }
}

/// # Safety
///
/// As [`tile_of_pixels`], with records of the rule.
unsafe fn tile_by(tile: &mut Pixels, rule: Rule) {
    let mut weights = tile.weights;
    // SAFETY: the caller's promise.
    unsafe {
        while tile.records != tile.end {
            let record = tile.records.read();
            let bias = match rule {
                Rule::High => ((record as i32) >> 12) << tile.bias_shift,
                Rule::Single | Rule::Double => record as i32,
            };
            let mut sums = [bias; 4];
            sums_of_pixels(tile.inputs, weights, tile.steps, &mut sums);
            weights = weights.add(tile.steps * 4).wrapping_add(tile.back);
            if tile.back != 0 {
                let inputs = tile.inputs.add(tile.steps * 8);
                sums_of_pixels(inputs, weights, 1, &mut sums);
                weights = weights.add(4);
            }
            let limits = match tile.is_limited {
                0 => [128, 127],
                _ => [tile.low, tile.high],
            };
            for (output, sum) in tile.outputs.iter_mut().zip(sums).rev() {
                output.write(match rule {
                    Rule::High => {
                        let multiplier = (record & 0xFFF) << tile.multiplier_shift;
                        high_output(sum, multiplier, tile.zero_point, limits)
                    }
                    Rule::Single | Rule::Double => {
                        let record = tile.records.cast::<[u32; 3]>().read();
                        wide_output(rule, sum, record, tile.zero_point, limits)
                    }
                });
                *output = output.add(1);
            }
            tile.records = tile.records.add(rule.record_words());
        }
    }
}

/// Every channel of one pixel.
///
/// # Safety
///
/// All that `tile` points to has the sizes that it tells; there are at least four weights in
/// a row.
pub(in crate::armv7em) unsafe fn tile_of_channels(tile: &mut Channels<u32>) {
    // SAFETY: the caller's promise.
    unsafe { channels_by(tile, Rule::High) }
}

/// As [`tile_of_channels`], with [`Rule::Single`].
///
/// # Safety
///
/// As there.
pub(in crate::armv7em) unsafe fn tile_of_channels_single(tile: &mut Channels<u32>) {
    // SAFETY: the caller's promise.
    unsafe { channels_by(tile, Rule::Single) }
}

/// As [`tile_of_channels`], with [`Rule::Double`].
///
/// # Safety
///
/// As there.
pub(in crate::armv7em) unsafe fn tile_of_channels_double(tile: &mut Channels<u32>) {
    // SAFETY: the caller's promise.
    unsafe { channels_by(tile, Rule::Double) }
}

/// As [`tile_of_channels`], with inputs as they are. All steps are whole.
///
/// # Safety
///
/// As there.
pub(in crate::armv7em) unsafe fn tile_of_narrow_channels(tile: &mut Channels<i8>) {
    // SAFETY: the caller's promise.
    unsafe { narrow_channels_by(tile, Rule::High) }
}

/// As [`tile_of_narrow_channels`], with [`Rule::Single`].
///
/// # Safety
///
/// As there.
pub(in crate::armv7em) unsafe fn tile_of_narrow_channels_single(tile: &mut Channels<i8>) {
    // SAFETY: the caller's promise.
    unsafe { narrow_channels_by(tile, Rule::Single) }
}

/// As [`tile_of_narrow_channels`], with [`Rule::Double`].
///
/// # Safety
///
/// As there.
pub(in crate::armv7em) unsafe fn tile_of_narrow_channels_double(tile: &mut Channels<i8>) {
    // SAFETY: the caller's promise.
    unsafe { narrow_channels_by(tile, Rule::Double) }
}

/// # Safety
///
/// As [`tile_of_channels`], with records of the rule.
unsafe fn channels_by(tile: &Channels<u32>, rule: Rule) {
    for channel in 0..tile.left + 4 {
        // SAFETY: the caller's promise.
        unsafe {
            let record = tile.records.add(channel * rule.record_words());
            let weights = tile.weights.add(channel * tile.taps);
            let bias = match rule {
                Rule::High => (record.read() as i32 >> 12).wrapping_mul(tile.bias_factor as i32),
                Rule::Single | Rule::Double => record.read() as i32,
            };
            let mut sum = sum_of_pixel(tile.inputs, weights, tile.steps, bias);
            if tile.back != 0 {
                let weights = weights.add(tile.steps * 4).wrapping_add(tile.back);
                sum = sum_of_pixel(tile.inputs.add(tile.steps * 2), weights, 1, sum);
            }
            let limits = [tile.low, tile.high];
            let value = match rule {
                Rule::High => {
                    let multiplier = (record.read() & 0xFFF) << tile.multiplier_shift;
                    high_output(sum, multiplier, tile.zero_point, limits)
                }
                Rule::Single | Rule::Double => {
                    let record = record.cast::<[u32; 3]>().read();
                    wide_output(rule, sum, record, tile.zero_point, limits)
                }
            };
            tile.output.add(channel).write(value);
        }
    }
}

/// # Safety
///
/// As [`tile_of_narrow_channels`], with records of the rule.
unsafe fn narrow_channels_by(tile: &Channels<i8>, rule: Rule) {
    let words = (0..tile.steps).flat_map(|step| {
        // SAFETY: the caller's promise.
        let word = unsafe { tile.inputs.add(step * 4).cast::<u32>().read_unaligned() };
        [widen_even(word), widen_odd(word)]
    });
    let widened: std::vec::Vec<u32> = words.collect();
    // SAFETY: the caller's promise; there are two words a step.
    unsafe { channels_by(&tile.with(widened.as_ptr()), rule) };
}

//! Every kernel of the running architecture against plain Rust, with guards round all memory
//! that it may write. Host tests run it, and so does a module that is built for WebAssembly.

mod float;
mod line;
mod pool;
#[cfg(test)]
mod rounding;
#[cfg(all(test, target_arch = "x86_64"))]
mod sets;

use crate::memory::In;
use crate::threads::ThreadPool;
use crate::{
    Architecture, Binding, Channels, Conv2dConstants, Conv2dI8, Geometry, Threads, Window, scalar,
};
use core::cell::Cell;
use format::fixed::{Channel, Requantize, Rounding, are_plain};
use std::vec;
use std::vec::Vec;

use float::{CURRENT_F32, check_f32};
use line::{check_line, check_quantize, check_stepwise};
use pool::check_pool;

/// Compares every kernel of [`Architecture::current`] with plain Rust for one random case.
///
/// # Panics
///
/// When results differ, or memory changed that a kernel must not touch.
pub fn check_random_case(seed: u64) {
    let mut next = noise(seed);
    let mut below = |end: usize| (next() % end as u64) as usize;
    let geometry = random_geometry(&mut below);
    let case = Case {
        seed,
        rounding: [Rounding::High, Rounding::Single, Rounding::Double][below(3)],
        extreme: below(2) == 0,
        unusual: below(2) == 0,
        zero_point: below(256) as u8 as i8,
        overlap: below(2) == 0,
    };
    check_i8(&CURRENT_I8, geometry, case);
    check_f32(&CURRENT_F32, geometry, seed, case.overlap, case.extreme);
    check_pool(geometry, case, below(2) == 0);
    let bits = [16, 22][below(2)];
    let factors = [below(1 << bits), below(1 << bits)].map(|f| f as i32 - (1 << (bits - 1)));
    check_line(below(200), seed, factors, below(31) as u8, below(20));
    let shifts = core::array::from_fn(|_| (below(31) * below(2)) as u8);
    check_stepwise(below(200), seed, shifts, below(20));
    check_quantize(below(60), seed, case.zero_point);
}

/// A convolution of any kind, of numbers below others.
fn random_geometry(mut below: impl FnMut(usize) -> usize) -> Geometry {
    let window = [4, 4, 3, 3, 2, 2].map(|end| below(end) + 1);
    let mut shape = [13, 13, 4, 4, 3, 3].map(&mut below);
    shape[0] += 1;
    shape[1] += 1;
    geometry(
        window,
        shape,
        [below(19) + 1, below(39) + 1, below(3) + 1, below(7)],
    )
}

/// Three threads that compute layers however small together; in WebAssembly, one.
fn pool(scratch_bytes: usize) -> ThreadPool {
    let count = if cfg!(target_arch = "wasm32") { 1 } else { 3 };
    let pool = ThreadPool::new(count, scratch_bytes).expect("the system gives three threads");
    pool.for_all_layers()
}

/// Elements before and behind every buffer that must stay as they are.
const GUARD: usize = 16;

/// A convolution of any kind: plain, grouped, depthwise with a multiplier, fully connected, or of
/// the form that many networks have most of, 3 x 3 over whole vectors of channels.
/// `window` is kernel, stride and dilation; `shape` is the image and the padding before and
/// behind it; `channels` are inputs, outputs, groups and the kind.
fn geometry(window: [usize; 6], shape: [usize; 6], channels: [usize; 4]) -> Geometry {
    let [kh, kw, sy, sx, dy, dx] = window;
    let [h, w, top, left, bottom, right] = shape;
    let [inputs, outputs, groups, kind] = channels;
    let mut geometry = Geometry {
        input: [h, w, inputs],
        output: [0, 0, outputs],
        window: Window {
            kernel: [kh, kw],
            stride: [sy, sx],
            dilation: [dy, dx],
            padding: [top, left],
        },
        groups: 1,
    };
    match kind {
        0 => geometry.window = POINTWISE,
        1 => {
            geometry.window = POINTWISE;
            geometry.input = [1, 1, inputs * 7];
        }
        2 => {
            geometry.groups = groups;
            geometry.input[2] = inputs * groups;
            geometry.output[2] = outputs.div_ceil(groups) * groups;
        }
        3 | 4 => {
            geometry.groups = outputs;
            geometry.input[2] = outputs;
            geometry.output[2] = outputs * if kind == 3 { 1 } else { groups };
        }
        5 => {
            geometry.window.kernel = [3, 3];
            (geometry.window.stride, geometry.window.dilation) = ([1, 1], [1, 1]);
            geometry.input[2] = inputs.next_multiple_of(8);
            geometry.output[2] = outputs.next_multiple_of(8);
        }
        _ => {}
    }
    for (axis, behind) in [bottom, right].into_iter().enumerate() {
        let window = &geometry.window;
        let reach = (window.kernel[axis] - 1) * window.dilation[axis] + 1;
        let behind = if window.kernel == [1, 1] { 0 } else { behind };
        let padded = geometry.input[axis] + window.padding[axis] + behind;
        // A window that does not fit: make the image larger.
        if padded < reach {
            geometry.input[axis] += reach - padded;
        }
        let padded = padded.max(reach);
        geometry.output[axis] = (padded - reach) / window.stride[axis] + 1;
    }
    geometry
}

const POINTWISE: Window = Window {
    kernel: [1, 1],
    stride: [1, 1],
    dilation: [1, 1],
    padding: [0, 0],
};

/// Numbers from a seed, uniform over 64 bits.
fn noise(mut seed: u64) -> impl FnMut() -> u64 {
    move || {
        seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

/// The planner's distance: where an input may start behind the output's start, in elements.
fn distance(geometry: &Geometry) -> usize {
    let row = geometry.input[1] * geometry.input[2];
    let output_row = geometry.output[1] * geometry.output[2];
    let window = &geometry.window;
    (0..geometry.output[0])
        .map(|y| {
            let first = (y * window.stride[0]).saturating_sub(window.padding[0]);
            ((y + 1) * output_row).saturating_sub(first.min(geometry.input[0]) * row)
        })
        .max()
        .unwrap_or(0)
}

fn elements(shape: [usize; 3]) -> usize {
    shape.iter().product()
}

/// An arena with the input at its place; the output's place; the whole without the guards.
struct Arena<T> {
    memory: Vec<T>,
    input: usize,
    output: usize,
}

/// Places input and output as the planner does: apart, or as near as the contract allows.
fn arena<T: Copy>(
    input: &[T],
    output_elements: usize,
    distance: Option<usize>,
    guard: T,
) -> Arena<T> {
    let output_at = GUARD;
    let input_at = output_at + distance.unwrap_or(output_elements + GUARD);
    let end = (input_at + input.len()).max(output_at + output_elements);
    let mut memory = vec![guard; end + GUARD];
    memory[input_at..input_at + input.len()].copy_from_slice(input);
    Arena {
        memory,
        input: input_at,
        output: output_at,
    }
}

impl<T: Copy + PartialEq> Arena<T> {
    /// The output, once the guards are found as they were.
    fn result(&self, outputs: usize, distance: Option<usize>, guard: T) -> Vec<T> {
        let (end, behind) = (self.memory.len() - GUARD, self.output + outputs);
        assert!(
            self.memory[..GUARD]
                .iter()
                .chain(&self.memory[end..])
                .all(|&v| v == guard)
        );
        if distance.is_none() {
            assert!(
                self.memory[behind..behind + GUARD]
                    .iter()
                    .all(|&v| v == guard)
            );
        }
        self.memory[self.output..behind].to_vec()
    }
}

/// Bytes at a multiple of 16 between guards.
struct Guarded {
    words: Vec<u128>,
    bytes: usize,
}

impl Guarded {
    fn new(bytes: usize) -> Self {
        let words = vec![u128::from_ne_bytes([0xA5; 16]); bytes.div_ceil(16) + 2];
        Guarded { words, bytes }
    }

    fn bytes(&mut self) -> &mut [u8] {
        let words = &mut self.words[..];
        // SAFETY: u128 has no padding, and u8 needs no alignment.
        let all = unsafe {
            core::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<u8>(), words.len() * 16)
        };
        &mut all[16..16 + self.bytes]
    }

    fn is_intact(&mut self) -> bool {
        let bytes = self.bytes;
        let whole = self.words.len() * 16;
        // SAFETY: as above.
        let all = unsafe { core::slice::from_raw_parts(self.words.as_ptr().cast::<u8>(), whole) };
        all[..16]
            .iter()
            .chain(&all[16 + bytes..])
            .all(|&byte| byte == 0xA5)
    }
}

/// How the values of an int8 test are chosen.
#[derive(Clone, Copy, Debug)]
struct Case {
    seed: u64,
    rounding: Rounding,
    /// Values are -128 and 127 only.
    extreme: bool,
    /// Shifts to the left, too.
    unusual: bool,
    zero_point: i8,
    overlap: bool,
}

/// So many inputs or weights.
fn numbers(case: &Case, count: usize, next: &mut impl FnMut() -> u64) -> Vec<i8> {
    // Extremes that are all alike bring sums to what they can be at most.
    let alike = case.extreme && case.seed.is_multiple_of(5);
    let first = next();
    let mut value = || match (case.extreme, if alike { first } else { next() }) {
        (true, bits) => [-128, 127][(bits >> 63) as usize],
        (false, bits) => (bits >> 56) as i8,
    };
    (0..count).map(|_| value()).collect()
}

fn weights(case: &Case, geometry: &Geometry, next: &mut impl FnMut() -> u64) -> Vec<i8> {
    let lowest = match [3, 2].map(|of| case.seed.is_multiple_of(of)) {
        // The largest whose sums still fit 32 bits 576 times: some loops compute these.
        [true, _] => -((i32::MAX as usize / (128 * 576) / geometry.taps()).clamp(1, 127) as i8),
        // As quantization chooses them: some loops rely on it.
        [_, true] => -127,
        _ => -128,
    };
    let clamped = |weight: i8| weight.clamp(lowest, lowest.saturating_neg());
    let count = geometry.output[2] * geometry.taps();
    let weights = numbers(case, count, next);
    weights.into_iter().map(clamped).collect()
}

/// Channel records with multipliers that bring sums of so many taps into the range of int8.
fn records(
    case: &Case,
    geometry: &Geometry,
    next: &mut impl FnMut() -> u64,
) -> (Vec<u32>, Vec<i32>) {
    let mut narrow = Vec::new();
    let mut wide = Vec::new();
    let drop = (geometry.taps() as f64 * 64.0).log2() as i32;
    for _ in 0..geometry.output[2] {
        let bias = (next() >> 40) as i32 - (1 << 23);
        let multiplier = (next() & 0xFFF) as u32;
        narrow.push(
            Channel {
                bias: bias >> 9,
                multiplier,
            }
            .pack(),
        );
        let mut shift = -(next() as i32 % 6).abs() - drop + 3;
        if case.unusual && next().is_multiple_of(4) {
            shift = (next() % 62) as i32 - 31;
        }
        wide.extend([
            bias,
            ((next() >> 34) as i32) | (1 << 30),
            shift.clamp(-31, 30),
        ]);
    }
    (narrow, wide)
}

/// Any requantization whose sums stay within 32 bits.
fn requantization(case: &Case, next: &mut impl FnMut() -> u64) -> Requantize {
    let [a, b] = [next() as i8, next() as i8].map(i16::from);
    Requantize {
        rounding: case.rounding,
        bias_shift: (next() % 8) as u8,
        multiplier_shift: (next() % 20) as u8,
        is_plain: false,
        zero_point: i16::from(next() as i8),
        min: if case.unusual { a.min(b) } else { -128 },
        max: if case.unusual { a.max(b) } else { 127 },
    }
}

/// The functions of a set of kernels that compute int8 convolutions.
struct ConvolutionsI8 {
    scratch_bytes: fn(&Geometry) -> usize,
    prepared_bytes: fn(&Geometry) -> usize,
    prepare: fn(&Conv2dConstants<'_>, &mut [u8]),
    conv_2d: fn(&Conv2dI8<'_>),
    shares_outputs: fn(&Conv2dI8<'_>) -> bool,
}

/// Those that run here.
const CURRENT_I8: ConvolutionsI8 = ConvolutionsI8 {
    scratch_bytes: |geometry| crate::i8::conv_2d_scratch_bytes(geometry, Architecture::current()),
    prepared_bytes: |geometry| crate::i8::conv_2d_prepared_bytes(geometry, Architecture::current()),
    prepare: crate::i8::prepare_conv_2d,
    conv_2d: crate::i8::conv_2d,
    shares_outputs: crate::i8::shares_outputs,
};

impl ConvolutionsI8 {
    /// Scratch memory, and what is prepared.
    fn memory(&self, constants: &Conv2dConstants<'_>) -> [Guarded; 2] {
        let geometry = &constants.geometry;
        let sizes = [
            (self.scratch_bytes)(geometry),
            (self.prepared_bytes)(geometry),
        ];
        let mut memory = sizes.map(Guarded::new);
        (self.prepare)(constants, memory[1].bytes());
        memory
    }
}

fn check_i8(kernels: &ConvolutionsI8, geometry: Geometry, case: Case) {
    let mut next = noise(case.seed);
    let input = numbers(&case, elements(geometry.input), &mut next);
    let weights = weights(&case, &geometry, &mut next);
    let (narrow, wide) = records(&case, &geometry, &mut next);
    let requantize = Requantize {
        is_plain: are_plain(&wide, geometry.taps()),
        ..requantization(&case, &mut next)
    };
    let outputs = elements(geometry.output);
    let channels = match case.rounding {
        Rounding::High => Channels::High(&narrow),
        _ => Channels::Wide(&wide),
    };
    let [mut scratch, mut prepared] = kernels.memory(&Conv2dConstants {
        geometry,
        weights: &weights,
        channels,
        requantize,
    });
    let guard = 77;
    let pool = pool(scratch.bytes().len());
    let is_shared = Cell::new(false);
    let mut run = |distance: Option<usize>, judge: bool, threads: Threads<'_>| {
        let mut place = arena(&input, outputs, distance, guard);
        let cells = Cell::from_mut(&mut place.memory[..]).as_slice_of_cells();
        let operands = Conv2dI8 {
            geometry,
            input: In::from_cells(&cells[place.input..place.input + input.len()]),
            output: &cells[place.output..place.output + outputs],
            weights: &weights,
            channels,
            requantize,
            input_zero_point: case.zero_point,
            binding: Binding {
                prepared: prepared.bytes(),
                scratch: Cell::from_mut(scratch.bytes()).as_slice_of_cells(),
                threads,
            },
        };
        if judge {
            is_shared.set((kernels.shares_outputs)(&operands));
            scalar::i8::conv_2d(&operands);
        } else {
            (kernels.conv_2d)(&operands);
        }
        place.result(outputs, distance, guard)
    };
    let expected = run(None, true, Threads::ALONE);
    for threads in [Threads::ALONE, Threads::of(&pool)] {
        let actual = run(None, false, threads);
        assert_eq!(actual, expected, "{geometry:?} {case:?}");
        if case.overlap {
            let near = Some(distance(&geometry));
            let actual = run(near, false, threads);
            assert_eq!(actual, expected, "overlapping {geometry:?} {case:?}");
        }
    }
    let count = if is_shared.get() { 3 } else { 0 };
    for threads in (0..count).map(|index| Threads::share(index, count)) {
        let channels = geometry.output[2];
        let own = threads.own(channels.div_ceil(16));
        let is_own = |at: usize| own.contains(&(at % channels / 16));
        let others_stay = |(at, &value): (usize, &i8)| if is_own(at) { value } else { guard };
        let share: Vec<i8> = expected.iter().enumerate().map(others_stay).collect();
        let actual = run(None, false, threads);
        assert_eq!(actual, share, "{threads:?} of {geometry:?} {case:?}");
    }
    assert!(scratch.is_intact() && prepared.is_intact());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn skips() -> bool {
        let plain = Architecture::current() == Architecture::Scalar;
        if plain {
            std::println!("skipped: this machine has no vector kernels");
        }
        plain
    }

    pub(super) fn geometries() -> impl Strategy<Value = Geometry> {
        let window = (
            1usize..5,
            1usize..5,
            1usize..4,
            1usize..4,
            1usize..3,
            1usize..3,
        );
        let shape = (
            1usize..14,
            1usize..14,
            0usize..4,
            0usize..4,
            0usize..3,
            0usize..3,
        );
        let channels = (1usize..70, 1usize..40, 1usize..4, 0usize..7);
        (window, shape, channels).prop_map(|(window, shape, channels)| {
            geometry(window.into(), shape.into(), channels.into())
        })
    }

    pub(super) fn cases() -> impl Strategy<Value = Case> {
        let rounding = prop_oneof![
            Just(Rounding::High),
            Just(Rounding::Single),
            Just(Rounding::Double)
        ];
        let flags = (any::<bool>(), any::<bool>(), any::<bool>());
        (any::<u64>(), rounding, flags, any::<i8>()).prop_map(
            |(seed, rounding, (extreme, unusual, overlap), zero_point)| Case {
                seed,
                rounding,
                extreme,
                unusual,
                zero_point,
                overlap,
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

        #[test]
        fn float_convolutions_agree(g in geometries(), seed: u64, overlap: bool, bias: bool) {
            if skips() {
                return Ok(());
            }
            check_f32(&CURRENT_F32, g, seed, overlap, bias);
        }

        #[test]
        fn integer_pools_are_equal(g in geometries(), case in cases(), average: bool) {
            if skips() {
                return Ok(());
            }
            check_pool(g, case, average);
        }

        #[test]
        fn integer_sums_and_tables_are_equal(
            length in 0usize..200,
            seed: u64,
            bits in prop_oneof![Just(16), Just(22)],
            factors: [i32; 2],
            shift in 0u8..31,
            ahead in 0usize..20,
        ) {
            if skips() {
                return Ok(());
            }
            check_line(length, seed, factors.map(|f| f >> (32 - bits)), shift, ahead);
        }

        #[test]
        fn sums_by_steps_are_equal(
            length in 0usize..200,
            seed: u64,
            shifts in prop::array::uniform2(prop_oneof![Just(0u8), 0u8..31]),
            ahead in 0usize..20,
        ) {
            if skips() {
                return Ok(());
            }
            check_stepwise(length, seed, shifts, ahead);
        }

        #[test]
        fn integer_convolutions_are_equal(g in geometries(), case in cases()) {
            if skips() {
                return Ok(());
            }
            check_i8(&CURRENT_I8, g, case);
        }
    }
}

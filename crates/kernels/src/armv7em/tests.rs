//! Every loop against plain Rust, with guards round all memory it may write. The instructions are
//! those of the model; the boards' tests run the real ones.

use super::packing::Squares;
use crate::i8::{Conv2dLoops, conv_2d_packed_bytes, conv_2d_packed_scratch_bytes, pack_conv_2d};
use crate::memory::In;
use crate::{
    AddI8, Architecture, Binding, Channels, Conv2dI8, Geometry, StepwiseAddI8, Threads, Window,
    scalar,
};
use core::cell::Cell;
use format::fixed::{Requantize, Rounding, are_plain};
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

/// Elements before and behind every buffer that must stay as they are.
const GUARD: usize = 16;

/// Numbers from a seed (SplitMix64 by Steele, Lea and Flood).
fn noise(mut seed: u64) -> impl FnMut() -> u64 {
    move || {
        seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

fn elements(shape: [usize; 3]) -> usize {
    shape.iter().product()
}

/// The planner's distance: where an input may start behind the output's start, in bytes.
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

/// What a convolution connects.
#[derive(Clone, Copy, Debug)]
enum Connection {
    Pointwise,
    Vector,
    Full,
    Grouped,
    Depthwise,
    Multiplied,
}

/// Convolutions of every kind.
fn geometries() -> impl Strategy<Value = Geometry> {
    let connection = prop_oneof![
        Just(Connection::Pointwise),
        Just(Connection::Vector),
        Just(Connection::Full),
        Just(Connection::Grouped),
        Just(Connection::Depthwise),
        Just(Connection::Multiplied),
    ];
    let pair = |range: core::ops::Range<usize>| prop::array::uniform2(range);
    let window = (pair(1..5), pair(1..4), pair(1..3), pair(0..4));
    let shape = (pair(1..12), pair(0..3), 1usize..24, 1usize..20, 1usize..4);
    (connection, window, shape).prop_map(|(connection, window, shape)| {
        let (kernel, stride, dilation, padding) = window;
        let (size, behind, inputs, outputs, groups) = shape;
        let [unit, none] = [[1, 1], [0, 0]];
        let point = Window {
            kernel: unit,
            stride: unit,
            dilation: unit,
            padding: none,
        };
        let window = Window {
            kernel,
            stride,
            dilation,
            padding,
        };
        let (size, channels, outputs, groups, window) = match connection {
            Connection::Pointwise => (size, inputs, outputs, 1, point),
            Connection::Vector => (unit, inputs * 17, outputs, 1, point),
            Connection::Full => (size, inputs, outputs, 1, window),
            Connection::Grouped => (size, inputs * groups, outputs * groups, groups, window),
            Connection::Depthwise => (size, inputs, inputs, inputs, window),
            Connection::Multiplied => (size, inputs, inputs * groups, inputs, window),
        };
        let mut geometry = Geometry {
            input: [size[0], size[1], channels],
            output: [0, 0, outputs],
            window,
            groups,
        };
        for (axis, behind) in behind.into_iter().enumerate() {
            let reach = (window.kernel[axis] - 1) * window.dilation[axis] + 1;
            let behind = if window == point { 0 } else { behind };
            let padded = geometry.input[axis] + window.padding[axis] + behind;
            // A window that does not fit: make the image larger.
            geometry.input[axis] += reach.saturating_sub(padded);
            geometry.output[axis] = (padded.max(reach) - reach) / window.stride[axis] + 1;
        }
        geometry
    })
}

/// Convolutions that squares serve.
fn squares() -> impl Strategy<Value = Geometry> {
    let sizes = (1usize..12, 1usize..14, 1usize..5, 1usize..6);
    let padding = prop::array::uniform2(0usize..4);
    (sizes, padding, prop::array::uniform2(0usize..4)).prop_filter_map(
        "too small",
        |((rows, columns, inputs, outputs), padding, behind)| {
            let geometry = Geometry {
                input: [rows, columns, inputs * 8],
                output: [
                    (rows + padding[0] + behind[0]).checked_sub(2)?,
                    (columns + padding[1] + behind[1]).checked_sub(2)?,
                    outputs * 4,
                ],
                window: Window {
                    kernel: [3, 3],
                    stride: [1, 1],
                    dilation: [1, 1],
                    padding,
                },
                groups: 1,
            };
            Squares::of(&geometry).map(|_| geometry)
        },
    )
}

/// How the values of a test are chosen.
#[derive(Clone, Copy, Debug)]
struct Case {
    seed: u64,
    rounding: Rounding,
    /// Values are -128 and 127 only.
    extreme: bool,
    zero_point: i8,
    limits: [i8; 2],
}

fn cases() -> impl Strategy<Value = Case> {
    let rounding = prop_oneof![
        3 => Just(Rounding::High),
        1 => Just(Rounding::Single),
        1 => Just(Rounding::Double)
    ];
    let limits = prop_oneof![Just([-128, 127]), Just([-3, 90]), Just([5, 5])];
    (any::<u64>(), rounding, any::<bool>(), any::<i8>(), limits).prop_map(
        |(seed, rounding, extreme, zero_point, limits)| Case {
            seed,
            rounding,
            extreme,
            zero_point,
            limits,
        },
    )
}

/// Values, channel records and rules of one convolution.
struct Problem {
    geometry: Geometry,
    case: Case,
    input: Vec<i8>,
    weights: Vec<i8>,
    /// Weights packed for squares, where these serve.
    packed: Vec<u32>,
    narrow: Vec<u32>,
    wide: Vec<i32>,
}

impl Problem {
    fn new(geometry: Geometry, case: Case) -> Self {
        let mut next = noise(case.seed);
        let mut values = |count: usize| -> Vec<i8> {
            let value = |word: u64| match (case.extreme, word % 2) {
                (false, _) => (word >> 9) as i8,
                (true, 0) => -128,
                (true, _) => 127,
            };
            (0..count).map(|_| value(next())).collect()
        };
        let outputs = geometry.output[2];
        let (input, weights) = (
            values(elements(geometry.input)),
            values(outputs * geometry.taps()),
        );
        let record = |word: u64| {
            [
                (word >> 45) as i32 - (1 << 18),
                (word >> 34) as i32 | 1 << 30,
                -(word as i32 & 7) - 5,
            ]
        };
        let architecture = Architecture::Armv7em;
        let bytes = conv_2d_packed_bytes(&geometry, architecture);
        let mut packed = vec![0u32; bytes / 4];
        let places = crate::memory::as_bytes_mut(&mut packed);
        pack_conv_2d(&geometry, &weights, architecture, places);
        Problem {
            geometry,
            case,
            input,
            weights,
            packed,
            narrow: (0..outputs).map(|_| next() as u32).collect(),
            wide: (0..outputs).flat_map(|_| record(next())).collect(),
        }
    }

    /// The output, with the input as far behind it as told, or apart.
    fn run(&self, distance: Option<usize>, compute: fn(&Conv2dI8<'_>)) -> Vec<i8> {
        let guard = 0x5A;
        let outputs = elements(self.geometry.output);
        let from = GUARD + distance.unwrap_or(outputs + GUARD);
        let end = (from + self.input.len()).max(GUARD + outputs);
        let mut memory = vec![guard; end + GUARD];
        memory[from..from + self.input.len()].copy_from_slice(&self.input);
        let scratch_bytes = conv_2d_packed_scratch_bytes(&self.geometry, Architecture::Armv7em);
        let scratch_words = scratch_bytes.div_ceil(4);
        let mut scratch = vec![u32::MAX - 7; scratch_words + 8];
        let cells = Cell::from_mut(&mut memory[..]).as_slice_of_cells();
        let bytes = crate::memory::as_bytes_mut(&mut scratch[4..4 + scratch_words]);
        let rounding = self.case.rounding;
        compute(&Conv2dI8 {
            geometry: self.geometry,
            input: In::from_cells(&cells[from..from + self.input.len()]),
            output: &cells[GUARD..GUARD + outputs],
            weights: &self.weights,
            channels: match rounding {
                Rounding::High => Channels::High(&self.narrow),
                _ => Channels::Wide(&self.wide),
            },
            requantize: Requantize {
                rounding,
                bias_shift: (self.case.seed % 4) as u8,
                multiplier_shift: (self.case.seed % 20) as u8,
                is_plain: !self.case.seed.is_multiple_of(3)
                    && are_plain(&self.wide, self.geometry.taps()),
                zero_point: i16::from(self.case.zero_point) / 2,
                min: i16::from(self.case.limits[0]),
                max: i16::from(self.case.limits[1]),
            },
            input_zero_point: self.case.zero_point,
            binding: Binding {
                prepared: crate::memory::as_bytes(&self.packed),
                scratch: Cell::from_mut(bytes).as_slice_of_cells(),
                threads: Threads::ALONE,
            },
        });
        let outside = memory[..GUARD].iter().chain(&memory[end..]);
        assert!(outside.copied().all(|byte| byte == guard));
        let around = scratch[..4].iter().chain(&scratch[4 + scratch_words..]);
        assert!(around.copied().all(|word| word == u32::MAX - 7));
        memory[GUARD..GUARD + outputs].to_vec()
    }
}

/// What a program that knows the shapes calls.
fn known(operands: &Conv2dI8<'_>) {
    match Conv2dLoops::of(&operands.geometry, operands.requantize.rounding) {
        Conv2dLoops::Dense => super::i8::conv_2d_dense(operands),
        Conv2dLoops::Depthwise => super::i8::conv_2d_depthwise(operands),
        Conv2dLoops::Single => super::i8::conv_2d_single(operands),
        Conv2dLoops::Double => super::i8::conv_2d_double(operands),
        Conv2dLoops::Any => super::i8::conv_2d(operands),
    }
}

/// Two tensors in one piece of memory, and their sum `ahead` elements before the first.
fn sum(values: &[i8], ahead: usize, compute: impl Fn([In<'_, i8>; 2], &[Cell<i8>])) -> Vec<i8> {
    let count = values.len() / 2;
    let mut memory = vec![0x5A; GUARD + ahead + values.len() + GUARD];
    memory[GUARD + ahead..][..values.len()].copy_from_slice(values);
    let cells = Cell::from_mut(&mut memory[..]).as_slice_of_cells();
    let from = GUARD + ahead;
    let inputs = [from, from + count].map(|start| In::from_cells(&cells[start..start + count]));
    compute(inputs, &cells[GUARD..GUARD + count]);
    memory
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn convolutions_are_equal(geometry in geometries(), case in cases()) {
        let problem = Problem::new(geometry, case);
        let expected = problem.run(None, scalar::i8::conv_2d);
        prop_assert_eq!(&problem.run(None, super::i8::conv_2d), &expected);
        prop_assert_eq!(&problem.run(None, known), &expected);
        prop_assert_eq!(&problem.run(None, crate::portable::conv_2d), &expected);
        let portable = problem.run(Some(distance(&geometry)), crate::portable::conv_2d);
        prop_assert_eq!(&portable, &expected);
        prop_assert_eq!(&problem.run(Some(distance(&geometry)), super::i8::conv_2d), &expected);
    }

    #[test]
    fn squares_are_equal(geometry in squares(), case in cases()) {
        let problem = Problem::new(geometry, case);
        let expected = problem.run(None, scalar::i8::conv_2d);
        let general = |operands: &Conv2dI8<'_>| {
            if super::i8::conv_2d_packed(operands).is_none() {
                // Rules without a loop, or with records that are too large for theirs.
                assert!(operands.requantize.rounding != Rounding::High);
                super::i8::conv_2d(operands);
            }
        };
        prop_assert_eq!(&problem.run(None, general), &expected);
        prop_assert_eq!(&problem.run(Some(distance(&geometry)), general), &expected);
        if case.rounding == Rounding::High {
            let high = |operands: &Conv2dI8<'_>| {
                assert!(super::i8::conv_2d_squares(operands).is_some());
            };
            prop_assert_eq!(&problem.run(Some(distance(&geometry)), high), &expected);
        }
    }

    #[test]
    fn sums_are_equal(
        values in prop::collection::vec(any::<i8>(), 0..90),
        ahead in 0usize..9,
        case in cases(),
        factors: [i16; 2],
    ) {
        let run = |compute: fn(&AddI8<'_>)| {
            sum(&values, ahead, |inputs, output| compute(&AddI8 {
                inputs,
                output,
                factors: factors.map(i32::from),
                offset: (case.seed >> 40) as i32,
                shift: (case.seed % 24) as u8,
                limits: case.limits,
                threads: Threads::ALONE,
            }))
        };
        prop_assert_eq!(run(super::i8::add), run(scalar::i8::add));
    }

    #[test]
    fn sums_by_steps_are_equal(
        values in prop::collection::vec(any::<i8>(), 0..90),
        ahead in 0usize..9,
        limits in any::<[i8; 2]>(),
        zeros: [i8; 3],
        factors in prop::array::uniform2((0i32..=i32::MAX, prop_oneof![Just(0u8), 0u8..=31])),
    ) {
        let run = |compute: fn(&StepwiseAddI8<'_>)| {
            sum(&values, ahead, |inputs, output| compute(&StepwiseAddI8 {
                inputs,
                output,
                input_zero_points: [zeros[0], zeros[1]].map(i32::from),
                factor: factors[0],
                output_factor: factors[1],
                output_zero_point: zeros[2].into(),
                limits: [limits[0].min(limits[1]), limits[0].max(limits[1])],
            }))
        };
        prop_assert_eq!(run(super::i8::stepwise_add), run(scalar::i8::stepwise_add));
    }
}

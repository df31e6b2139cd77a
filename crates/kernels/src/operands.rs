//! What kernels take: geometry, channel parameters, operands.

use crate::Threads;
use crate::memory::{In, Plain};
use core::cell::Cell;
use format::fixed::{
    Channel, ChannelWide, Requantize, Rounding, requantize_double, requantize_high,
    requantize_single,
};

/// A sliding window over the rows and columns of `[H, W, C]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Rows and columns of the window.
    pub kernel: [usize; 2],
    /// Steps between windows.
    pub stride: [usize; 2],
    /// Steps between taps.
    pub dilation: [usize; 2],
    /// Rows above and columns to the left of the input that the first window covers.
    pub padding: [usize; 2],
}

/// Shapes of a convolution or a pool of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Rows, columns, channels of the input.
    pub input: [usize; 3],
    /// Rows, columns, channels of the output.
    pub output: [usize; 3],
    /// The window.
    pub window: Window,
    /// Channel groups: 1 for a plain convolution, the input's channels for a depthwise one.
    pub groups: usize,
}

impl Geometry {
    /// One row in place of one column, where image and windows are columns: elements are in the
    /// same order, and what computes the neighbours in a row together has some. Pixel follows
    /// pixel all the same, so that memory may overlap as it did.
    #[cfg(any(
        neon,
        target_arch = "x86_64",
        all(target_arch = "wasm32", target_feature = "simd128"),
        all(target_arch = "arm", feature = "helium")
    ))]
    pub(crate) fn lying(&self) -> Geometry {
        let mut lying = *self;
        let window = &mut lying.window;
        let is_column = self.input[1] == 1 && self.output[1] == 1 && window.kernel[1] == 1;
        if is_column && window.padding[1] == 0 {
            window.kernel.swap(0, 1);
            window.stride.swap(0, 1);
            window.dilation.swap(0, 1);
            window.padding.swap(0, 1);
            lying.input.swap(0, 1);
            lying.output.swap(0, 1);
        }
        lying
    }

    /// Multiplications that one output element needs.
    pub fn taps(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1] * self.input[2] / self.groups.max(1)
    }

    /// Whether windows are of 3 x 3, side by side without gaps, over all channels: the form that squares
    /// of outputs are for.
    pub(crate) fn is_three_by_three(&self) -> bool {
        // Compared as arrays, these would be calls of `memcmp`.
        let Window {
            kernel: [3, 3],
            stride: [1, 1],
            dilation: [1, 1],
            ..
        } = self.window
        else {
            return false;
        };
        self.groups == 1
    }

    /// Whether the convolution is a matrix product over pixels: 1 x 1, no stride, no padding.
    pub fn is_pointwise(&self) -> bool {
        // Compared as arrays, these would be calls of `memcmp`.
        let Window {
            kernel: [rows, columns],
            stride: [down, right],
            padding: [above, left],
            ..
        } = self.window;
        let is_one = rows == 1 && columns == 1 && down == 1 && right == 1;
        is_one && above == 0 && left == 0 && self.groups == 1
    }

    /// Whether every input channel is convolved on its own.
    pub fn is_depthwise(&self) -> bool {
        self.groups == self.input[2] && self.groups > 1 || self.groups == 1 && self.input[2] == 1
    }
}

/// Bias and multiplier of every output channel, as stored in the file.
#[derive(Clone, Copy, Debug)]
pub enum Channels<'a> {
    /// One packed [`Channel`] each: upper 20 bits bias, lower 12 multiplier. For
    /// [`Rounding::High`].
    High(&'a [u32]),
    /// Three words a channel: bias, multiplier, shift. For the other two rules.
    Wide(&'a [i32]),
}

impl Channels<'_> {
    /// The accumulator's first value for `channel`.
    #[inline(always)]
    pub fn bias(&self, requantize: &Requantize, channel: usize) -> i32 {
        match self {
            Channels::High(words) => {
                let word = words.get(channel).copied().unwrap_or(0);
                Channel::unpack(word).bias << requantize.bias_shift
            }
            Channels::Wide(words) => words.get(channel * 3).copied().unwrap_or(0),
        }
    }

    /// The int8 output of `channel` for a finished accumulator.
    #[inline(always)]
    pub fn finish(&self, requantize: &Requantize, channel: usize, accumulator: i32) -> i8 {
        self.requantized(requantize, channel, accumulator) as i8
    }

    /// The output of `channel` for a finished accumulator, within the limits of `requantize`.
    #[inline(always)]
    pub fn requantized(&self, requantize: &Requantize, channel: usize, accumulator: i32) -> i32 {
        let scaled = match self {
            Channels::High(words) => {
                let word = words.get(channel).copied().unwrap_or(0);
                let multiplier = Channel::unpack(word).multiplier;
                requantize_high(accumulator, multiplier << requantize.multiplier_shift)
            }
            Channels::Wide(words) => {
                let (multiplier, shift) = match words.get(channel * 3 + 1..channel * 3 + 3) {
                    Some(&[multiplier, shift]) => (multiplier, shift),
                    _ => (0, 0),
                };
                match requantize.rounding {
                    Rounding::Double => requantize_double(accumulator, multiplier, shift),
                    _ => requantize_single(accumulator, multiplier, shift),
                }
            }
        };
        let moved = scaled.saturating_add(i32::from(requantize.zero_point));
        // `clamp` would bring formatting code along, for crossed limits.
        let (low, high) = (i32::from(requantize.min), i32::from(requantize.max));
        moved.max(low).min(high)
    }

    /// The wide record of `channel`, where there is one.
    pub fn wide(&self, channel: usize) -> Option<ChannelWide> {
        match self {
            Channels::Wide(words) => match words.get(channel * 3..channel * 3 + 3) {
                Some(&[bias, multiplier, shift]) => Some(ChannelWide {
                    bias,
                    multiplier,
                    shift,
                }),
                _ => None,
            },
            Channels::High(_) => None,
        }
    }
}

/// Memory that a session gives an operator besides its operands.
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    /// Weights packed for this machine: what `prepare` wrote when the session was made, or what the file
    /// has for functions that take such.
    pub prepared: &'a [u8],
    /// Working memory, 16-byte aligned; its content is lost between operators.
    pub scratch: &'a [Cell<u8>],
    /// Who helps.
    pub threads: Threads<'a>,
}

/// The type of an activation.
pub trait Integer: Plain + Default + Into<i32> {
    /// The smallest number of the type.
    const SMALLEST: i32;

    /// From a number that is within the type's range.
    fn from_clamped(value: i32) -> Self;
}

impl Integer for i8 {
    const SMALLEST: i32 = i8::MIN as i32;

    #[inline(always)]
    fn from_clamped(value: i32) -> Self {
        value as i8
    }
}

impl Integer for i16 {
    const SMALLEST: i32 = i16::MIN as i32;

    #[inline(always)]
    fn from_clamped(value: i32) -> Self {
        value as i16
    }
}

/// The product of a vector and a matrix whose rows are the weights of one output each: a convolution of
/// one pixel, with outputs that are high words. The bias already holds
/// `-input_zero_point * sum(weights)`.
#[derive(Clone, Copy, Debug)]
pub struct VectorI8<'a> {
    /// `[I]`.
    pub input: In<'a, i8>,
    /// `[O]`.
    pub output: &'a [Cell<i8>],
    /// `[O, I]`, and what follows.
    pub weights: &'a [i8],
    /// Records of all outputs, and what follows.
    pub channels: Channels<'a>,
    /// How accumulators become outputs.
    pub requantize: Requantize,
    /// Memory besides.
    pub binding: Binding<'a>,
}

impl<'a> VectorI8<'a> {
    /// The same as a convolution.
    pub(crate) fn convolution(&self) -> Conv2dI8<'a> {
        let window = Window {
            kernel: [1, 1],
            stride: [1, 1],
            dilation: [1, 1],
            padding: [0, 0],
        };
        Conv2dInteger {
            geometry: Geometry {
                input: [1, 1, self.input.len()],
                output: [1, 1, self.output.len()],
                window,
                groups: 1,
            },
            input: self.input,
            output: self.output,
            weights: self.weights,
            channels: self.channels,
            requantize: self.requantize,
            input_zero_point: 0,
            binding: self.binding,
        }
    }
}

/// A convolution of one image with int8 weights. Weights are `[O, KH, KW, I / groups]`; for a
/// depthwise convolution (`groups == I`) they are `[KH, KW, O]`. The bias already holds
/// `-input_zero_point * sum(weights)`, and padded taps count as `input_zero_point`.
#[derive(Clone, Copy, Debug)]
pub struct Conv2dInteger<'a, T: Copy> {
    /// Shapes.
    pub geometry: Geometry,
    /// `[H, W, I]`.
    pub input: In<'a, T>,
    /// `[H, W, O]`.
    pub output: &'a [Cell<T>],
    /// See above.
    pub weights: &'a [i8],
    /// One per output channel.
    pub channels: Channels<'a>,
    /// How accumulators become outputs; its limits are within the range of `T`.
    pub requantize: Requantize,
    /// The value of padded taps.
    pub input_zero_point: T,
    /// Memory of the session.
    pub binding: Binding<'a>,
}

/// What is known of an int8 convolution before it runs.
#[derive(Clone, Copy, Debug)]
pub struct Conv2dConstants<'a> {
    /// Shapes.
    pub geometry: Geometry,
    /// As in [`Conv2dInteger`].
    pub weights: &'a [i8],
    /// One per output channel.
    pub channels: Channels<'a>,
    /// How accumulators become outputs.
    pub requantize: Requantize,
}

/// int8 activations.
pub type Conv2dI8<'a> = Conv2dInteger<'a, i8>;

/// int16 activations. The caller sees to it that weights are small enough for sums of 32 bits.
pub type Conv2dI16<'a> = Conv2dInteger<'a, i16>;

/// A convolution of one image of int16 with int8 weights in 64 bits. Weights are
/// `[O, KH, KW, I / groups]` in any case; zero points are 0.
#[derive(Clone, Copy, Debug)]
pub struct Conv2dLong<'a> {
    /// Shapes.
    pub geometry: Geometry,
    /// `[H, W, I]`.
    pub input: In<'a, i16>,
    /// `[H, W, O]`.
    pub output: &'a [Cell<i16>],
    /// See above.
    pub weights: &'a [i8],
    /// Four words a channel: the lower and the upper half of the bias, a multiplier of 15 bits, and
    /// a shift to the right of 1 to 46.
    pub channels: &'a [i32],
    /// Smallest and largest output.
    pub limits: [i16; 2],
}

/// A float convolution of one image, with the same weight layouts.
#[derive(Clone, Copy, Debug)]
pub struct Conv2dF32<'a> {
    /// Shapes.
    pub geometry: Geometry,
    /// `[H, W, I]`.
    pub input: In<'a, f32>,
    /// `[H, W, O]`.
    pub output: &'a [Cell<f32>],
    /// See [`Conv2dI8`].
    pub weights: &'a [f32],
    /// One per output channel; empty for none.
    pub bias: &'a [f32],
    /// Smallest and largest output: the fused activation.
    pub limits: [f32; 2],
    /// Memory of the session.
    pub binding: Binding<'a>,
}

/// The sum of two int8 tensors of equal shape with scales of their own:
/// `clamp(zero_point + round_half_up((a * factor_a + b * factor_b + offset) / 2^shift))`.
///
/// The offset holds the inputs' zero points. Factors are chosen so that nothing overflows 32 bits.
#[derive(Clone, Copy, Debug)]
pub struct AddI8<'a> {
    /// The operands.
    pub inputs: [In<'a, i8>; 2],
    /// The sum.
    pub output: &'a [Cell<i8>],
    /// Integer factors of the operands. Loops are fastest where both have 16 bits.
    pub factors: [i32; 2],
    /// Added to the products, rounding included.
    pub offset: i32,
    /// Shift to the right.
    pub shift: u8,
    /// Smallest and largest output; the output's zero point is in the offset.
    pub limits: [i8; 2],
    /// The threads that help.
    pub threads: Threads<'a>,
}

impl AddI8<'_> {
    /// The sum of the elements from one on; of none where there are no more.
    pub fn behind(&self, first: usize) -> Self {
        AddI8 {
            inputs: self.inputs.map(|input| input.part(first, input.len())),
            output: self.output.get(first..).unwrap_or(&[]),
            ..*self
        }
    }
}

/// The sum of two int8 tensors of equal shape as TensorFlow Lite Micro rounds it, step by step. With
/// `rounded(x, (m, s)) = round(round(x * m / 2^31) / 2^s)`, halves of the first up and of the second away from
/// zero: `clamp(zero_point + rounded((a - zero_a) * 2^19 + rounded((b - zero_b) * 2^20, factor),
/// output_factor))`. `a` is the operand with the larger scale, of which twice is the unit on the way.
#[derive(Clone, Copy, Debug)]
pub struct StepwiseAddI8<'a> {
    /// The operands.
    pub inputs: [In<'a, i8>; 2],
    /// The sum.
    pub output: &'a [Cell<i8>],
    /// Zero points of the operands, -128 to 127.
    pub input_zero_points: [i32; 2],
    /// The second operand's multiplier, of at least 0, and a shift to the right of at most 31.
    pub factor: (i32, u8),
    /// Those of the sum.
    pub output_factor: (i32, u8),
    /// The output's zero point, -128 to 127.
    pub output_zero_point: i32,
    /// Smallest and largest output.
    pub limits: [i8; 2],
}

impl StepwiseAddI8<'_> {
    /// Binary places of operands on the way.
    pub const PLACES: u32 = 20;

    /// The sum of the elements from one on; of none where there are no more.
    pub fn behind(&self, first: usize) -> Self {
        StepwiseAddI8 {
            inputs: self.inputs.map(|input| input.part(first, input.len())),
            output: self.output.get(first..).unwrap_or(&[]),
            ..*self
        }
    }
}

/// The sum of two int16 tensors of equal shape:
/// `clamp(round_half_up((a * factor_a + b * factor_b + offset) / 2^shift))`, in 64 bits.
#[derive(Clone, Copy, Debug)]
pub struct AddI16<'a> {
    /// The operands.
    pub inputs: [In<'a, i16>; 2],
    /// The sum.
    pub output: &'a [Cell<i16>],
    /// Integer factors of the operands.
    pub factors: [i32; 2],
    /// Added to the products: zero points and rounding.
    pub offset: i64,
    /// Shift to the right.
    pub shift: u8,
    /// Smallest and largest output.
    pub limits: [i16; 2],
}

/// A pool of one image; input and output share scale and zero point.
#[derive(Clone, Copy, Debug)]
pub struct PoolInteger<'a, T: Copy> {
    /// Shapes; `groups` is not used.
    pub geometry: Geometry,
    /// `[H, W, C]`.
    pub input: In<'a, T>,
    /// `[H, W, C]`.
    pub output: &'a [Cell<T>],
    /// Smallest and largest output.
    pub limits: [T; 2],
}

/// A pool of int8.
pub type PoolI8<'a> = PoolInteger<'a, i8>;

/// A pool of int16, whose windows have 32,768 elements at most.
pub type PoolI16<'a> = PoolInteger<'a, i16>;

/// An int8 tensor mapped element by element through a table of 256 outputs, indexed by the
/// input's bits as an unsigned byte.
#[derive(Clone, Copy, Debug)]
pub struct LineI8<'a> {
    /// Elements.
    pub input: In<'a, i8>,
    /// As many elements.
    pub output: &'a [Cell<i8>],
    /// 256 outputs.
    pub table: &'a [i8],
}

/// Real numbers that become int8: each as [`format::fixed::quantize`] rounds it, or as
/// [`format::fixed::quantize_half_away`] does.
#[derive(Clone, Copy, Debug)]
pub struct QuantizeI8<'a> {
    /// Elements.
    pub input: In<'a, f32>,
    /// As many elements; they may start where the input does, or before it.
    pub output: &'a [Cell<i8>],
    /// The distance between neighbouring integers; more than 0.
    pub scale: f32,
    /// The integer that stands for zero: int8.
    pub zero_point: i32,
    /// Which of the two: numbers half way between integers become even ones, or those further from 0.
    pub halves_to_even: bool,
}

/// An int16 tensor mapped element by element through a function given at every 128th input,
/// with straight lines between: `table[i]` is the output for `128 * i - 32,768`.
#[derive(Clone, Copy, Debug)]
pub struct LineI16<'a> {
    /// Elements.
    pub input: In<'a, i16>,
    /// As many elements.
    pub output: &'a [Cell<i16>],
    /// 513 outputs.
    pub table: &'a [i16],
}

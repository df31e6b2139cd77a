//! What kernels take: geometry, channel parameters, operands.

use crate::memory::In;
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
    /// Multiplications that one output element needs.
    pub fn taps(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1] * self.input[2] / self.groups.max(1)
    }

    /// Whether the convolution is a matrix product over pixels: 1 x 1, no stride, no padding.
    pub fn is_pointwise(&self) -> bool {
        self.window.kernel == [1, 1]
            && self.window.stride == [1, 1]
            && self.window.padding == [0, 0]
            && self.groups == 1
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

    /// The output of `channel` for a finished accumulator.
    #[inline(always)]
    pub fn finish(&self, requantize: &Requantize, channel: usize, accumulator: i32) -> i8 {
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
        moved.clamp(i32::from(requantize.min), i32::from(requantize.max)) as i8
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
    /// What `prepare` wrote when the session was made: weights packed for this machine.
    pub prepared: &'a [u8],
    /// Working memory, 16-byte aligned; its content is lost between operators.
    pub scratch: &'a [Cell<u8>],
}

/// An int8 convolution of one image. Weights are `[O, KH, KW, I / groups]`; for a depthwise
/// convolution (`groups == I`) they are `[KH, KW, O]`. The bias already holds
/// `-input_zero_point * sum(weights)`, and padded taps count as `input_zero_point`.
#[derive(Clone, Copy, Debug)]
pub struct Conv2dI8<'a> {
    /// Shapes.
    pub geometry: Geometry,
    /// `[H, W, I]`.
    pub input: In<'a, i8>,
    /// `[H, W, O]`.
    pub output: &'a [Cell<i8>],
    /// See above.
    pub weights: &'a [i8],
    /// One per output channel.
    pub channels: Channels<'a>,
    /// How accumulators become outputs.
    pub requantize: Requantize,
    /// The value of padded taps.
    pub input_zero_point: i8,
    /// Memory of the session.
    pub binding: Binding<'a>,
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
    /// Integer factors of the operands.
    pub factors: [i32; 2],
    /// Added to the products, rounding included.
    pub offset: i32,
    /// Shift to the right.
    pub shift: u8,
    /// Smallest and largest output; the output's zero point is in the offset.
    pub limits: [i8; 2],
}

/// An int8 pool of one image; input and output share scale and zero point.
#[derive(Clone, Copy, Debug)]
pub struct PoolI8<'a> {
    /// Shapes; `groups` is not used.
    pub geometry: Geometry,
    /// `[H, W, C]`.
    pub input: In<'a, i8>,
    /// `[H, W, C]`.
    pub output: &'a [Cell<i8>],
    /// Smallest and largest output.
    pub limits: [i8; 2],
}

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

//! What a node says of an int8 convolution, decoded when a session is made and kept in front of the
//! packed weights: on hosts small layers would spend a tenth of their time on decoding it.

use super::{Convolution, Elements, constants, geometry, run_integer, vector};
use crate::{Architecture, Run};
use format::fixed::{Requantize, Rounding};
use format::{Node, Place, Tensor};
use kernels::memory::{In, as_bytes, cells_as, slice_as};
#[cfg(feature = "host")]
use kernels::threads::Layer;
use kernels::{Binding, Geometry, Window};

/// Words that are kept.
const WORDS: usize = 32;

/// Their bytes: two lines of a cache, so that packed weights start at a line.
const BYTES: usize = WORDS * size_of::<u32>();

/// Bytes of what is kept and of packed weights; 0 where neither is needed.
pub(super) fn prepared_bytes(node: &Node<'_>, architecture: Architecture) -> usize {
    let packed = |g: Geometry| kernels::i8::conv_2d_prepared_bytes(&g, architecture);
    match geometry(node).map_or(0, packed) {
        0 => 0,
        packed => packed.saturating_add(BYTES),
    }
}

pub(super) fn prepare(node: &Node<'_>, prepared: &mut [u8]) {
    let Some((front, packed)) = prepared.split_at_mut_checked(BYTES) else { return };
    front.copy_from_slice(as_bytes(&Kept::words(Kept::of(node))));
    if let Some(constants) = constants(node) {
        kernels::i8::prepare_conv_2d(&constants, packed);
    }
}

/// As [`run_integer`], with what was kept.
pub(super) fn run(run: &Run<'_>) {
    // Microcontrollers keep nothing, and need no code for it.
    if cfg!(target_os = "none") || run.binding.prepared.is_empty() {
        return vector::run(run)
            .unwrap_or_else(|| run_integer(run, run.binding, kernels::i8::conv_2d));
    }
    let binding = packed(run);
    match elements(run) {
        Some((convolution, elements)) => {
            convolution.run(&elements, binding, kernels::i8::conv_2d);
        }
        None => run_integer(run, binding, kernels::i8::conv_2d),
    }
}

/// What [`run`] computes of a single image.
#[cfg(feature = "host")]
pub(super) fn layer<'a>(run: &Run<'a>) -> Option<Layer<'a>> {
    let (convolution, elements) = elements(run)?;
    let only = (convolution.batch == 1).then(|| convolution.image(0, &elements, packed(run)));
    only.map(Layer::Conv2dI8)
}

/// The binding of the kernel: with what is behind the words that are kept.
fn packed<'a>(run: &Run<'a>) -> Binding<'a> {
    Binding {
        prepared: run.binding.prepared.get(BYTES..).unwrap_or(&[]),
        ..run.binding
    }
}

/// What is kept, and the elements.
fn elements<'a>(run: &Run<'a>) -> Option<(Convolution, Elements<'a, i8>)> {
    let kept = Kept::read(run.binding.prepared.get(..BYTES)?)?;
    let constants = run.node.model().constants();
    let elements = Elements {
        input: In::from_cells(cells_as(kept.input.part(run.arena)).unwrap_or(&[])),
        output: cells_as(kept.output.part(run.arena)).unwrap_or(&[]),
        weights: slice_as(kept.weights.part(constants)).unwrap_or(&[]),
        channels: kept.channels.part(constants),
    };
    Some((kept.convolution, elements))
}

/// A part of a larger memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: usize,
    bytes: usize,
}

impl Span {
    /// Of a tensor, where it is in such a place.
    fn of(tensor: &Tensor, is_there: fn(Place) -> bool) -> Option<Span> {
        is_there(tensor.place).then_some(Span {
            start: tensor.offset,
            bytes: tensor.bytes(),
        })
    }

    /// The part of `whole`, empty where it has none.
    fn part<'a, T>(&self, whole: &'a [T]) -> &'a [T] {
        let end = self.start.saturating_add(self.bytes);
        whole.get(self.start..end).unwrap_or(&[])
    }
}

/// A convolution and where its operands are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kept {
    convolution: Convolution,
    /// In the arena.
    input: Span,
    /// In the arena.
    output: Span,
    /// Among the constants.
    weights: Span,
    /// Channel records, among the constants.
    channels: Span,
}

impl Kept {
    /// `None` for nodes without working memory on both sides.
    fn of(node: &Node<'_>) -> Option<Kept> {
        let working = |place| place != Place::Constant;
        let constant = |place| place == Place::Constant;
        Some(Kept {
            convolution: Convolution::of(node)?,
            input: Span::of(&node.input(0)?, working)?,
            output: Span::of(&node.output(0)?, working)?,
            weights: Span::of(&node.input(1)?, constant)?,
            channels: Span::of(&node.input(2)?, constant)?,
        })
    }

    /// The words; all zero for `None`.
    fn words(kept: Option<Kept>) -> [u32; WORDS] {
        let mut words = [0; WORDS];
        let Some(kept) = kept else { return words };
        let Convolution {
            batch,
            geometry,
            requantize,
            input_zero_point,
        } = kept.convolution;
        let window = geometry.window;
        let [a, b] = [geometry.input, geometry.output];
        let spans = [kept.input, kept.output, kept.weights, kept.channels];
        let sizes = [batch, a[0], a[1], a[2], b[0], b[1], b[2], geometry.groups];
        let windows = [window.kernel, window.stride, window.dilation, window.padding];
        let counts = sizes
            .into_iter()
            .chain(windows.into_iter().flatten())
            .chain(spans.into_iter().flat_map(|span| [span.start, span.bytes]))
            .map(|count| count as u32);
        let numbers = [
            requantize.rounding as i32,
            i32::from(requantize.bias_shift),
            i32::from(requantize.multiplier_shift),
            i32::from(requantize.zero_point),
            i32::from(requantize.min),
            i32::from(requantize.max),
            i32::from(input_zero_point),
            i32::from(requantize.is_plain),
        ];
        let all = counts.chain(numbers.map(|number| number as u32));
        words.iter_mut().zip(all).for_each(|(to, word)| *to = word);
        words
    }

    /// What [`Kept::words`] wrote.
    fn read(words: &[u8]) -> Option<Kept> {
        let words: &[u32; WORDS] = slice_as(words)?.try_into().ok()?;
        let size = |at: usize| words[at] as usize;
        let pair = |at: usize| [size(at), size(at + 1)];
        let span = |at: usize| Span {
            start: size(at),
            bytes: size(at + 1),
        };
        let number = |at: usize| words[at] as i32;
        let convolution = Convolution {
            batch: size(0),
            geometry: Geometry {
                input: [size(1), size(2), size(3)],
                output: [size(4), size(5), size(6)],
                groups: size(7),
                window: Window {
                    kernel: pair(8),
                    stride: pair(10),
                    dilation: pair(12),
                    padding: pair(14),
                },
            },
            requantize: Requantize {
                rounding: Rounding::from_code(words[24] as u8)?,
                bias_shift: words[25] as u8,
                multiplier_shift: words[26] as u8,
                is_plain: words[31] != 0,
                zero_point: number(27) as i16,
                min: number(28) as i16,
                max: number(29) as i16,
            },
            input_zero_point: number(30) as i8,
        };
        let kept = Kept {
            convolution,
            input: span(16),
            output: span(18),
            weights: span(20),
            channels: span(22),
        };
        (kept.convolution.batch > 0).then_some(kept)
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_what_was_decoded() {
        let span = |start| Span {
            start,
            bytes: start + 5,
        };
        let kept = Kept {
            convolution: Convolution {
                batch: 2,
                geometry: Geometry {
                    input: [3, 4, 5],
                    output: [6, 7, 8],
                    groups: 9,
                    window: Window {
                        kernel: [10, 11],
                        stride: [12, 13],
                        dilation: [14, 15],
                        padding: [16, 17],
                    },
                },
                requantize: Requantize {
                    rounding: Rounding::Double,
                    bias_shift: 11,
                    multiplier_shift: 19,
                    is_plain: true,
                    zero_point: -18,
                    min: -128,
                    max: 127,
                },
                input_zero_point: -19,
            },
            input: span(100),
            output: span(200),
            weights: span(300),
            channels: span(400),
        };
        assert_eq!(Kept::read(as_bytes(&Kept::words(Some(kept)))), Some(kept));
        assert_eq!(Kept::read(as_bytes(&Kept::words(None))), None);
    }
}

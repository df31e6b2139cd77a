//! Plain Rust loops: correct on every target, and the judge of the others.

pub(crate) mod f32;
pub(crate) mod i16;
pub(crate) mod i8;
mod integer;
pub(crate) mod long;
pub(crate) mod pool;
mod stepwise;

use crate::Geometry;
use core::ops::Range;

/// The taps of a window that fall inside `size` elements, for the window that starts at
/// `output * stride - padding`.
pub(crate) fn taps_inside(geometry: &Geometry, axis: usize, output: usize) -> Range<usize> {
    let window = &geometry.window;
    let (dilation, kernel) = (window.dilation[axis].max(1), window.kernel[axis]);
    let start = output * window.stride[axis];
    let padding = window.padding[axis];
    let first = padding.saturating_sub(start).div_ceil(dilation).min(kernel);
    let reach = (geometry.input[axis] + padding).saturating_sub(start);
    let end = reach.div_ceil(dilation).min(kernel);
    first..end.max(first)
}

/// The input row or column under tap `tap`, which [`taps_inside`] gave.
pub(crate) fn position(geometry: &Geometry, axis: usize, output: usize, tap: usize) -> usize {
    let window = &geometry.window;
    (output * window.stride[axis] + tap * window.dilation[axis])
        .saturating_sub(window.padding[axis])
}

/// The taps of a window that fall inside an image.
#[derive(Clone, Debug)]
pub struct Taps<'a> {
    geometry: &'a Geometry,
    at: [usize; 2],
    rows: Range<usize>,
    columns: Range<usize>,
}

/// Bytes whose sum fits half a word.
const HALVES_MAX: usize = 257;

/// The taps of the window of output pixel `(y, x)`.
pub fn pool_taps(geometry: &Geometry, y: usize, x: usize) -> Taps<'_> {
    let (rows, columns) = (taps_inside(geometry, 0, y), taps_inside(geometry, 1, x));
    Taps {
        geometry,
        at: [y, x],
        rows,
        columns,
    }
}

/// The taps of that window inside the image and its padding; `bottom_right` is the padding
/// behind the image.
pub fn padded_taps(geometry: &Geometry, bottom_right: [usize; 2], y: usize, x: usize) -> usize {
    let mut padded = *geometry;
    for (axis, behind) in bottom_right.into_iter().enumerate() {
        padded.input[axis] += padded.window.padding[axis] + behind;
        padded.window.padding[axis] = 0;
    }
    pool_taps(&padded, y, x).count()
}

impl Taps<'_> {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.rows.len() * self.columns.len()
    }

    /// The sum of the elements of `channel` under the taps; of int16, 32,768 of them at most.
    pub fn sum<T: crate::Integer>(&self, image: &crate::memory::In<'_, T>, channel: usize) -> i32 {
        self.fold(image, channel, 0, |sum, element| sum + element)
    }

    /// The elements of `channel` under the taps, folded in their order.
    #[inline]
    pub fn fold<T: crate::Integer, A>(
        &self,
        image: &crate::memory::In<'_, T>,
        channel: usize,
        start: A,
        fold: impl Fn(A, i32) -> A,
    ) -> A {
        let [_, input_columns, channels] = self.geometry.input;
        let mut folded = start;
        let step = self.geometry.window.dilation[1] * channels;
        let column = position(self.geometry, 1, self.at[1], self.columns.start);
        for row in self.rows.clone() {
            let row = position(self.geometry, 0, self.at[0], row) * input_columns;
            let mut at = (row + column) * channels + channel;
            for _ in self.columns.clone() {
                folded = fold(folded, image.get(at).into());
                at += step;
            }
        }
        folded
    }

    /// The sums of channels `first` to `first + 8` under the taps; those of channels that there
    /// are not are of no use.
    pub fn sums_i8(&self, image: &crate::memory::In<'_, i8>, first: usize) -> [i32; 8] {
        if self.count() > HALVES_MAX {
            let mut channel = first;
            return [0; 8].map(|_: i32| {
                channel += 1;
                self.sum(image, channel - 1)
            });
        }
        let [_, input_columns, channels] = self.geometry.input;
        let step = self.geometry.window.dilation[1] * channels;
        let column = position(self.geometry, 1, self.at[1], self.columns.start);
        // Elements above -128 in halves of words, even and odd ones apart.
        let mut halves = [0u32; 4];
        for row in self.rows.clone() {
            let row = position(self.geometry, 0, self.at[0], row) * input_columns;
            let mut at = (row + column) * channels + first;
            for _ in self.columns.clone() {
                let words = [image.word(at), image.word(at + 4)].map(|word| word ^ 0x8080_8080);
                for (pair, word) in halves.chunks_exact_mut(2).zip(words) {
                    pair[0] += word & 0x00FF_00FF;
                    pair[1] += word >> 8 & 0x00FF_00FF;
                }
                at += step;
            }
        }
        let below = 128 * self.count() as i32;
        let [a, b, c, d] =
            halves.map(|half| [half & 0xFFFF, half >> 16].map(|above| above as i32 - below));
        [a[0], b[0], a[1], b[1], c[0], d[0], c[1], d[1]]
    }

    /// Elements of channels `first` to `first + 8` under the taps, folded in their order; those
    /// of channels that there are not are of no use.
    #[inline]
    pub fn fold_f32(
        &self,
        image: &crate::memory::In<'_, f32>,
        first: usize,
        start: f32,
        fold: impl Fn(f32, f32) -> f32,
    ) -> [f32; 8] {
        let [_, input_columns, channels] = self.geometry.input;
        let step = self.geometry.window.dilation[1] * channels;
        let column = position(self.geometry, 1, self.at[1], self.columns.start);
        let mut folded = [start; 8];
        for row in self.rows.clone() {
            let row = position(self.geometry, 0, self.at[0], row) * input_columns;
            let mut at = (row + column) * channels + first;
            for _ in self.columns.clone() {
                let values = image.eight(at);
                (0..8).for_each(|i| folded[i] = fold(folded[i], values[i]));
                at += step;
            }
        }
        folded
    }
}

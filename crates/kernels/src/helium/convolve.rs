//! Convolutions: which windows the loops see, and where they are.

use super::channelwise::depthwise;
use super::copy::{helium_copy_rows, helium_fill};
use super::plan::{Kind, PIXELS, VECTOR_BYTES, conv_2d_scratch_bytes, is_in_place, window_bytes};
use super::product::{
    Pixels, Product, helium_product_1, helium_product_1_double, helium_product_1_single,
    helium_product_3, helium_product_3_double, helium_product_3_single, helium_product_128,
    helium_product_128_double,
};
use crate::memory::overlaps;
use crate::scalar::{position, taps_inside};
use crate::{Channels, Conv2dI8, Geometry, VectorI8, rules, scalar};
use core::ops::Range;
use format::fixed::{Requantize, Rounding};

/// Channels whose sums are on the stack at a time, where a rule is not that of the high word.
const SUMS: usize = 32;

/// Operands whose sizes were compared with the geometry.
pub(super) struct Checked<'a> {
    pub(super) operands: &'a Conv2dI8<'a>,
    pub(super) scratch: *mut i8,
}

impl<'a> Checked<'a> {
    fn new(operands: &'a Conv2dI8<'a>) -> Option<Self> {
        let geometry = &operands.geometry;
        let [input, output] = [geometry.input, geometry.output].map(|n| n[0] * n[1] * n[2]);
        let requantize = &operands.requantize;
        let channels = match operands.channels {
            Channels::High(words) => words.len(),
            Channels::Wide(words) => words.len() / 3,
        };
        let scratch = operands.binding.scratch;
        let fits = operands.input.len() >= input
            && operands.output.len() >= output
            && output > 0
            && operands.weights.len() >= geometry.output[2].checked_mul(geometry.taps())?
            && channels >= geometry.output[2]
            && requantize.bias_shift <= 11
            && requantize.multiplier_shift <= 19
            && scratch.len() >= conv_2d_scratch_bytes(geometry)
            && scratch
                .as_ptr()
                .addr()
                .is_multiple_of(align_of::<*const i8>());
        fits.then_some(Checked {
            operands,
            scratch: scratch.as_ptr().cast_mut().cast(),
        })
    }
}

/// See [`crate::i8::conv_2d`]; for outputs by one of `RULES` (see [`rules`]), without loops for others.
pub(crate) fn conv_2d<const RULES: u8>(operands: &Conv2dI8<'_>) {
    if !single(operands).is_some_and(|operands| vector::<RULES>(&operands)) {
        images::<RULES>(operands);
    }
}

/// Taps and outputs of the product of one vector and a matrix.
#[inline(always)]
fn vector_sizes(geometry: &Geometry) -> Option<[usize; 2]> {
    let Geometry {
        input: [1, 1, taps],
        output: [1, 1, outputs],
        groups: 1,
        window,
    } = *geometry
    else {
        return None;
    };
    (window.kernel == [1, 1] && window.padding == [0, 0]).then_some([taps, outputs])
}

/// Whatever is no single vector. Apart from it, so that a vector pays for nothing of this.
#[inline(never)]
fn images<const RULES: u8>(operands: &Conv2dI8<'_>) {
    let kind = Kind::of(&operands.geometry);
    match kind.and_then(|kind| Some((kind, Checked::new(operands)?))) {
        Some((Kind::Product, checked)) => products::<RULES>(&checked),
        Some((Kind::Depthwise, checked)) => {
            let operands = &Conv2dI8 {
                geometry: operands.geometry.lying(),
                ..*operands
            };
            depthwise::<RULES>(&Checked {
                operands,
                ..checked
            });
        }
        None => scalar::i8::conv_2d(operands),
    }
}

/// The product of one vector and a matrix, if this is one.
fn single<'a>(operands: &Conv2dI8<'a>) -> Option<VectorI8<'a>> {
    let [taps, outputs] = vector_sizes(&operands.geometry)?;
    (operands.input.len() >= taps).then_some(VectorI8 {
        input: operands.input.part(0, taps),
        output: operands.output.get(..outputs)?,
        weights: operands.weights,
        channels: operands.channels,
        requantize: operands.requantize,
        binding: operands.binding,
    })
}

/// See [`crate::i8::vector`]. Nothing is computed where sizes do not fit, or there are no loops for the rule:
/// then it is `false`.
#[inline(always)]
pub(crate) fn vector<const RULES: u8>(operands: &VectorI8<'_>) -> bool {
    let (taps, outputs) = (operands.input.len(), operands.output.len());
    let requantize = &operands.requantize;
    let roundings = Roundings::of::<RULES>(operands.channels, requantize);
    let (channels, count) = match (operands.channels, roundings) {
        (Channels::High(words), _) => (words.as_ptr(), words.len()),
        (Channels::Wide(words), Some(_)) => (words.as_ptr().cast(), words.len() / 3),
        _ => return false,
    };
    let fits = taps
        .checked_mul(outputs)
        .is_some_and(|n| (1..=operands.weights.len()).contains(&n))
        && count >= outputs
        && requantize.bias_shift <= 11
        && requantize.multiplier_shift <= 19;
    if !fits {
        return false;
    }
    let weights = operands.weights.as_ptr();
    let mut product = product(requantize, [taps, outputs], weights, channels);
    product.begin[1] = operands.input.as_ptr();
    product.to = operands.output.as_ptr().cast_mut().cast();
    // SAFETY: neither `taps` nor `outputs` is 0; the vector, its outputs, their weights and their
    // records of the rule's kind are there.
    unsafe {
        match (roundings, has_128_taps([taps, outputs], weights)) {
            (None, true) => helium_product_128(&product),
            (None, false) => helium_product_1(&mut product),
            (Some(Roundings::One), _) => helium_product_1_single(&mut product),
            (Some(Roundings::Two), true) => helium_product_128_double(&product),
            (Some(Roundings::Two), false) => helium_product_1_double(&mut product),
        }
    }
    true
}

/// Whether the loop for 128 taps and eight outputs at a time serves.
fn has_128_taps([taps, outputs]: [usize; 2], weights: *const i8) -> bool {
    let is_aligned = weights.addr().is_multiple_of(align_of::<u32>());
    taps == 128 && outputs.is_multiple_of(8) && is_aligned
}

/// Pixel by pixel in the order of the output, a few at a time. Where input and output overlap,
/// all windows of a group that crosses the end of a row are staged before any of its outputs is
/// written.
#[inline(never)]
fn products<const RULES: u8>(checked: &Checked<'_>) {
    let Conv2dI8 {
        geometry,
        input,
        output,
        ..
    } = *checked.operands;
    let [rows, columns, outputs] = geometry.output;
    let is_in_place = is_in_place(&geometry);
    let overlaps = overlaps(&input, output);
    let mut stages = !is_in_place;
    let step = window_bytes(&geometry);
    let column_step = geometry.window.stride[1] * geometry.input[2];
    let inside = inside(&geometry);
    let whole = Whole::new(checked.operands);
    let mut group = Group::<RULES>::new(checked.operands);
    let mut to: *mut i8 = output.as_ptr().cast_mut().cast();
    let mut windows = [input.as_ptr(); PIXELS];
    let mut count = 0;
    for y in 0..rows {
        let tap_rows = taps_inside(&geometry, 0, y);
        let row = position(&geometry, 0, y, 0) * geometry.input[1] * geometry.input[2];
        let row = input.as_ptr().wrapping_add(row);
        let is_whole = tap_rows.len() == geometry.window.kernel[0];
        let mut x = 0;
        while x < columns {
            if count == 0 && is_in_place {
                let groups = (columns - x) / PIXELS;
                if groups > 0 && group.has_pixels {
                    let window = row.wrapping_add(x * column_step);
                    // SAFETY: in place, every pixel's position is inside the input.
                    unsafe { group.multiply_run(window, column_step, groups, to) };
                    to = to.wrapping_add(groups * PIXELS * outputs);
                    x += groups * PIXELS;
                    continue;
                }
                stages = overlaps && x + PIXELS > columns && y + 1 < rows;
            }
            // In place, every pixel's position is inside the input.
            windows[count] = row.wrapping_add(x * column_step);
            if stages {
                // SAFETY: scratch memory has room for as many windows as a group has.
                let place = unsafe { checked.scratch.add(count * step) };
                if is_whole && whole.is_dense && inside.contains(&x) {
                    // SAFETY: the window is inside the image, and the place has room for it.
                    unsafe { whole.stage(row.wrapping_add(x * column_step), place) };
                } else {
                    stage(checked, [y, x], &tap_rows, place);
                }
                windows[count] = place;
            }
            count += 1;
            x += 1;
            if count == PIXELS || y + 1 == rows && x == columns {
                // SAFETY: windows have `taps` bytes, and the next `count` pixels of the output
                // begin at `to`.
                unsafe { group.multiply(&windows[..count], to) };
                to = to.wrapping_add(count * outputs);
                count = 0;
            }
        }
    }
}

/// The output columns whose windows are inside the image.
pub(super) fn inside(geometry: &Geometry) -> Range<usize> {
    let kernel = geometry.window.kernel[1];
    let is_inside = |x: &usize| taps_inside(geometry, 1, *x).len() == kernel;
    let columns = geometry.output[1];
    let start = (0..columns).find(is_inside).unwrap_or(columns);
    // Windows move to the right until they leave the image.
    let last = (start..columns).rev().find(is_inside);
    start..last.map_or(start, |last| last + 1)
}

/// How windows inside the image are copied.
struct Whole {
    /// Whether taps are next to each other.
    is_dense: bool,
    /// Bytes from an input row's first padded pixel to its first pixel.
    padding: usize,
    /// Of a row of the window.
    bytes: usize,
    row_step: usize,
    rows: usize,
}

impl Whole {
    fn new(operands: &Conv2dI8<'_>) -> Self {
        let Geometry { input, window, .. } = operands.geometry;
        Whole {
            is_dense: window.dilation[1] == 1,
            padding: window.padding[1] * input[2],
            bytes: window.kernel[1] * input[2],
            row_step: window.dilation[0] * input[1] * input[2],
            rows: window.kernel[0],
        }
    }

    /// Copies the window at `padded`, where it would begin if the padding were in memory.
    ///
    /// # Safety
    ///
    /// The window is inside the image, dense and not empty; `to` has as many bytes as it has taps.
    unsafe fn stage(&self, padded: *const i8, to: *mut i8) {
        let from = padded.wrapping_sub(self.padding);
        // SAFETY: as the caller promises.
        unsafe { helium_copy_rows(to, from, self.bytes, self.bytes, self.row_step, self.rows) };
    }
}

/// Copies the window of output pixel `at`, padding included.
#[inline(never)]
fn stage(checked: &Checked<'_>, at: [usize; 2], rows: &Range<usize>, to: *mut i8) {
    let Conv2dI8 {
        geometry,
        input,
        input_zero_point,
        ..
    } = *checked.operands;
    let [_, input_columns, channels] = geometry.input;
    let [kernel_rows, kernel_columns] = geometry.window.kernel;
    let columns = taps_inside(&geometry, 1, at[1]);
    let [_, dilation] = geometry.window.dilation;
    if rows.len() < kernel_rows || columns.len() < kernel_columns {
        // SAFETY: a window's place has at least `taps` bytes, and there are taps.
        unsafe { helium_fill(to, i32::from(input_zero_point), geometry.taps()) };
    }
    if rows.is_empty() || columns.is_empty() {
        return;
    }
    let row = position(&geometry, 0, at[0], rows.start) * input_columns;
    let from = (row + position(&geometry, 1, at[1], columns.start)) * channels;
    let row_step = geometry.window.dilation[0] * input_columns * channels;
    let start = (rows.start * kernel_columns + columns.start) * channels;
    // SAFETY: taps inside the image are at positions inside the input, and at places inside the
    // window; with a dilation, rows of one tap each are copied one kernel row after another.
    unsafe {
        let (from, to) = (input.as_ptr().add(from), to.add(start));
        if dilation == 1 {
            let bytes = columns.len() * channels;
            let to_step = kernel_columns * channels;
            helium_copy_rows(to, from, bytes, to_step, row_step, rows.len());
        } else {
            for row in 0..rows.len() {
                let to = to.add(row * kernel_columns * channels);
                let from = from.add(row * row_step);
                helium_copy_rows(
                    to,
                    from,
                    channels,
                    channels,
                    dilation * channels,
                    columns.len(),
                );
            }
        }
    }
}

/// What multiplies the windows of a few pixels.
struct Group<'a, const RULES: u8> {
    operands: &'a Conv2dI8<'a>,
    pixels: Pixels,
    product: Product,
    /// Whether several windows can be multiplied at once.
    has_pixels: bool,
    /// Of records of three words that the loop for several windows takes.
    roundings: Option<Roundings>,
}

/// How often outputs of records of three words are rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Roundings {
    /// [`Rounding::Single`].
    One,
    /// [`Rounding::Double`].
    Two,
}

impl Roundings {
    /// `None` for records of one word, and for shifts that loops in assembly do not compute: those that are
    /// not to the right.
    #[inline(always)]
    pub(super) fn of<const RULES: u8>(
        channels: Channels<'_>,
        requantize: &Requantize,
    ) -> Option<Self> {
        if matches!(channels, Channels::High(_)) {
            return None;
        }
        match requantize.rounding {
            Rounding::Double if RULES & rules::DOUBLE != 0 && requantize.is_plain => {
                Some(Roundings::Two)
            }
            Rounding::Single if RULES & rules::SINGLE != 0 && requantize.is_plain => {
                Some(Roundings::One)
            }
            _ => None,
        }
    }
}

/// What one window of so many taps is multiplied by for so many outputs.
fn product(
    requantize: &Requantize,
    [taps, outputs]: [usize; 2],
    weights: *const i8,
    channels: *const u32,
) -> Product {
    Product {
        begin: [core::ptr::null(); 5],
        to: core::ptr::null_mut(),
        bias_unit: 1 << requantize.bias_shift,
        multiplier_shift: i32::from(requantize.multiplier_shift) - 20,
        zero_point: i32::from(requantize.zero_point),
        behind: taps.next_multiple_of(VECTOR_BYTES) - taps,
        weights,
        taps,
        channels,
        outputs,
        min: i32::from(requantize.min),
        max: i32::from(requantize.max),
    }
}

impl<'a, const RULES: u8> Group<'a, RULES> {
    fn new(operands: &'a Conv2dI8<'a>) -> Self {
        let (taps, outputs) = (operands.geometry.taps(), operands.geometry.output[2]);
        let roundings = Roundings::of::<RULES>(operands.channels, &operands.requantize);
        let (channels, record_words) = match operands.channels {
            Channels::High(words) => (words.as_ptr(), 1),
            Channels::Wide(words) => (words.as_ptr().cast(), 3),
        };
        let weights = operands.weights.as_ptr();
        let product = product(&operands.requantize, [taps, outputs], weights, channels);
        let pixels = Pixels {
            begin: [core::ptr::null(); 9],
            channels,
            to: [core::ptr::null_mut(); PIXELS],
            bias_shift: i32::from(operands.requantize.bias_shift),
            multiplier_shift: product.multiplier_shift,
            zero_point: product.zero_point,
            behind: product.behind,
            end: core::ptr::null(),
            weights: product.weights,
            taps,
            min: product.min,
            max: product.max,
            groups: 1,
            window_step: 0,
            to_step: (PIXELS - 1) * outputs,
            start: channels,
            record_bytes: record_words * size_of::<u32>(),
            places: [0, 1, 2, 3].map(|i| i * record_words as u32 * 4),
        };
        Group {
            operands,
            pixels,
            product,
            has_pixels: (record_words == 1 || roundings.is_some()) && outputs >= 4,
            roundings,
        }
    }

    /// All outputs of one to three pixels from `to` on.
    ///
    /// # Safety
    ///
    /// Windows have as many bytes as the convolution has taps, and there are outputs for as many
    /// pixels. All other operands were compared with the geometry by [`Checked`].
    unsafe fn multiply(&mut self, windows: &[*const i8], to: *mut i8) {
        let outputs = self.operands.geometry.output[2];
        // Pixels too few repeat the last one.
        let three = match *windows {
            [a, b, c] => Some(([a, b, c], [0, outputs, 2 * outputs])),
            [a, b] => Some(([a, b, b], [0, outputs, outputs])),
            _ => None,
        };
        if let (Some((windows, places)), true) = (three, self.has_pixels) {
            self.pixels.set_windows(windows);
            self.pixels.to = places.map(|place| to.wrapping_add(place));
            self.pixels.end = to.wrapping_add(outputs);
            self.pixels.channels = self.pixels.start;
            self.pixels.groups = 1;
            // SAFETY: as the caller promises; there are at least four outputs.
            return unsafe { self.multiply_pixels() };
        }
        for (pixel, window) in windows.iter().enumerate() {
            self.product.begin[1] = *window;
            self.product.to = to.wrapping_add(pixel * outputs);
            // SAFETY: as the caller promises.
            unsafe { self.multiply_window() };
        }
    }

    /// All outputs of `groups` times three pixels from `to` on, whose windows are `step` bytes
    /// from each other.
    ///
    /// # Safety
    ///
    /// As [`Group::multiply`]; there are several pixels, and [`Group::has_pixels`].
    unsafe fn multiply_run(&mut self, window: *const i8, step: usize, groups: usize, to: *mut i8) {
        let outputs = self.operands.geometry.output[2];
        let pixels = &mut self.pixels;
        pixels.set_windows([0, 1, 2].map(|pixel| window.wrapping_add(pixel * step)));
        pixels.to = [0, 1, 2].map(|pixel| to.wrapping_add(pixel * outputs));
        pixels.end = to.wrapping_add(outputs);
        pixels.channels = pixels.start;
        pixels.groups = groups;
        pixels.window_step = PIXELS * step;
        // SAFETY: as the caller promises; there are at least four outputs.
        unsafe { self.multiply_pixels() };
    }

    /// # Safety
    ///
    /// `pixels` is set to what is there.
    unsafe fn multiply_pixels(&mut self) {
        // SAFETY: as the caller promises.
        unsafe {
            match self.roundings {
                None if RULES & rules::HIGH != 0 => helium_product_3(&mut self.pixels),
                Some(Roundings::One) if RULES & rules::SINGLE != 0 => {
                    helium_product_3_single(&mut self.pixels);
                }
                Some(Roundings::Two) if RULES & rules::DOUBLE != 0 => {
                    helium_product_3_double(&mut self.pixels);
                }
                _ => {}
            }
        }
    }

    /// # Safety
    ///
    /// As [`Group::multiply`], for the pixel that `product` is set to.
    unsafe fn multiply_window(&mut self) {
        // SAFETY: as the caller promises.
        unsafe {
            match self.roundings {
                Some(Roundings::One) if RULES & rules::SINGLE != 0 => {
                    helium_product_1_single(&mut self.product);
                }
                Some(Roundings::Two) if RULES & rules::DOUBLE != 0 => {
                    helium_product_1_double(&mut self.product);
                }
                _ => match self.operands.channels {
                    Channels::High(_) => helium_product_1(&mut self.product),
                    Channels::Wide(_) => self.wide(),
                },
            }
        }
    }

    /// Sums by vectors, scaled one at a time: for the rules with wide channels.
    ///
    /// # Safety
    ///
    /// As [`Group::multiply`], for the pixel that `product` is set to.
    unsafe fn wide(&self) {
        let operands = self.operands;
        let (outputs, taps) = (operands.geometry.output[2], self.product.taps);
        let mut sums = [0i32; SUMS];
        for first in (0..outputs).step_by(SUMS) {
            let some = SUMS.min(outputs - first);
            let mut part = Product {
                weights: self.product.weights.wrapping_add(first * taps),
                channels: core::ptr::null(),
                outputs: some,
                to: sums.as_mut_ptr().cast(),
                ..self.product
            };
            // SAFETY: as the caller promises, for `some` channels from `first` on; `sums` has
            // room for them.
            unsafe { helium_product_1(&mut part) };
            for (channel, sum) in (first..first + some).zip(sums) {
                let sum = sum + operands.channels.bias(&operands.requantize, channel);
                let value = operands.channels.finish(&operands.requantize, channel, sum);
                // SAFETY: there is a place for every output of the pixel.
                unsafe { self.product.to.add(channel).write(value) };
            }
        }
    }
}

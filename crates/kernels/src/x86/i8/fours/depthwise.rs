//! Depthwise convolutions: 64 channels of a pixel at a time, or of as many neighbouring pixels as
//! fill a vector. Bytes of four taps are brought beside each other, in quarters of vectors, which
//! leaves sums in the order of [`channel_at`]; packing them to bytes brings them back.

use super::finish::{bytes, parts};
use super::lanes::{BYTES, Lanes};
use super::{Fours, Raised};
use crate::tiled::i8::{Strip, Weights};
use crate::tiled::plan::DEPTHWISE_TAPS_MAX;
use crate::x86::i8::finish::{Finish, Scale, with_rule};

/// Channels of a block.
pub(in crate::x86::i8) const CHANNELS: usize = BYTES;

/// Taps of a step.
const TAPS: usize = 4;

/// The most steps whose weights stay in registers.
const HELD_STEPS_MAX: usize = 3;

/// Pieces that a vector of inputs may be loaded in.
const PIECES: [usize; 2] = [2, 4];

/// Places that are computed with the same weights before others are loaded.
const BATCH: usize = 32;

/// The channel of a block whose sum is at a position.
pub(in crate::x86::i8) fn channel_at(position: usize) -> usize {
    let (vector, lane) = (position / 16, position % 16);
    lane / 4 * 16 + vector * 4 + lane % 4
}

/// Where the first of the elements of a vector are: of the inputs, from the taps of the strip's first
/// pixel on, and of the outputs.
#[derive(Clone, Copy, Default)]
struct Place {
    input: usize,
    output: usize,
}

/// Computes every channel of a strip.
///
/// # Safety
///
/// As `Tiles::depthwise`.
#[target_feature(enable = "avx2,fma")]
pub(crate) unsafe fn strip<P: Fours>(weights: &Weights<'_, i8>, strip: &Strip<'_, Raised>) {
    let geometry = &weights.operands.geometry;
    let channels = geometry.output[2];
    let apart = geometry.window.dilation[1] * channels;
    let columns = geometry.window.kernel[1];
    let count = strip.rows.len() * columns;
    let mut taps = [core::ptr::null::<Raised>(); DEPTHWISE_TAPS_MAX];
    for (taps, row) in taps.chunks_exact_mut(columns).zip(strip.rows) {
        for (column, tap) in taps.iter_mut().enumerate() {
            *tap = row.wrapping_add(column * apart);
        }
    }
    let steps = count.div_ceil(TAPS);
    // Taps that fill the last step up are multiplied by zeros.
    let last = taps[count - 1];
    taps[count..steps * TAPS].fill(last);
    let finish = Finish::new(weights.operands);
    let (across, pieces) = vectors(strip, channels, count);
    for first in (0..channels).step_by(CHANNELS) {
        let group = first / CHANNELS;
        // SAFETY: there are weights and records of every group; the rest is the caller's promise, as
        // places are within the strip.
        unsafe {
            let (rule, record) = weights.records.block(group * CHANNELS / 16);
            let block = Channels {
                taps: &taps[..steps * TAPS],
                places: &[],
                width: ((channels - first) * across).min(CHANNELS),
                pieces,
                apart: strip.step,
                weights: weights.packed.add(group * CHANNELS * steps * TAPS),
                finish: &finish,
                record,
                output: strip.output,
            };
            each_batch(strip, [channels, first], across, |places| {
                let block = Channels { places, ..block };
                match count {
                    5..=8 => with_rule!(rule, S => P::channels::<8, S>(&block)),
                    9 => with_rule!(rule, S => P::channels::<9, S>(&block)),
                    10..=12 => with_rule!(rule, S => P::channels::<12, S>(&block)),
                    _ => with_rule!(rule, S => P::channels::<0, S>(&block)),
                }
            });
        }
    }
}

/// Neighbouring pixels whose channels are computed as one vector, and the pieces that their inputs are
/// in: one where these are neighbours as well.
fn vectors(strip: &Strip<'_, Raised>, channels: usize, taps: usize) -> (usize, usize) {
    if !CHANNELS.is_multiple_of(channels) {
        return (1, 1);
    }
    let across = CHANNELS / channels;
    match strip.step == channels {
        true => (across.min(strip.pixels), 1),
        false if PIECES.contains(&across) && across <= strip.pixels && taps == 9 => {
            (across, across)
        }
        false => (1, 1),
    }
}

/// Calls `run` with where vectors of so many pixels are, channels from the second of two numbers on. The
/// last one of a line begins earlier where fewer pixels are left: outputs that are written twice are
/// the same.
#[inline]
fn each_batch(
    strip: &Strip<'_, Raised>,
    [channels, first]: [usize; 2],
    across: usize,
    mut run: impl FnMut(&[Place]),
) {
    let mut batch = [Place::default(); BATCH];
    let mut count = 0;
    for line in 0..strip.lines {
        let (input, output) = (line * strip.line_step, line * strip.pixels * channels);
        for pixel in (0..strip.pixels).step_by(across) {
            let pixel = pixel.min(strip.pixels - across);
            batch[count] = Place {
                input: input + pixel * strip.step + first,
                output: output + pixel * channels + first,
            };
            count += 1;
            if count == BATCH {
                run(&batch);
                count = 0;
            }
        }
    }
    if count > 0 {
        run(&batch[..count]);
    }
}

/// Up to 64 elements at every place, with the weights of one block.
#[derive(Clone, Copy)]
pub(crate) struct Channels<'a> {
    /// Whole steps.
    taps: &'a [*const Raised],
    places: &'a [Place],
    /// Elements at a place.
    width: usize,
    /// Parts of them, and elements between their starts among inputs.
    pieces: usize,
    apart: usize,
    /// `[steps][64][taps]`.
    weights: *const i8,
    finish: &'a Finish,
    /// Four records of 16 sums.
    record: *const i32,
    output: *mut i8,
}

impl Channels<'_> {
    /// Writes the outputs at all places. Weights of `HELD` taps stay in registers: 8, 9 or 12; 0 stands for
    /// any number of steps.
    ///
    /// # Safety
    ///
    /// As [`strip`]; the machine has what `P` needs.
    #[inline(always)]
    pub(super) unsafe fn run<P: Fours, const HELD: usize, S: Scale>(&self) {
        // SAFETY: the caller's promise.
        unsafe {
            match (self.pieces, self.width) {
                (2, _) if HELD == 9 => self.elements::<P::Lanes, 2, 9, S>(),
                (4, _) if HELD == 9 => self.elements::<P::Lanes, 4, 9, S>(),
                (_, BYTES) => self.elements::<P::Lanes, 1, HELD, S>(),
                _ => self.elements::<P::Lanes, 0, HELD, S>(),
            }
        }
    }

    /// # Safety
    ///
    /// As [`Channels::run`]; 64 elements at a place are in so many pieces, or there are fewer elements
    /// and no whole pieces.
    #[inline(always)]
    unsafe fn elements<L: Lanes, const WHOLE: usize, const HELD: usize, S: Scale>(&self) {
        let [one, two, three] = [1, 2, 3].map(|i| self.record.wrapping_add(64 * i));
        let taps = self.taps.as_ptr();
        // SAFETY: the caller's promise: there are four records, weights for all steps, and as many
        // elements at every place of every tap and of the output.
        unsafe {
            let mut held = [[L::zero(); 4]; HELD_STEPS_MAX];
            for (step, weights) in held.iter_mut().enumerate() {
                if step * TAPS < HELD {
                    *weights = self.weights::<L>(step);
                }
            }
            let bias = [
                L::load(self.record),
                L::load(one),
                L::load(two),
                L::load(three),
            ];
            let parts = [
                parts::<L>(self.record),
                parts::<L>(one),
                parts::<L>(two),
                parts::<L>(three),
            ];
            for place in self.places {
                let mut sums = bias;
                if HELD > 0 {
                    for (step, &weights) in held.iter().enumerate() {
                        let taps = taps.add(TAPS * step);
                        if step * TAPS + 1 == HELD {
                            // The other three taps are multiplied by zeros.
                            let last = self.load::<L, WHOLE>(taps, place);
                            add(&mut sums, beside(last, last, last, last), weights);
                        } else if step * TAPS < HELD {
                            add(&mut sums, self.inputs::<L, WHOLE>(taps, place), weights);
                        }
                    }
                } else {
                    for step in 0..self.taps.len() / TAPS {
                        let inputs = self.inputs::<L, WHOLE>(taps.add(TAPS * step), place);
                        add(&mut sums, inputs, self.weights::<L>(step));
                    }
                }
                let outputs = bytes::<L, S, false>(self.finish, sums, parts);
                let count = if WHOLE > 0 { BYTES } else { self.width };
                outputs.store_first(self.output.add(place.output), count);
            }
        }
    }

    /// The weights of a step.
    ///
    /// # Safety
    ///
    /// There is such a step.
    #[inline(always)]
    unsafe fn weights<L: Lanes>(&self, step: usize) -> [L; 4] {
        // SAFETY: the caller's promise.
        unsafe {
            let weights = self.weights.add(step * CHANNELS * TAPS);
            [
                L::load(weights),
                L::load(weights.add(BYTES)),
                L::load(weights.add(2 * BYTES)),
                L::load(weights.add(3 * BYTES)),
            ]
        }
    }

    /// The elements of a step's taps at a place, beside each other.
    ///
    /// # Safety
    ///
    /// The taps exist, and are readable there.
    #[inline(always)]
    unsafe fn inputs<L: Lanes, const WHOLE: usize>(
        &self,
        taps: *const *const Raised,
        place: &Place,
    ) -> [L; 4] {
        // SAFETY: the caller's promise.
        unsafe {
            beside(
                self.load::<L, WHOLE>(taps, place),
                self.load::<L, WHOLE>(taps.add(1), place),
                self.load::<L, WHOLE>(taps.add(2), place),
                self.load::<L, WHOLE>(taps.add(3), place),
            )
        }
    }

    /// The elements of a tap at a place.
    ///
    /// # Safety
    ///
    /// The tap exists, and is readable there.
    #[inline(always)]
    unsafe fn load<L: Lanes, const WHOLE: usize>(
        &self,
        tap: *const *const Raised,
        place: &Place,
    ) -> L {
        // SAFETY: the caller's promise.
        unsafe {
            let from = tap.read().add(place.input);
            match WHOLE {
                0 => L::load_first(from, self.width),
                1 => L::load(from),
                2 => L::load_halves(from, self.apart),
                _ => L::load_quarters(from, self.apart),
            }
        }
    }
}

/// The bytes of four taps beside each other, in the order of sums.
///
/// # Safety
///
/// The machine has the lanes.
#[inline(always)]
unsafe fn beside<L: Lanes>(first: L, second: L, third: L, fourth: L) -> [L; 4] {
    // SAFETY: the caller's promise.
    unsafe {
        let [a, b] = first.bytes_in_turns(second);
        let [c, d] = third.bytes_in_turns(fourth);
        let ([low, next], [third, high]) = (a.pairs_in_turns(c), b.pairs_in_turns(d));
        [low, next, third, high]
    }
}

/// Adds products to sums.
///
/// # Safety
///
/// The machine has the lanes.
#[inline(always)]
unsafe fn add<L: Lanes>(sums: &mut [L; 4], inputs: [L; 4], weights: [L; 4]) {
    for i in 0..4 {
        // SAFETY: the caller's promise.
        sums[i] = unsafe { sums[i].add_products(inputs[i], weights[i]) };
    }
}

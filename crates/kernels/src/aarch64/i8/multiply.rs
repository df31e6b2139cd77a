//! Products of four taps: how the sets differ.

use crate::aarch64::{Neon, NeonDotprod};
use core::arch::aarch64::*;
use core::arch::asm;

/// Multiplies fours of taps of up to 4 pixels by those of `4 * N` outputs.
///
/// The weights of a step are 4 taps of 4 outputs in every one of `N` vectors; the pixels are
/// `apart` elements apart.
pub(super) trait Multiply: Copy {
    /// The sums of 4 outputs of a pixel.
    type Sums: Copy;
    /// The most pixels of a tile: the sums of 16 outputs of so many fit 16 registers.
    const PIXELS: usize;
    /// Steps of [`Multiply::steps`].
    const STEPS: usize;
    /// What multiplies weights of -128, too.
    type Exact: Multiply;

    fn exact(self) -> Self::Exact;

    /// Sums that start with a bias.
    fn start(bias: int32x4_t) -> Self::Sums;

    /// The sums when everything is added.
    fn end(sums: Self::Sums) -> int32x4_t;

    /// Adds the products of one step.
    ///
    /// # Safety
    ///
    /// 4 inputs of every pixel and 4 weights of every output are readable.
    unsafe fn step<const M: usize, const N: usize>(
        self,
        sums: &mut [[Self::Sums; N]; M],
        inputs: *const i8,
        apart: usize,
        weights: *const i8,
    );

    /// Adds the products of [`Multiply::STEPS`] neighbouring steps.
    ///
    /// # Safety
    ///
    /// So many inputs and weights are readable.
    unsafe fn steps<const M: usize, const N: usize>(
        self,
        sums: &mut [[Self::Sums; N]; M],
        inputs: *const i8,
        apart: usize,
        weights: *const i8,
    );
}

/// 4 inputs, twice.
///
/// # Safety
///
/// They are readable.
#[inline(always)]
unsafe fn four(inputs: *const i8) -> int8x8_t {
    // SAFETY: the caller's promise; the word may be anywhere.
    unsafe { vreinterpret_s8_s32(vdup_n_s32(inputs.cast::<i32>().read_unaligned())) }
}

/// The weights of 4 outputs, in two parts.
///
/// # Safety
///
/// They are readable.
#[inline(always)]
unsafe fn halves(weights: *const i8) -> [int8x8_t; 2] {
    // SAFETY: the caller's promise.
    unsafe { [vld1_s8(weights), vld1_s8(weights.add(8))] }
}

/// Adds to each sum the products of 4 weights and of the 4 inputs in `LANE`: exact for all bytes.
#[inline(always)]
fn dot<const LANE: usize>(
    _proof: NeonDotprod,
    sums: int32x4_t,
    weights: int8x16_t,
    inputs: int8x16_t,
) -> int32x4_t {
    let mut added = sums;
    // SAFETY: the proof says that the processor has the instruction. It changes nothing but its
    // destination.
    unsafe {
        asm!(
            ".arch_extension dotprod",
            "sdot {sums:v}.4s, {weights:v}.16b, {inputs:v}.4b[{lane}]",
            sums = inout(vreg) added,
            weights = in(vreg) weights,
            inputs = in(vreg) inputs,
            lane = const LANE,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    added
}

impl Multiply for NeonDotprod {
    type Sums = int32x4_t;
    const PIXELS: usize = 4;
    const STEPS: usize = 4;
    type Exact = Self;

    #[inline(always)]
    fn exact(self) -> Self {
        self
    }

    #[inline(always)]
    fn start(bias: int32x4_t) -> int32x4_t {
        bias
    }

    #[inline(always)]
    fn end(sums: int32x4_t) -> int32x4_t {
        sums
    }

    #[inline(always)]
    unsafe fn step<const M: usize, const N: usize>(
        self,
        sums: &mut [[int32x4_t; N]; M],
        inputs: *const i8,
        apart: usize,
        weights: *const i8,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut w = [vdupq_n_s8(0); N];
            for (n, w) in w.iter_mut().enumerate() {
                *w = vld1q_s8(weights.add(16 * n));
            }
            for (m, sums) in sums.iter_mut().enumerate() {
                let x = four(inputs.add(m * apart));
                let x = vcombine_s8(x, x);
                for n in 0..N {
                    sums[n] = dot::<0>(self, sums[n], w[n], x);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn steps<const M: usize, const N: usize>(
        self,
        sums: &mut [[int32x4_t; N]; M],
        inputs: *const i8,
        apart: usize,
        weights: *const i8,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut x = [vdupq_n_s8(0); M];
            for (m, x) in x.iter_mut().enumerate() {
                *x = vld1q_s8(inputs.add(m * apart));
            }
            for n in 0..N {
                let at = |step: usize| vld1q_s8(weights.add((step * N + n) * 16));
                let w = [at(0), at(1), at(2), at(3)];
                for (sums, &x) in sums.iter_mut().zip(&x) {
                    sums[n] = dot::<0>(self, sums[n], w[0], x);
                    sums[n] = dot::<1>(self, sums[n], w[1], x);
                    sums[n] = dot::<2>(self, sums[n], w[2], x);
                    sums[n] = dot::<3>(self, sums[n], w[3], x);
                }
            }
        }
    }
}

/// The sums of 4 outputs, each in two parts. Products of two steps are added up in 16 bits, where
/// two of them, at most 128 * 127 each, have room.
impl Multiply for Neon {
    type Sums = [int32x4_t; 2];
    const PIXELS: usize = 2;
    const STEPS: usize = 2;
    type Exact = NeonSingly;

    #[inline(always)]
    fn exact(self) -> NeonSingly {
        NeonSingly
    }

    #[inline(always)]
    fn start(bias: int32x4_t) -> Self::Sums {
        parts(bias)
    }

    #[inline(always)]
    fn end(sums: Self::Sums) -> int32x4_t {
        whole(sums)
    }

    #[inline(always)]
    unsafe fn step<const M: usize, const N: usize>(
        self,
        sums: &mut [[Self::Sums; N]; M],
        inputs: *const i8,
        apart: usize,
        weights: *const i8,
    ) {
        // SAFETY: the caller's promise.
        unsafe { NeonSingly.step(sums, inputs, apart, weights) }
    }

    #[inline(always)]
    unsafe fn steps<const M: usize, const N: usize>(
        self,
        sums: &mut [[Self::Sums; N]; M],
        inputs: *const i8,
        apart: usize,
        weights: *const i8,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut x = [[vdup_n_s8(0); 2]; M];
            for (m, x) in x.iter_mut().enumerate() {
                let inputs = inputs.add(m * apart);
                *x = [four(inputs), four(inputs.add(4))];
            }
            for n in 0..N {
                let w = [n, N + n].map(|vector| halves(weights.add(vector * 16)));
                for (sums, x) in sums.iter_mut().zip(&x) {
                    let products = |half: usize| {
                        let first = vmull_s8(w[0][half], x[0]);
                        vmlal_s8(first, w[1][half], x[1])
                    };
                    sums[n] = add_pairs(sums[n], products(0), products(1));
                }
            }
        }
    }
}

/// The products of one step at a time: exact for all bytes.
#[derive(Clone, Copy)]
pub(super) struct NeonSingly;

impl Multiply for NeonSingly {
    type Sums = [int32x4_t; 2];
    const PIXELS: usize = 2;
    const STEPS: usize = 1;
    type Exact = Self;

    #[inline(always)]
    fn exact(self) -> Self {
        self
    }

    #[inline(always)]
    fn start(bias: int32x4_t) -> Self::Sums {
        parts(bias)
    }

    #[inline(always)]
    fn end(sums: Self::Sums) -> int32x4_t {
        whole(sums)
    }

    #[inline(always)]
    unsafe fn step<const M: usize, const N: usize>(
        self,
        sums: &mut [[Self::Sums; N]; M],
        inputs: *const i8,
        apart: usize,
        weights: *const i8,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            for (m, sums) in sums.iter_mut().enumerate() {
                let x = four(inputs.add(m * apart));
                for (n, sums) in sums.iter_mut().enumerate() {
                    let [low, high] = halves(weights.add(16 * n)).map(|w| vmull_s8(w, x));
                    *sums = add_pairs(*sums, low, high);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn steps<const M: usize, const N: usize>(
        self,
        sums: &mut [[Self::Sums; N]; M],
        inputs: *const i8,
        apart: usize,
        weights: *const i8,
    ) {
        // SAFETY: the caller's promise.
        unsafe { self.step(sums, inputs, apart, weights) }
    }
}

/// Sums of 2 outputs in each vector, in two parts.
#[inline(always)]
fn parts(bias: int32x4_t) -> [int32x4_t; 2] {
    // SAFETY: this target has the instructions.
    unsafe {
        let zero = vdupq_n_s32(0);
        [vzip1q_s32(bias, zero), vzip2q_s32(bias, zero)]
    }
}

#[inline(always)]
fn whole([low, high]: [int32x4_t; 2]) -> int32x4_t {
    // SAFETY: this target has the instruction.
    unsafe { vpaddq_s32(low, high) }
}

/// Adds neighbouring products.
#[inline(always)]
fn add_pairs(sums: [int32x4_t; 2], low: int16x8_t, high: int16x8_t) -> [int32x4_t; 2] {
    // SAFETY: this target has the instruction.
    unsafe { [vpadalq_s16(sums[0], low), vpadalq_s16(sums[1], high)] }
}

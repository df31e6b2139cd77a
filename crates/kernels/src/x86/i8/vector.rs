//! One pixel: a vector times weights packed as `[O / 8][I / 32][8][32]`.
//!
//! Sets that take the inputs' magnitudes do not serve weights of -128.

use super::finish::{Block, Finish, with_rule};
use super::multiply::Multiply;
use crate::tiled::i8::Weights;
use crate::{Conv2dI8, scalar};
use core::arch::x86_64::*;

/// Outputs that are summed at a time.
pub(super) const ROWS: usize = 8;

/// Inputs that are multiplied at a time.
pub(super) const STEP: usize = 32;

/// Staged inputs; the last step is filled with what weights of zero are multiplied by.
pub(crate) struct Inputs {
    pub(super) values: *const i8,
    /// The values where these are not taken.
    magnitudes: *const i8,
}

/// The thread's own outputs of a fully connected layer.
///
/// # Safety
///
/// As `Tiles::vector`.
#[inline(always)]
pub(super) unsafe fn multiply<P: Multiply>(
    weights: &Weights<'_, P::Weight>,
    staged: *mut P::Input,
) {
    let operands = weights.operands;
    let [count, outputs] = [operands.geometry.input[2], operands.geometry.output[2]];
    let each = count.next_multiple_of(STEP);
    // SAFETY: the caller's promise; output `first` exists in each turn, and no more are written
    // than exist.
    unsafe {
        if P::TAKES_MAGNITUDES && weights.records.has_lowest_weight() {
            return scalar::i8::conv_2d(operands);
        }
        let finish = Finish::new(operands);
        let inputs = stage::<P>(operands, staged);
        let output = operands.output.as_ptr().cast_mut().cast::<i8>();
        let blocks = outputs.div_ceil(2 * ROWS);
        for index in operands.binding.threads.own(blocks) {
            let first = 2 * ROWS * index;
            let (rule, record) = weights.records.block(index);
            let block = Block {
                finish: &finish,
                record,
                valid: (outputs - first).min(2 * ROWS),
            };
            let packed = weights.packed.cast::<i8>().add(first * each);
            if outputs - first > ROWS {
                let groups = [packed, packed.add(ROWS * each)];
                let sums = P::dots(groups, &inputs, each);
                with_rule!(rule, S => P::store_sixteen::<S>(&block, sums, output.add(first)));
            } else {
                let sums = dots::<P>(packed, &inputs, each);
                let sums = [_mm256_add_epi32(sums, block.bias::<1>()[0])];
                with_rule!(rule, S => block.store::<1, S>(sums, output.add(first)));
            }
        }
    }
}

/// Copies the inputs as the set takes them.
///
/// # Safety
///
/// As [`multiply`].
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn stage<P: Multiply>(operands: &Conv2dI8<'_>, staged: *mut P::Input) -> Inputs {
    let count = operands.geometry.input[2];
    let padded = count.next_multiple_of(STEP);
    let values = staged.cast::<i8>();
    // SAFETY: there is room for `padded` inputs, of two bytes where magnitudes are taken; what is
    // read was written before.
    unsafe {
        core::ptr::write_bytes(values.add(padded - STEP), 0, STEP);
        if !P::TAKES_MAGNITUDES {
            super::widen::raise(operands.input.as_ptr(), values.cast(), count);
            return Inputs {
                values,
                magnitudes: values,
            };
        }
        core::ptr::copy(operands.input.as_ptr(), values, count);
        let magnitudes = values.add(padded);
        for k in (0..padded).step_by(STEP) {
            let step = _mm256_loadu_si256(values.add(k).cast());
            _mm256_storeu_si256(magnitudes.add(k).cast(), _mm256_abs_epi8(step));
        }
        Inputs { values, magnitudes }
    }
}

/// Sums of `ROWS` outputs.
///
/// # Safety
///
/// `count` inputs, a multiple of `STEP`, are staged, and as many weights of each output packed;
/// none is -128 where magnitudes are taken. The machine has what `P` needs.
#[inline(always)]
pub(super) unsafe fn dots<P: Multiply>(
    mut packed: *const i8,
    inputs: &Inputs,
    count: usize,
) -> __m256i {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [_mm256_setzero_si256(); ROWS];
        for k in (0..count).step_by(STEP) {
            let values = _mm256_loadu_si256(inputs.values.add(k).cast());
            let magnitudes = _mm256_loadu_si256(inputs.magnitudes.add(k).cast());
            for (row, sum) in sums.iter_mut().enumerate() {
                let weights = _mm256_loadu_si256(packed.add(row * STEP).cast());
                *sum = P::add_fours(*sum, [values, magnitudes], weights);
            }
            packed = packed.add(ROWS * STEP);
        }
        horizontal_sums(sums)
    }
}

/// The sum of each vector, in order.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn horizontal_sums([a, b, c, d, e, f, g, h]: [__m256i; ROWS]) -> __m256i {
    let four = |a, b, c, d| _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    let (low, high) = (four(a, b, c, d), four(e, f, g, h));
    _mm256_add_epi32(
        _mm256_permute2x128_si256::<0x20>(low, high),
        _mm256_permute2x128_si256::<0x31>(low, high),
    )
}

//! Sums that are rounded step by step.

use crate::x86::Avx2;
use crate::{StepwiseAddI8, scalar};
use core::arch::x86_64::*;

/// Elements that are added at once.
const STEP: usize = 32;

/// Binary places of operands.
const PLACES: i32 = 20;

/// What a half of the scale is: that of the operand with the larger one.
const HALF: (i32, u8) = (1 << 30, 0);

/// See [`crate::i8::stepwise_add`].
pub(crate) fn stepwise_add(_avx2: Avx2, operands: &StepwiseAddI8<'_>) {
    let [a, b] = operands.inputs;
    let elements = operands.output.len().min(a.len()).min(b.len());
    let whole = elements / STEP * STEP;
    // SAFETY: `_avx2` proves the features; `whole` is within all three operands.
    unsafe {
        match operands.factors.map(|factor| factor == HALF) {
            [true, true] => add_whole::<true, true>(operands, whole),
            [true, false] => add_whole::<true, false>(operands, whole),
            [false, true] => add_whole::<false, true>(operands, whole),
            [false, false] => add_whole::<false, false>(operands, whole),
        }
    }
    scalar::i8::stepwise_add(&operands.behind(whole));
}

/// A multiplier and a shift for eight values.
#[derive(Clone, Copy)]
struct Factor {
    multiplier: __m256i,
    shift: __m128i,
    half: __m256i,
    /// All bits where something is shifted out.
    is_shifted: __m256i,
}

impl Factor {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new((multiplier, shift): (i32, u8)) -> Self {
        let shift = shift & 31;
        Factor {
            multiplier: _mm256_set1_epi32(multiplier),
            shift: _mm_cvtsi32_si128(shift.into()),
            half: _mm256_set1_epi32((1u32.wrapping_shl(shift.into()) >> 1) as i32),
            is_shifted: _mm256_set1_epi32(-i32::from(shift > 0)),
        }
    }

    /// The rounded high words of twice the products, shifted, halves away from zero.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn of(self, values: __m256i) -> __m256i {
        let half = _mm256_set1_epi64x(1 << 30);
        let even = _mm256_add_epi64(_mm256_mul_epi32(values, self.multiplier), half);
        let odd = _mm256_mul_epi32(_mm256_srli_epi64::<32>(values), self.multiplier);
        let odd = _mm256_add_epi64(odd, half);
        let high = _mm256_blend_epi32::<0b1010_1010>(
            _mm256_srli_epi64::<31>(even),
            _mm256_slli_epi64::<1>(odd),
        );
        let lowered = _mm256_and_si256(_mm256_srai_epi32::<31>(high), self.is_shifted);
        let raised = _mm256_add_epi32(_mm256_add_epi32(high, self.half), lowered);
        _mm256_sra_epi32(raised, self.shift)
    }
}

/// An operand of the sum: its zero point and its factor.
#[derive(Clone, Copy)]
struct Operand {
    zero_point: __m256i,
    factor: Factor,
}

impl Operand {
    /// Eight elements with all their places; by [`HALF`] where that is the factor.
    ///
    /// # Safety
    ///
    /// The elements are readable.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn scaled<const IS_HALF: bool>(self, from: *const i8) -> __m256i {
        // SAFETY: the caller's promise.
        let bytes = unsafe { _mm_loadl_epi64(from.cast()) };
        let values = _mm256_sub_epi32(_mm256_cvtepi8_epi32(bytes), self.zero_point);
        match IS_HALF {
            true => _mm256_slli_epi32::<{ PLACES - 1 }>(values),
            false => self.factor.of(_mm256_slli_epi32::<PLACES>(values)),
        }
    }
}

/// # Safety
///
/// `whole` is a multiple of [`STEP`] and no more than any operand's length.
#[target_feature(enable = "avx2")]
unsafe fn add_whole<const A: bool, const B: bool>(operands: &StepwiseAddI8<'_>, whole: usize) {
    let [from_a, from_b] = operands.inputs.map(|input| input.as_ptr());
    let to: *mut i8 = operands.output.as_ptr().cast_mut().cast();
    let [a, b] = [0, 1].map(|index| Operand {
        zero_point: _mm256_set1_epi32(operands.input_zero_points[index]),
        factor: Factor::new(operands.factors[index]),
    });
    let factor = Factor::new(operands.output_factor);
    let zero_point = _mm256_set1_epi32(operands.output_zero_point);
    let [low, high] = operands.limits.map(|limit| _mm256_set1_epi8(limit));
    // Packing works on halves of vectors.
    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for i in (0..whole).step_by(STEP) {
        let eight = |at: usize| {
            // SAFETY: `i + STEP <= whole`, and `at` is at most `STEP - 8`.
            let sum = unsafe {
                let a = a.scaled::<A>(from_a.add(i + at));
                _mm256_add_epi32(a, b.scaled::<B>(from_b.add(i + at)))
            };
            _mm256_add_epi32(factor.of(sum), zero_point)
        };
        let words = [[0, 8], [16, 24]]
            .map(|[first, second]| _mm256_packs_epi32(eight(first), eight(second)));
        let bytes = _mm256_packs_epi16(words[0], words[1]);
        let bytes = _mm256_permutevar8x32_epi32(bytes, order);
        let bytes = _mm256_min_epi8(_mm256_max_epi8(bytes, low), high);
        // SAFETY: as above. Inputs were read before.
        unsafe { _mm256_storeu_si256(to.add(i).cast(), bytes) };
    }
}

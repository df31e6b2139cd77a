//! Sums that are rounded step by step.

use crate::x86::Avx2;
use crate::{StepwiseAddI8, scalar};
use core::arch::x86_64::*;

/// Elements that are added at once.
const STEP: usize = 32;

/// Binary places of operands, as instructions take it.
const PLACES: i32 = StepwiseAddI8::PLACES as i32;

/// See [`crate::i8::stepwise_add`].
pub(crate) fn stepwise_add(_avx2: Avx2, operands: &StepwiseAddI8<'_>) {
    let [a, b] = operands.inputs;
    let elements = operands.output.len().min(a.len()).min(b.len());
    let whole = elements / STEP * STEP;
    // SAFETY: `_avx2` proves the features; `whole` is within all three operands.
    unsafe { add_whole(operands, whole) };
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

/// Eight elements less a zero point.
///
/// # Safety
///
/// They are readable.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn eight(from: *const i8, zero_point: __m256i) -> __m256i {
    // SAFETY: the caller's promise.
    let bytes = unsafe { _mm_loadl_epi64(from.cast()) };
    _mm256_sub_epi32(_mm256_cvtepi8_epi32(bytes), zero_point)
}

/// # Safety
///
/// `whole` is a multiple of [`STEP`] and no more than any operand's length.
#[target_feature(enable = "avx2")]
unsafe fn add_whole(operands: &StepwiseAddI8<'_>, whole: usize) {
    let [a, b] = operands.inputs.map(|input| input.as_ptr());
    let to: *mut i8 = operands.output.as_ptr().cast_mut().cast();
    let [zero_a, zero_b] = operands
        .input_zero_points
        .map(|zero| _mm256_set1_epi32(zero));
    let (of_b, of_sum) = (
        Factor::new(operands.factor),
        Factor::new(operands.output_factor),
    );
    let zero_point = _mm256_set1_epi32(operands.output_zero_point);
    let [low, high] = operands.limits.map(|limit| _mm256_set1_epi8(limit));
    // Packing works on halves of vectors.
    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for i in (0..whole).step_by(STEP) {
        let sums = |at: usize| {
            // SAFETY: `i + STEP <= whole`, and `at` is at most `STEP - 8`.
            let (a, b) = unsafe { (eight(a.add(i + at), zero_a), eight(b.add(i + at), zero_b)) };
            let a = _mm256_slli_epi32::<{ PLACES - 1 }>(a);
            let b = of_b.of(_mm256_slli_epi32::<PLACES>(b));
            _mm256_add_epi32(of_sum.of(_mm256_add_epi32(a, b)), zero_point)
        };
        let words =
            [[0, 8], [16, 24]].map(|[first, second]| _mm256_packs_epi32(sums(first), sums(second)));
        let bytes = _mm256_packs_epi16(words[0], words[1]);
        let bytes = _mm256_permutevar8x32_epi32(bytes, order);
        let bytes = _mm256_min_epi8(_mm256_max_epi8(bytes, low), high);
        // SAFETY: as above. Inputs were read before.
        unsafe { _mm256_storeu_si256(to.add(i).cast(), bytes) };
    }
}

//! Lines as loops compute them: sums are converted, multiplied and added with one rounding, and rounded
//! to the nearest integer.

use crate::tiled::i8::{Follows, Points, Rule};
use crate::x86::Avx2;
use core::arch::x86_64::*;

/// The rules of straight and of bent lines, and the check of a line.
pub(super) const LINES: Option<(Rule, Rule, Follows)> = Some((Rule::Ramp, Rule::Bent, follows));

/// Sums to outputs, beyond their limits too.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn eight(sums: __m256i, slope: __m256, start: __m256) -> __m256i {
    _mm256_cvtps_epi32(_mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), slope, start))
}

/// The start of each sum's line.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn starts_of_eight(sums: __m256i, start: __m256, below_zero: __m256) -> __m256 {
    _mm256_blendv_ps(start, below_zero, _mm256_castsi256_ps(sums))
}

/// As [`eight`].
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn sixteen(sums: __m512i, slope: __m512, start: __m512) -> __m512i {
    _mm512_cvtps_epi32(_mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), slope, start))
}

/// As [`starts_of_eight`].
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn starts_of_sixteen(sums: __m512i, start: __m512, below_zero: __m512) -> __m512 {
    let is_below_zero = _mm512_cmplt_epi32_mask(sums, _mm512_setzero_si512());
    _mm512_mask_blend_ps(is_below_zero, start, below_zero)
}

/// Whether a line gives the outputs of all points; `false` where this machine has no loops with lines.
fn follows(slope: f32, start: f32, points: &Points) -> bool {
    // SAFETY: what has just been detected.
    Avx2::detect().is_some_and(|_| unsafe { follows_detected(slope, start, points) })
}

#[target_feature(enable = "avx2,fma")]
fn follows_detected(slope: f32, start: f32, points: &Points) -> bool {
    let (slope, start) = (_mm256_set1_ps(slope), _mm256_set1_ps(start));
    let [min, max] = points.limits.map(|limit| _mm256_set1_epi32(limit));
    let step = _mm256_set1_epi32(points.multiple);
    let [[first, low], [last, high]] = points.ends;
    let ends = _mm256_setr_epi32(first, last, first, last, first, last, first, last);
    let mut wrong = _mm256_xor_si256(
        limited(eight(ends, slope, start), min, max),
        _mm256_setr_epi32(low, high, low, high, low, high, low, high),
    );
    for (sums, outputs) in points.steps() {
        // SAFETY: both are 32 bytes.
        let (sums, outputs) = unsafe {
            (
                _mm256_loadu_si256(sums.as_ptr().cast()),
                _mm256_loadu_si256(outputs.as_ptr().cast()),
            )
        };
        let before = limited(eight(_mm256_sub_epi32(sums, step), slope, start), min, max);
        let at = limited(eight(sums, slope, start), min, max);
        let wrong_before =
            _mm256_xor_si256(before, _mm256_sub_epi32(outputs, _mm256_set1_epi32(1)));
        let wrong_at = _mm256_xor_si256(at, outputs);
        wrong = _mm256_or_si256(wrong, _mm256_or_si256(wrong_before, wrong_at));
    }
    _mm256_testz_si256(wrong, wrong) == 1
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn limited(outputs: __m256i, min: __m256i, max: __m256i) -> __m256i {
    _mm256_min_epi32(_mm256_max_epi32(outputs, min), max)
}

#[cfg(test)]
mod tests {
    use super::{eight, follows, starts_of_eight};
    use crate::tiled::i8::{Floor, Ramp};
    use crate::x86::Avx2;
    use core::arch::x86_64::*;
    use core::cell::Cell;
    use format::fixed::{
        Requantize, Rounding, requantize_double, requantize_high, requantize_single,
    };
    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;

    #[target_feature(enable = "avx2,fma")]
    fn outputs(ramp: &Ramp, sums: [i32; 8]) -> [i32; 8] {
        let slope = _mm256_set1_ps(ramp.slope);
        let [start, below_zero] = [ramp.start, ramp.start_below_zero].map(|n| _mm256_set1_ps(n));
        // SAFETY: both are 32 bytes in which every bit pattern is a value.
        unsafe {
            let sums: __m256i = core::mem::transmute(sums);
            let starts = starts_of_eight(sums, start, below_zero);
            core::mem::transmute(eight(sums, slope, starts))
        }
    }

    /// A rule, its output for a sum, and what the multiplier makes of a sum of one.
    fn rules() -> impl Strategy<Value = (Rounding, i32, i32)> {
        let wide = prop_oneof![Just(Rounding::Single), Just(Rounding::Double)];
        prop_oneof![
            (wide, (1i32 << 30)..i32::MAX, -12i32..=-3),
            (Just(Rounding::High), 1i32..4096, 10i32..=16),
        ]
    }

    /// Lines give what the rules do, for sums around all steps too; and nearly all channels have one.
    #[test]
    fn lines_are_equal_to_the_rules() {
        if Avx2::detect().is_none() {
            std::println!("skipped: this machine has no AVX2");
            return;
        }
        let counts = Cell::new([0, 0]);
        let sums = prop::collection::vec(-200_000i32..=200_000, 1024);
        let limits = (-128i16..=127, any::<bool>());
        let times = prop_oneof![Just(1i32), Just(4), Just(576)];
        let outcome = TestRunner::default().run(
            &(rules(), limits, times, sums),
            |((rounding, multiplier, shift), (zero_point, is_rectified), times, sums)| {
                let requantize = Requantize {
                    rounding,
                    bias_shift: 0,
                    multiplier_shift: 0,
                    is_plain: false,
                    zero_point,
                    min: if is_rectified { zero_point } else { -128 },
                    max: 127,
                };
                let rule = |sum: i32| match rounding {
                    Rounding::High => requantize_high(sum, (multiplier as u32) << shift),
                    Rounding::Single => requantize_single(sum, multiplier, shift),
                    Rounding::Double => requantize_double(sum, multiplier, shift),
                };
                let floor = match rounding {
                    Rounding::High => Floor::of(rounding, multiplier << shift, 0),
                    _ => Floor::of(rounding, multiplier, shift),
                };
                let ramp =
                    floor.and_then(|f| Ramp::of(&f, &requantize, [200_000, times.into()], follows));
                let [found, all] = counts.get();
                counts.set([found + i32::from(ramp.is_some()), all + 1]);
                let Some(ramp) = ramp else { return Ok(()) };
                let limited = |output: i32| output.clamp(requantize.min.into(), 127);
                for sums in sums.as_chunks::<8>().0 {
                    // SAFETY: detected above.
                    let found = unsafe { outputs(&ramp, sums.map(|sum| times * sum)) }.map(limited);
                    let expected = sums.map(|sum| limited(rule(sum) + i32::from(zero_point)));
                    prop_assert_eq!(found, expected, "{:?} {:?}", ramp, sums);
                }
                Ok(())
            },
        );
        outcome.unwrap();
        let [found, all] = counts.get();
        assert!(10 * found >= 9 * all, "{found} of {all}");
    }
}

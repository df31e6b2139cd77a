//! Forms of the algorithm: how inputs, windows and sums of products are transformed, along rows and
//! then along columns. Numbers are whole: those of windows are multiples of the papers', and what
//! sums become is a multiple of the outputs.

use crate::squares::line_of_window;
use core::arch::x86_64::*;
use core::ops::{Add, Sub};

/// A number of as many windows as a line of packed weights has: pairs of inputs of 16 outputs.
#[derive(Clone, Copy)]
pub(super) struct Lanes(pub(super) [i16; 32]);

impl Add for Lanes {
    type Output = Lanes;

    fn add(mut self, other: Lanes) -> Lanes {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a += b);
        self
    }
}

impl Sub for Lanes {
    type Output = Lanes;

    fn sub(mut self, other: Lanes) -> Lanes {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a -= b);
        self
    }
}

/// Squares of `SIDE` by `SIDE` outputs from `REACH` by `REACH` inputs.
pub(super) trait Form<const SIDE: usize, const REACH: usize> {
    /// `G g` for a row or a column of windows.
    fn window(taps: [Lanes; 3]) -> [Lanes; REACH];

    /// `B' d` for a row or a column of inputs, which fits 16 bits.
    ///
    /// # Safety
    ///
    /// The machine has AVX2.
    unsafe fn inputs(square: [__m256i; REACH]) -> [__m256i; REACH];

    /// `A' m` for a row or a column of sums.
    ///
    /// # Safety
    ///
    /// The machine has AVX2.
    unsafe fn outputs(sums: [__m256i; REACH]) -> [__m256i; SIDE];

    /// Multiples divided, which leaves no remainder.
    ///
    /// # Safety
    ///
    /// The machine has AVX2.
    unsafe fn quotient(multiples: __m256i) -> __m256i;
}

/// F(2 x 2, 3 x 3), for the points 0, 1, -1 and infinity: numbers of inputs are up to 4 * 128, those
/// of windows 9 * 128, twice the papers' in each direction.
pub(super) struct Two;

impl Form<2, 4> for Two {
    fn window(taps: [Lanes; 3]) -> [Lanes; 4] {
        line_of_window(taps)
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn inputs([a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
        [
            _mm256_sub_epi16(a, c),
            _mm256_add_epi16(b, c),
            _mm256_sub_epi16(c, b),
            _mm256_sub_epi16(b, d),
        ]
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn outputs([a, b, c, d]: [__m256i; 4]) -> [__m256i; 2] {
        [
            _mm256_add_epi32(_mm256_add_epi32(a, b), c),
            _mm256_sub_epi32(_mm256_sub_epi32(b, c), d),
        ]
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn quotient(multiples: __m256i) -> __m256i {
        _mm256_srai_epi32::<2>(multiples)
    }
}

/// F(4 x 4, 3 x 3), for the points 0, 1, -1, 2, -2 and infinity: numbers of inputs are up to
/// 100 * 128, those of windows 49 * 128, since every row of `G` has a multiple of its own: 4, -6, -6,
/// 24, 24 and 1 times the papers'. `A'` makes them equal, 24 times.
pub(super) struct Four;

/// How many times the sums of outputs what becomes of sums of products is with [`Four`].
pub(super) const FOUR_MULTIPLE: i32 = 24 * 24;

/// What 9 times is 1, in 32 bits.
const NINTH: i32 = 954_437_177;

impl Form<4, 6> for Four {
    fn window([a, b, c]: [Lanes; 3]) -> [Lanes; 6] {
        let (twice_b, twice_c) = (b + b, c + c);
        let outer = a + twice_c + twice_c;
        let inner = a + c;
        [a, inner + b, inner - b, outer + twice_b, outer - twice_b, c]
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn inputs([a, b, c, d, e, f]: [__m256i; 6]) -> [__m256i; 6] {
        let (e_c, d_b) = (_mm256_sub_epi16(e, c), _mm256_sub_epi16(d, b));
        let twice = _mm256_add_epi16(d_b, d_b);
        let four_times = |value: __m256i| _mm256_slli_epi16::<2>(value);
        [
            _mm256_add_epi16(four_times(_mm256_sub_epi16(a, c)), e_c),
            _mm256_sub_epi16(_mm256_add_epi16(d, e), four_times(_mm256_add_epi16(b, c))),
            _mm256_add_epi16(_mm256_sub_epi16(e, d), four_times(_mm256_sub_epi16(b, c))),
            _mm256_add_epi16(e_c, twice),
            _mm256_sub_epi16(e_c, twice),
            _mm256_sub_epi16(_mm256_sub_epi16(f, d), four_times(d_b)),
        ]
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn outputs([a, b, c, d, e, f]: [__m256i; 6]) -> [__m256i; 4] {
        let (sum, difference) = (_mm256_add_epi32(b, c), _mm256_sub_epi32(b, c));
        let (far_sum, far_difference) = (_mm256_add_epi32(d, e), _mm256_sub_epi32(d, e));
        // Six times the first number and 24 times the last are added as 2 * 3 and 8 * 3 times.
        let thrice = |value: __m256i| _mm256_add_epi32(_mm256_add_epi32(value, value), value);
        let near = _mm256_slli_epi32::<2>(difference);
        let last = _mm256_add_epi32(far_difference, thrice(f));
        [
            _mm256_add_epi32(
                _mm256_sub_epi32(far_sum, _mm256_slli_epi32::<2>(sum)),
                _mm256_slli_epi32::<1>(thrice(a)),
            ),
            _mm256_sub_epi32(_mm256_slli_epi32::<1>(far_difference), near),
            _mm256_slli_epi32::<2>(_mm256_sub_epi32(far_sum, sum)),
            _mm256_sub_epi32(_mm256_slli_epi32::<3>(last), near),
        ]
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn quotient(multiples: __m256i) -> __m256i {
        let ninefold = _mm256_srai_epi32::<6>(multiples);
        _mm256_mullo_epi32(ninefold, _mm256_set1_epi32(NINTH))
    }
}

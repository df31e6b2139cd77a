//! Forms of the algorithm: how inputs, windows and sums of products are transformed, along rows and
//! then along columns. Numbers are whole: those of windows are multiples of the papers', and what
//! sums become is a multiple of the outputs.

use crate::squares::line_of_window;
use core::arch::x86_64::*;
use core::ops::{Add, Sub};

/// A number of as many windows as a line of packed weights has: pairs of inputs of 16 outputs.
#[derive(Clone, Copy)]
pub(crate) struct Lanes(pub(super) [i16; 32]);

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

/// A vector of sums of 32 bits, which wrap round.
///
/// # Safety
///
/// Functions are for machines that have the instructions, and for code that is compiled for them.
pub(crate) trait Sums: Copy {
    /// # Safety
    ///
    /// As said of the trait; so below.
    unsafe fn plus(self, other: Self) -> Self;

    /// # Safety
    ///
    /// As above.
    unsafe fn minus(self, other: Self) -> Self;

    /// Times a power of two.
    ///
    /// # Safety
    ///
    /// As above.
    unsafe fn times_power<const POWER: i32>(self) -> Self;

    /// Divided by a power of two, and rounded down.
    ///
    /// # Safety
    ///
    /// As above.
    unsafe fn over_power<const POWER: i32>(self) -> Self;

    /// # Safety
    ///
    /// As above.
    unsafe fn times(self, factor: i32) -> Self;
}

impl Sums for __m256i {
    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        // SAFETY: the caller's promise; so below.
        unsafe { _mm256_add_epi32(self, other) }
    }

    #[inline(always)]
    unsafe fn minus(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { _mm256_sub_epi32(self, other) }
    }

    #[inline(always)]
    unsafe fn times_power<const POWER: i32>(self) -> Self {
        // SAFETY: as above.
        unsafe { _mm256_slli_epi32::<POWER>(self) }
    }

    #[inline(always)]
    unsafe fn over_power<const POWER: i32>(self) -> Self {
        // SAFETY: as above.
        unsafe { _mm256_srai_epi32::<POWER>(self) }
    }

    #[inline(always)]
    unsafe fn times(self, factor: i32) -> Self {
        // SAFETY: as above.
        unsafe { _mm256_mullo_epi32(self, _mm256_set1_epi32(factor)) }
    }
}

/// Squares of `SIDE` by `SIDE` outputs from `REACH` by `REACH` inputs.
pub(crate) trait Form<const SIDE: usize, const REACH: usize> {
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
    /// As [`Sums`].
    unsafe fn outputs<V: Sums>(sums: [V; REACH]) -> [V; SIDE];

    /// How many times the sums of outputs what becomes of sums of products is.
    const MULTIPLE: i32;

    /// Multiples divided, which leaves no remainder.
    ///
    /// # Safety
    ///
    /// As [`Sums`].
    unsafe fn quotient<V: Sums>(multiples: V) -> V;
}

/// F(2 x 2, 3 x 3), for the points 0, 1, -1 and infinity: numbers of inputs are up to 4 * 128, those
/// of windows 9 * 128, twice the papers' in each direction.
pub(super) struct Two;

impl Form<2, 4> for Two {
    const MULTIPLE: i32 = 4;

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

    #[inline(always)]
    unsafe fn outputs<V: Sums>([a, b, c, d]: [V; 4]) -> [V; 2] {
        // SAFETY: the caller's promise.
        unsafe { [a.plus(b).plus(c), b.minus(c).minus(d)] }
    }

    #[inline(always)]
    unsafe fn quotient<V: Sums>(multiples: V) -> V {
        // SAFETY: the caller's promise.
        unsafe { multiples.over_power::<2>() }
    }
}

/// F(4 x 4, 3 x 3), for the points 0, 1, -1, 2, -2 and infinity: numbers of inputs are up to
/// 100 * 128, those of windows 144 * 128. Rows of `G` are 24 times the papers', but for the last, which
/// would be too large: it is 12 times, and `A'` doubles what comes of it.
pub(super) struct Four;

/// What 9 times is 1, in 32 bits.
const NINTH: i32 = 954_437_177;

impl Form<4, 6> for Four {
    const MULTIPLE: i32 = 24 * 24;

    fn window([a, b, c]: [Lanes; 3]) -> [Lanes; 6] {
        let twice = |number: Lanes| number + number;
        let thrice = |number: Lanes| number + number + number;
        let four_times = |number: Lanes| twice(twice(number));
        let (outer, twice_b) = (a + four_times(c), twice(b));
        let opposite = Lanes([0; 32]) - a - c;
        [
            thrice(twice(a)),
            four_times(opposite - b),
            four_times(opposite + b),
            outer + twice_b,
            outer - twice_b,
            thrice(four_times(c)),
        ]
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

    #[inline(always)]
    unsafe fn outputs<V: Sums>([a, b, c, d, e, f]: [V; 6]) -> [V; 4] {
        // SAFETY: the caller's promise.
        unsafe {
            let (sum, difference) = (b.plus(c), b.minus(c));
            let (far_sum, far_difference) = (d.plus(e), d.minus(e));
            let half_of_last = far_difference.times_power::<2>().plus(f);
            [
                a.plus(sum).plus(far_sum),
                difference.plus(far_difference.plus(far_difference)),
                sum.plus(far_sum.times_power::<2>()),
                difference.plus(half_of_last.plus(half_of_last)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn quotient<V: Sums>(multiples: V) -> V {
        // SAFETY: the caller's promise.
        unsafe { multiples.over_power::<6>().times(NINTH) }
    }
}

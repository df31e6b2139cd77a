//! From 32-bit sums to int8 outputs, 8 lanes at a time: exactly [`format::fixed`].

use super::ramp;
use crate::Conv2dI8;

use core::arch::x86_64::*;
use format::fixed::{Requantize, Rounding, requantize_double, requantize_single};

/// What is the same for all blocks of a convolution.
#[derive(Clone, Copy)]
pub(crate) struct Finish {
    pub(super) zero_point: __m256i,
    pub(super) min: __m128i,
    pub(super) max: __m128i,
    /// Whether these are not what packing to bytes limits to.
    pub(super) limits: bool,
    /// Half of an output of the rule `Near`, and its zero point.
    near_start: __m256i,
    near_shift: __m128i,
    rounding: Rounding,
}

impl Finish {
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn new(operands: &Conv2dI8<'_>) -> Self {
        let Requantize {
            rounding,
            multiplier_shift,
            zero_point,
            min,
            max,
            ..
        } = operands.requantize;
        let near_shift = 32 - i32::from(multiplier_shift);
        Finish {
            zero_point: _mm256_set1_epi16(zero_point),
            min: _mm_set1_epi8(min as i8),
            max: _mm_set1_epi8(max as i8),
            limits: min > i16::from(i8::MIN) || max < i16::from(i8::MAX),
            near_start: _mm256_set1_epi32(
                1i32.wrapping_shl(near_shift as u32 - 1)
                    .wrapping_add(i32::from(zero_point).wrapping_shl(near_shift as u32)),
            ),
            near_shift: _mm_cvtsi32_si128(near_shift),
            rounding,
        }
    }
}

/// Record of a block of `8 * N` outputs: parts of 16 words (see `tiled::i8::Records`).
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    pub(super) finish: &'a Finish,
    pub(super) record: *const i32,
    /// Outputs that exist.
    pub(super) valid: usize,
}

impl Block<'_> {
    /// Vector `n` of a part of the record.
    ///
    /// # Safety
    ///
    /// The record has such a vector: `n < 2`, `part < 4`.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn part(&self, part: usize, n: usize) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_loadu_si256(self.record.add(part * 16 + n * 8).cast()) }
    }

    /// The first value of the sums.
    ///
    /// # Safety
    ///
    /// As for [`Block::store`].
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn bias<const N: usize>(&self) -> [__m256i; N] {
        let mut bias = [_mm256_setzero_si256(); N];
        for (n, bias) in bias.iter_mut().enumerate() {
            // SAFETY: `n < N <= 2`.
            *bias = unsafe { self.part(0, n) };
        }
        bias
    }

    /// The parts behind the bias.
    ///
    /// # Safety
    ///
    /// As for [`Block::store`].
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn parts<const N: usize>(&self) -> [[__m256i; 3]; N] {
        let mut parts = [[_mm256_setzero_si256(); 3]; N];
        for (n, parts) in parts.iter_mut().enumerate() {
            // SAFETY: `n < N <= 2`.
            *parts = unsafe { [self.part(1, n), self.part(2, n), self.part(3, n)] };
        }
        parts
    }

    /// Writes the outputs of pixels, `apart` bytes between them: 16 sums each.
    ///
    /// # Safety
    ///
    /// The record is whole and of the rule `S`, and the outputs of the block that exist may be
    /// written from `to` on for every pixel.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn store_all<S: Scale>(
        &self,
        sums: &[[__m256i; 2]],
        mut to: *mut i8,
        apart: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let parts = self.parts::<2>();
            let (pairs, last) = sums.as_chunks::<2>();
            for [first, second] in pairs {
                let first = self.words::<2, S>(*first, &parts);
                let second = self.words::<2, S>(*second, &parts);
                // Quarters of the two pixels in turns.
                let bytes = _mm256_packs_epi16(first, second);
                let sorted = _mm256_permute4x64_epi64::<0b11_01_10_00>(bytes);
                let first = _mm256_castsi256_si128(sorted);
                let second = _mm256_extracti128_si256::<1>(sorted);
                self.write(self.limited::<S>(first), to);
                self.write(self.limited::<S>(second), to.add(apart));
                to = to.add(2 * apart);
            }
            for sums in last {
                self.store::<2, S>(*sums, to);
            }
        }
    }

    /// Outputs as words, in the order of the sums, packed within halves of vectors.
    ///
    /// # Safety
    ///
    /// The record is whole and of the rule `S`.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn words<const N: usize, S: Scale>(
        &self,
        mut sums: [__m256i; N],
        parts: &[[__m256i; 3]; N],
    ) -> __m256i {
        for (sum, parts) in sums.iter_mut().zip(parts) {
            // SAFETY: the caller's promise.
            *sum = unsafe { S::scale(self.finish, *sum, *parts) };
        }
        let words = _mm256_packs_epi32(sums[0], sums[N - 1]);
        match S::HAS_ZERO_POINT {
            true => words,
            false => _mm256_adds_epi16(words, self.finish.zero_point),
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn limited<S: Scale>(&self, bytes: __m128i) -> __m128i {
        match S::IS_LIMITED {
            true => bytes,
            false => _mm_min_epi8(_mm_max_epi8(bytes, self.finish.min), self.finish.max),
        }
    }

    /// Writes the outputs of one pixel.
    ///
    /// # Safety
    ///
    /// As [`Block::store_all`].
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn store<const N: usize, S: Scale>(&self, sums: [__m256i; N], to: *mut i8) {
        if S::IS_RAW {
            for (n, sum) in sums.into_iter().enumerate() {
                // SAFETY: the caller's promise: outputs are the sums.
                unsafe { _mm256_storeu_si256(to.cast::<__m256i>().add(n), sum) };
            }
            return;
        }
        // SAFETY: the caller's promise.
        let words = unsafe { self.words::<N, S>(sums, &self.parts::<N>()) };
        let (low, high) = (
            _mm256_castsi256_si128(words),
            _mm256_extracti128_si256::<1>(words),
        );
        // Each half holds 8 outputs of a block of 16, or 4 outputs twice.
        let block = if N == 2 {
            _mm_packs_epi16(low, high)
        } else {
            let four = _mm_unpacklo_epi64(low, high);
            _mm_packs_epi16(four, four)
        };
        // SAFETY: the caller's promise.
        unsafe { self.write(self.limited::<S>(block), to) };
    }

    /// Writes those outputs of a pixel that exist.
    ///
    /// # Safety
    ///
    /// They may be written.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn write(&self, outputs: __m128i, to: *mut i8) {
        // SAFETY: whole stores only where the whole block exists; otherwise the bytes that do.
        unsafe {
            match self.valid {
                16.. => _mm_storeu_si128(to.cast(), outputs),
                8 => _mm_storel_epi64(to.cast(), outputs),
                _ => store_first(outputs, to, self.valid),
            }
        }
    }
}

/// # Safety
///
/// As many bytes may be written at `to`.
#[inline(never)]
#[target_feature(enable = "avx2,fma")]
unsafe fn store_first(block: __m128i, to: *mut i8, valid: usize) {
    let mut copy = [0i8; 16];
    // SAFETY: 16 bytes, and the caller's promise.
    unsafe {
        _mm_storeu_si128(copy.as_mut_ptr().cast(), block);
        core::ptr::copy_nonoverlapping(copy.as_ptr(), to, valid.min(16));
    }
}

/// A rule of `tiled::i8::Rule`: loops are compiled for each.
pub(crate) trait Scale {
    /// Whether the scaled sums are within the limits of outputs already.
    const IS_LIMITED: bool = false;

    /// Whether the zero point is in them already.
    const HAS_ZERO_POINT: bool = false;

    /// Whether it takes multiples of sums as loops have them: see `tiled::i8::LoopSums`.
    const TAKES_MULTIPLES: bool = false;

    /// Whether the sums themselves are the outputs, in the order of the block.
    const IS_RAW: bool = false;

    /// Scales sums by the record's parts behind the bias.
    ///
    /// # Safety
    ///
    /// The machine has AVX2 and FMA.
    unsafe fn scale(finish: &Finish, sums: __m256i, parts: [__m256i; 3]) -> __m256i;

    /// The same for 16 sums.
    ///
    /// # Safety
    ///
    /// The machine has AVX512-F.
    unsafe fn scale_sixteen(finish: &Finish, sums: __m512i, parts: [__m512i; 3]) -> __m512i;
}

/// No rule of the file: sums that more is to be computed from.
pub(super) struct Raw;
pub(super) struct Near;
pub(super) struct High;
pub(super) struct Single;
pub(super) struct Double;
pub(super) struct Lanes;
pub(super) struct Ramp;
pub(super) struct Bent;

impl Scale for Raw {
    const IS_RAW: bool = true;

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn scale(_: &Finish, sums: __m256i, _: [__m256i; 3]) -> __m256i {
        sums
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,avx512f")]
    unsafe fn scale_sixteen(_: &Finish, sums: __m512i, _: [__m512i; 3]) -> __m512i {
        sums
    }
}

impl Scale for Near {
    const IS_LIMITED: bool = true;
    const HAS_ZERO_POINT: bool = true;

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn scale(
        finish: &Finish,
        sums: __m256i,
        [multiplier, low, high]: [__m256i; 3],
    ) -> __m256i {
        let limited = _mm256_min_epi32(_mm256_max_epi32(sums, low), high);
        let products = _mm256_mullo_epi32(limited, multiplier);
        // Products of limited sums are below 2^30, the zero point's below 2^29.
        let rounded = _mm256_add_epi32(products, finish.near_start);
        _mm256_sra_epi32(rounded, finish.near_shift)
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,avx512f")]
    unsafe fn scale_sixteen(
        finish: &Finish,
        sums: __m512i,
        [multiplier, low, high]: [__m512i; 3],
    ) -> __m512i {
        let limited = _mm512_min_epi32(_mm512_max_epi32(sums, low), high);
        let products = _mm512_mullo_epi32(limited, multiplier);
        let rounded = _mm512_add_epi32(products, _mm512_broadcast_i64x4(finish.near_start));
        _mm512_sra_epi32(rounded, finish.near_shift)
    }
}

impl Scale for High {
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn scale(_: &Finish, sums: __m256i, [multiplier, ..]: [__m256i; 3]) -> __m256i {
        let half = _mm256_set1_epi64x(1 << 31);
        let [even, odd] = products(sums, multiplier);
        high_words(_mm256_add_epi64(even, half), _mm256_add_epi64(odd, half))
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,avx512f")]
    unsafe fn scale_sixteen(_: &Finish, sums: __m512i, [multiplier, ..]: [__m512i; 3]) -> __m512i {
        let half = _mm512_set1_epi64(1 << 31);
        let [even, odd] = products_of_sixteen(sums, multiplier);
        high_words_of_sixteen(_mm512_add_epi64(even, half), _mm512_add_epi64(odd, half))
    }
}

impl Scale for Single {
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn scale(_: &Finish, sums: __m256i, [multiplier, half, right]: [__m256i; 3]) -> __m256i {
        let [even, odd] = products(sums, multiplier);
        let rounded = _mm256_add_epi32(high_words(even, odd), half);
        _mm256_srav_epi32(rounded, right)
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,avx512f")]
    unsafe fn scale_sixteen(
        _: &Finish,
        sums: __m512i,
        [multiplier, half, right]: [__m512i; 3],
    ) -> __m512i {
        let [even, odd] = products_of_sixteen(sums, multiplier);
        let rounded = _mm512_add_epi32(high_words_of_sixteen(even, odd), half);
        _mm512_srav_epi32(rounded, right)
    }
}

/// Away from values half way between two, the first rounding is the same for a sum and for its
/// opposite, as the second always is: magnitudes are rounded, by one shift.
impl Scale for Double {
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn scale(_: &Finish, sums: __m256i, [multiplier, half, right]: [__m256i; 3]) -> __m256i {
        let nudge = _mm256_set1_epi64x(1 << 30);
        let [even, odd] = products(_mm256_abs_epi32(sums), multiplier);
        let first = high_words(_mm256_add_epi64(even, nudge), _mm256_add_epi64(odd, nudge));
        let second = _mm256_srlv_epi32(_mm256_add_epi32(first, half), right);
        _mm256_sign_epi32(second, sums)
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,avx512f")]
    unsafe fn scale_sixteen(
        _: &Finish,
        sums: __m512i,
        [multiplier, half, right]: [__m512i; 3],
    ) -> __m512i {
        let nudge = _mm512_set1_epi64(1 << 30);
        let [even, odd] = products_of_sixteen(_mm512_abs_epi32(sums), multiplier);
        let first =
            high_words_of_sixteen(_mm512_add_epi64(even, nudge), _mm512_add_epi64(odd, nudge));
        let second = _mm512_srlv_epi32(_mm512_add_epi32(first, half), right);
        let zero = _mm512_setzero_si512();
        _mm512_mask_sub_epi32(second, _mm512_cmplt_epi32_mask(sums, zero), zero, second)
    }
}

/// The zero point is in the start; limits of 8 bits are those of packing.
impl Scale for Ramp {
    const HAS_ZERO_POINT: bool = true;
    const TAKES_MULTIPLES: bool = true;

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn scale(_: &Finish, sums: __m256i, [slope, start, _]: [__m256i; 3]) -> __m256i {
        ramp::eight(sums, _mm256_castsi256_ps(slope), _mm256_castsi256_ps(start))
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,avx512f")]
    unsafe fn scale_sixteen(_: &Finish, sums: __m512i, [slope, start, _]: [__m512i; 3]) -> __m512i {
        ramp::sixteen(sums, _mm512_castsi512_ps(slope), _mm512_castsi512_ps(start))
    }
}

/// As [`Ramp`].
impl Scale for Bent {
    const HAS_ZERO_POINT: bool = true;
    const TAKES_MULTIPLES: bool = true;

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn scale(_: &Finish, sums: __m256i, parts: [__m256i; 3]) -> __m256i {
        let [slope, start, below_zero] = [
            _mm256_castsi256_ps(parts[0]),
            _mm256_castsi256_ps(parts[1]),
            _mm256_castsi256_ps(parts[2]),
        ];
        ramp::eight(sums, slope, ramp::starts_of_eight(sums, start, below_zero))
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,avx512f")]
    unsafe fn scale_sixteen(_: &Finish, sums: __m512i, parts: [__m512i; 3]) -> __m512i {
        let [slope, start, below_zero] = [
            _mm512_castsi512_ps(parts[0]),
            _mm512_castsi512_ps(parts[1]),
            _mm512_castsi512_ps(parts[2]),
        ];
        ramp::sixteen(
            sums,
            slope,
            ramp::starts_of_sixteen(sums, start, below_zero),
        )
    }
}

/// Never inlined: it would crowd the loops' registers.
impl Scale for Lanes {
    #[inline(never)]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn scale(
        finish: &Finish,
        sums: __m256i,
        [multiplier, _, shift]: [__m256i; 3],
    ) -> __m256i {
        let words = |vector: __m256i| -> [i32; 8] {
            // SAFETY: both are 32 bytes in which every bit pattern is a value.
            unsafe { core::mem::transmute(vector) }
        };
        let (mut sums, multiplier, shift) = (words(sums), words(multiplier), words(shift));
        for ((sum, multiplier), shift) in sums.iter_mut().zip(multiplier).zip(shift) {
            *sum = match finish.rounding {
                Rounding::Double => requantize_double(*sum, multiplier, shift),
                _ => requantize_single(*sum, multiplier, shift),
            };
        }
        // SAFETY: as above.
        unsafe { core::mem::transmute(sums) }
    }

    #[inline(never)]
    #[target_feature(enable = "avx2,fma,avx512f")]
    unsafe fn scale_sixteen(finish: &Finish, sums: __m512i, parts: [__m512i; 3]) -> __m512i {
        let low = parts.map(|part| _mm512_castsi512_si256(part));
        let high = parts.map(|part| _mm512_extracti64x4_epi64::<1>(part));
        // SAFETY: the machine has AVX2 and FMA as well.
        unsafe {
            let low = Self::scale(finish, _mm512_castsi512_si256(sums), low);
            let high = Self::scale(finish, _mm512_extracti64x4_epi64::<1>(sums), high);
            _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
        }
    }
}

/// Products of the even and of the odd lanes.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn products(sums: __m256i, multiplier: __m256i) -> [__m256i; 2] {
    let odd = [
        _mm256_srli_epi64::<32>(sums),
        _mm256_srli_epi64::<32>(multiplier),
    ];
    [
        _mm256_mul_epi32(sums, multiplier),
        _mm256_mul_epi32(odd[0], odd[1]),
    ]
}

/// The high words of products of the even and of the odd lanes.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn high_words(even: __m256i, odd: __m256i) -> __m256i {
    _mm256_blend_epi32::<0xAA>(_mm256_srli_epi64::<32>(even), odd)
}

/// As [`products`].
#[inline]
#[target_feature(enable = "avx512f")]
fn products_of_sixteen(sums: __m512i, multiplier: __m512i) -> [__m512i; 2] {
    let odd = [
        _mm512_srli_epi64::<32>(sums),
        _mm512_srli_epi64::<32>(multiplier),
    ];
    [
        _mm512_mul_epi32(sums, multiplier),
        _mm512_mul_epi32(odd[0], odd[1]),
    ]
}

/// As [`high_words`].
#[inline]
#[target_feature(enable = "avx512f")]
fn high_words_of_sixteen(even: __m512i, odd: __m512i) -> __m512i {
    // Even lanes take the words behind them.
    _mm512_mask_shuffle_epi32::<0b11_11_01_01>(odd, 0x5555, even)
}

/// Evaluates an expression in which a name stands for the type of a rule.
macro_rules! with_rule {
    ($rule:expr, $scale:ident => $body:expr) => {
        match $rule {
            $crate::tiled::i8::Rule::Near => {
                type $scale = $crate::x86::i8::finish::Near;
                $body
            }
            $crate::tiled::i8::Rule::High => {
                type $scale = $crate::x86::i8::finish::High;
                $body
            }
            $crate::tiled::i8::Rule::Single => {
                type $scale = $crate::x86::i8::finish::Single;
                $body
            }
            $crate::tiled::i8::Rule::Double => {
                type $scale = $crate::x86::i8::finish::Double;
                $body
            }
            $crate::tiled::i8::Rule::Lanes => {
                type $scale = $crate::x86::i8::finish::Lanes;
                $body
            }
            $crate::tiled::i8::Rule::Ramp => {
                type $scale = $crate::x86::i8::finish::Ramp;
                $body
            }
            $crate::tiled::i8::Rule::Bent => {
                type $scale = $crate::x86::i8::finish::Bent;
                $body
            }
        }
    };
}
pub(super) use with_rule;

//! From 32-bit sums to int8 outputs, 8 lanes at a time: exactly [`format::fixed`].

use crate::{Channels, Conv2dI8};
use core::arch::x86_64::*;
use format::fixed::{Rounding, requantize_double, requantize_single};

/// Which rule the lanes follow.
#[derive(Clone, Copy)]
enum Rule {
    High,
    /// Shifts to the right only.
    Single,
    /// Shifts to the right only.
    Double,
    /// Single or double with unusual shifts or multipliers: lane by lane.
    Lanes(Rounding),
}

/// Parameters of a block of 8 or 16 outputs, in the order of its sums.
#[derive(Clone, Copy)]
pub(super) struct Finish {
    rule: Rule,
    pub(super) bias: [__m256i; 2],
    multiplier: [__m256i; 2],
    shift: [__m256i; 2],
    /// Limits before the zero point is added.
    low: __m256i,
    high: __m256i,
    zero_point: __m256i,
    /// Outputs that exist.
    valid: usize,
}

impl Finish {
    /// The block of `width` outputs from `channel` on, of which `valid` exist.
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn new(operands: &Conv2dI8<'_>, channel: usize, width: usize, valid: usize) -> Self {
        let requantize = &operands.requantize;
        let zero = i32::from(requantize.zero_point);
        let none = [_mm256_setzero_si256(); 2];
        let mut finish = Finish {
            rule: Rule::High,
            bias: none,
            multiplier: none,
            shift: none,
            low: _mm256_set1_epi32(i32::from(requantize.min) - zero),
            high: _mm256_set1_epi32(i32::from(requantize.max) - zero),
            zero_point: _mm256_set1_epi32(zero),
            valid,
        };
        match operands.channels {
            Channels::High(words) => {
                let mut copy = [0; 16];
                let whole = words.get(channel..channel + 16).map(<&[u32; 16]>::try_from);
                let block = whole.and_then(Result::ok).unwrap_or_else(|| {
                    let known = words.get(channel..).unwrap_or(&[]);
                    copy.iter_mut()
                        .zip(known)
                        .for_each(|(to, &from)| *to = from);
                    &copy
                });
                let bias_shift = _mm_cvtsi32_si128(i32::from(requantize.bias_shift));
                let shift = _mm_cvtsi32_si128(i32::from(requantize.multiplier_shift));
                for (vector, words) in in_order(block, width).into_iter().enumerate() {
                    let bias = _mm256_srai_epi32::<12>(words);
                    finish.bias[vector] = _mm256_sll_epi32(bias, bias_shift);
                    let multiplier = _mm256_and_si256(words, _mm256_set1_epi32(0xFFF));
                    finish.multiplier[vector] = _mm256_sll_epi32(multiplier, shift);
                }
            }
            Channels::Wide(words) => {
                let mut block = [[0u32; 16]; 3];
                let records = words.get(channel * 3..).unwrap_or(&[]).chunks_exact(3);
                let mut usual = true;
                for (i, record) in records.take(valid).enumerate() {
                    for (part, &word) in block.iter_mut().zip(record) {
                        part[i] = word as u32;
                    }
                    usual &= record[1] >= 0 && (-31..=0).contains(&record[2]);
                }
                finish.bias = in_order(&block[0], width);
                finish.multiplier = in_order(&block[1], width);
                finish.shift = in_order(&block[2], width);
                finish.rule = match requantize.rounding {
                    rounding if !usual => Rule::Lanes(rounding),
                    Rounding::Double => Rule::Double,
                    _ => Rule::Single,
                };
            }
        }
        finish
    }

    /// Whether the rule is the high word: loops are compiled for it separately, as it needs far
    /// fewer registers than the other two.
    pub(super) fn is_high(&self) -> bool {
        matches!(self.rule, Rule::High)
    }

    /// Sums scaled by one of the other rules. Never inlined: what these rules need would crowd
    /// the loops' registers.
    #[inline(never)]
    #[target_feature(enable = "avx2,fma")]
    fn scale_wide<const N: usize>(&self, mut sums: [__m256i; N]) -> [__m256i; N] {
        for (i, sum) in sums.iter_mut().enumerate() {
            let (multiplier, shift) = (self.multiplier[i], self.shift[i]);
            *sum = match self.rule {
                Rule::High => high(*sum, multiplier),
                Rule::Single => single(*sum, multiplier, shift),
                Rule::Double => double(*sum, multiplier, shift),
                Rule::Lanes(rounding) => lanes(*sum, multiplier, shift, rounding),
            };
        }
        sums
    }

    /// Writes the outputs of one pixel: 8 or 16 sums. `HIGH` is [`Finish::is_high`].
    ///
    /// # Safety
    ///
    /// The outputs of the block that exist may be written at `to`.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn store<const N: usize, const HIGH: bool>(
        &self,
        mut sums: [__m256i; N],
        to: *mut i8,
    ) {
        if HIGH {
            for (sum, &multiplier) in sums.iter_mut().zip(&self.multiplier) {
                *sum = high(*sum, multiplier);
            }
        } else {
            sums = self.scale_wide(sums);
        }
        for sum in &mut sums {
            let limited = _mm256_min_epi32(_mm256_max_epi32(*sum, self.low), self.high);
            *sum = _mm256_add_epi32(limited, self.zero_point);
        }
        // Each half holds 8 outputs of a block of 16 now, or 4 outputs twice.
        let words = _mm256_packs_epi32(sums[0], sums[N - 1]);
        let bytes = _mm256_packs_epi16(words, words);
        let (low, high) = (
            _mm256_castsi256_si128(bytes),
            _mm256_extracti128_si256::<1>(bytes),
        );
        let block = if N == 2 {
            _mm_unpacklo_epi64(low, high)
        } else {
            _mm_unpacklo_epi32(low, high)
        };
        // SAFETY: whole stores only where the whole block exists; otherwise the bytes that do.
        unsafe {
            match (N, self.valid) {
                (2, 16..) => _mm_storeu_si128(to.cast(), block),
                (_, 8) => _mm_storel_epi64(to.cast(), block),
                _ => {
                    let mut copy = [0i8; 16];
                    _mm_storeu_si128(copy.as_mut_ptr().cast(), block);
                    for (i, byte) in copy.iter().enumerate().take(self.valid) {
                        to.add(i).write(*byte);
                    }
                }
            }
        }
    }
}

/// The words of a block in the order of its sums (see `Tiles::output_at`).
#[target_feature(enable = "avx2,fma")]
fn in_order(words: &[u32; 16], width: usize) -> [__m256i; 2] {
    let at = words.as_ptr();
    // SAFETY: 16 words.
    let [a, b] = unsafe {
        [
            _mm256_loadu_si256(at.cast()),
            _mm256_loadu_si256(at.add(8).cast()),
        ]
    };
    if width == 16 {
        [
            _mm256_permute2x128_si256::<0x20>(a, b),
            _mm256_permute2x128_si256::<0x31>(a, b),
        ]
    } else {
        [a, b]
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

/// The low words of `even` in the even lanes, the low words of `odd` in the odd ones.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn join(even: __m256i, odd: __m256i) -> __m256i {
    _mm256_blend_epi32::<0xAA>(even, _mm256_slli_epi64::<32>(odd))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn high(sums: __m256i, multiplier: __m256i) -> __m256i {
    let half = _mm256_set1_epi64x(1 << 31);
    let [even, odd] = products(sums, multiplier);
    let even = _mm256_srli_epi64::<32>(_mm256_add_epi64(even, half));
    _mm256_blend_epi32::<0xAA>(even, _mm256_add_epi64(odd, half))
}

/// For `-31 <= shift <= 0` and multipliers that are not negative: nothing saturates.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn single(sums: __m256i, multiplier: __m256i, shift: __m256i) -> __m256i {
    let right = _mm256_sub_epi32(_mm256_set1_epi32(31), shift);
    let rights = [
        _mm256_and_si256(right, _mm256_set1_epi64x(0xFFFF_FFFF)),
        _mm256_srli_epi64::<32>(right),
    ];
    let one = _mm256_set1_epi64x(1);
    // There is no arithmetic shift of 64 bits: shift `x + 2^63` and take `2^63 >> right` off.
    let offset = _mm256_set1_epi64x(i64::MIN);
    let mut shifted = products(sums, multiplier);
    for (product, right) in shifted.iter_mut().zip(rights) {
        let half = _mm256_sllv_epi64(one, _mm256_sub_epi64(right, one));
        let sum = _mm256_xor_si256(_mm256_add_epi64(*product, half), offset);
        let moved = _mm256_srlv_epi64(sum, right);
        *product = _mm256_sub_epi64(moved, _mm256_srlv_epi64(offset, right));
    }
    join(shifted[0], shifted[1])
}

/// For `-31 <= shift <= 0` and multipliers that are not negative. The doubling high product is
/// `floor((a * b + 2^30) / 2^31)` then.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn double(sums: __m256i, multiplier: __m256i, shift: __m256i) -> __m256i {
    let nudge = _mm256_set1_epi64x(1 << 30);
    let [even, odd] = products(sums, multiplier);
    let (even, odd) = (_mm256_add_epi64(even, nudge), _mm256_add_epi64(odd, nudge));
    let value =
        _mm256_blend_epi32::<0xAA>(_mm256_srli_epi64::<31>(even), _mm256_slli_epi64::<1>(odd));
    let one = _mm256_set1_epi32(1);
    let right = _mm256_sub_epi32(_mm256_setzero_si256(), shift);
    let mask = _mm256_sub_epi32(_mm256_sllv_epi32(one, right), one);
    let remainder = _mm256_and_si256(value, mask);
    let negative = _mm256_srai_epi32::<31>(value);
    let threshold = _mm256_sub_epi32(_mm256_srli_epi32::<1>(mask), negative);
    let up = _mm256_cmpgt_epi32(remainder, threshold);
    _mm256_sub_epi32(_mm256_srav_epi32(value, right), up)
}

fn lanes(sums: __m256i, multiplier: __m256i, shift: __m256i, rounding: Rounding) -> __m256i {
    let words = |vector: __m256i| -> [i32; 8] {
        // SAFETY: both are 32 bytes in which every bit pattern is a value.
        unsafe { core::mem::transmute(vector) }
    };
    let (mut sums, multiplier, shift) = (words(sums), words(multiplier), words(shift));
    for ((sum, multiplier), shift) in sums.iter_mut().zip(multiplier).zip(shift) {
        *sum = match rounding {
            Rounding::Double => requantize_double(*sum, multiplier, shift),
            _ => requantize_single(*sum, multiplier, shift),
        };
    }
    // SAFETY: as above.
    unsafe { core::mem::transmute(sums) }
}

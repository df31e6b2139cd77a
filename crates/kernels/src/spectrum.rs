//! Fixed-point spectra of sound: the same bits on every processor, without floating point.
//!
//! A real transform of `n` points is a complex one of `n / 2` (Cooley and Tukey, radix 2, in
//! place) and a step that separates even and odd samples. Nothing is scaled on the way: callers
//! leave room for growth by a factor of `n`, see [`headroom_bits`].

use core::cell::Cell;

/// Sines of a quarter of a turn: entry `k` is `sin(2 pi k / n)` in Q31, for `k` up to `n / 4`.
#[derive(Clone, Copy, Debug)]
pub struct Sines<'a> {
    quarter: &'a [i32],
}

impl<'a> Sines<'a> {
    /// From `n / 4 + 1` entries, `n` being a power of two and at least 8; `None` otherwise.
    pub fn new(quarter: &'a [i32]) -> Option<Self> {
        let fits = quarter.len() >= 3 && (quarter.len() - 1).is_power_of_two();
        fits.then_some(Sines { quarter })
    }

    /// The points of the real transform.
    pub fn points(&self) -> usize {
        (self.quarter.len() - 1) * 4
    }

    /// Cosine and sine of `k / n` turns, for `k` up to `n / 2`.
    fn turn(&self, k: usize) -> (i64, i64) {
        let at = |i: usize| i64::from(self.quarter.get(i).copied().unwrap_or(0));
        let quarter = self.quarter.len() - 1;
        match k <= quarter {
            true => (at(quarter - k), at(k)),
            false => (-at(k - quarter), at(2 * quarter - k)),
        }
    }
}

/// Bits that a magnitude may have before a transform of `points`, so that no sum exceeds 31.
pub fn headroom_bits(points: usize) -> u32 {
    31u32.saturating_sub(points.max(2).ilog2())
}

fn round31(product: i64) -> i32 {
    ((product + (1 << 30)) >> 31) as i32
}

/// Transforms `n / 2` complex numbers in place: pairs of a real and an imaginary part, which are
/// even and odd samples. `values` has `n` elements; fewer leave it as it is.
pub fn transform(values: &[Cell<i32>], sines: &Sines<'_>) {
    let points = sines.points() / 2;
    let Some(values) = values.get(..2 * points) else {
        return;
    };
    let (pairs, _) = values.as_chunks::<2>();
    let shift = usize::BITS - points.ilog2();
    for i in 0..points {
        let j = i.reverse_bits() >> shift;
        if i < j {
            pairs[i][0].swap(&pairs[j][0]);
            pairs[i][1].swap(&pairs[j][1]);
        }
    }
    let mut half = 1;
    while half < points {
        for j in 0..half {
            let (cosine, sine) = sines.turn(j * (points / half));
            for first in (j..points).step_by(2 * half) {
                butterfly(&pairs[first], &pairs[first + half], cosine, sine);
            }
        }
        half *= 2;
    }
}

/// `a + w * b` and `a - w * b`, where `w` is a turn to the right.
fn butterfly(a: &[Cell<i32>; 2], b: &[Cell<i32>; 2], cosine: i64, sine: i64) {
    let [real, imaginary] = [i64::from(b[0].get()), i64::from(b[1].get())];
    let turned = [
        round31(real * cosine + imaginary * sine),
        round31(imaginary * cosine - real * sine),
    ];
    for (part, turned) in turned.into_iter().enumerate() {
        let sum = a[part].get();
        a[part].set(sum.wrapping_add(turned));
        b[part].set(sum.wrapping_sub(turned));
    }
}

/// The squared magnitude of frequency `k`, up to `n / 2`, of the real samples that
/// [`transform`] has transformed. 0 where there is none.
pub fn power(values: &[Cell<i32>], sines: &Sines<'_>, k: usize) -> u64 {
    let points = sines.points() / 2;
    let (pairs, _) = values.as_chunks::<2>();
    let at = |i: usize| {
        pairs
            .get(i % points)
            .map(|pair| [&pair[0], &pair[1]].map(Cell::get))
    };
    let (Some(near), Some(far)) = (at(k), at(points - k % points)) else {
        return 0;
    };
    let [real, imaginary] = near.map(i64::from);
    let [far_real, far_imaginary] = far.map(i64::from);
    // Transforms of even and of odd samples, twice each.
    let even = [real + far_real, imaginary - far_imaginary];
    let odd = [imaginary + far_imaginary, far_real - real];
    let (cosine, sine) = sines.turn(k);
    let part = |sum: i64, product: i64| (sum + ((product + (1 << 30)) >> 31)) / 2;
    let turned = [
        part(even[0], odd[0] * cosine + odd[1] * sine),
        part(even[1], odd[1] * cosine - odd[0] * sine),
    ];
    turned.iter().map(|&x| x.unsigned_abs().pow(2)).sum()
}

/// `floor(log2(value) * 2^16)`; 0 for 0. The fraction is found bit by bit, by squaring.
pub fn log2_q16(value: u64) -> i32 {
    if value == 0 {
        return 0;
    }
    let whole = value.ilog2();
    // Between 1 and 2 in Q31.
    let mut mantissa = match whole > 31 {
        true => value >> (whole - 31),
        false => value << (31 - whole),
    };
    let mut bits = whole << 16;
    for bit in (0..16).rev() {
        mantissa = (mantissa * mantissa) >> 31;
        if mantissa >= 1 << 32 {
            mantissa >>= 1;
            bits |= 1 << bit;
        }
    }
    bits as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::f64::consts::TAU;
    use std::vec::Vec;

    fn sines(points: usize) -> Vec<i32> {
        let sine = |k| (TAU * f64::from(k) / points as f64).sin() * 2f64.powi(31);
        (0..=points as u32 / 4)
            .map(|k| sine(k).round().min(2_147_483_647.0) as i32)
            .collect()
    }

    /// Sound against the definition of the transform, in double precision.
    #[test]
    fn powers_are_those_of_the_definition() {
        for points in [8usize, 64, 512] {
            let table = sines(points);
            let sines = Sines::new(&table).unwrap();
            assert_eq!(sines.points(), points);
            let mut seed = points as u32;
            let mut sample = || {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed as i32) >> (32 - headroom_bits(points) + 1)
            };
            let samples: Vec<i32> = (0..points).map(|_| sample()).collect();
            let values: Vec<Cell<i32>> = samples.iter().copied().map(Cell::new).collect();
            transform(&values, &sines);
            for k in 0..=points / 2 {
                let mut sums = [0.0, 0.0];
                for (i, &x) in samples.iter().enumerate() {
                    let angle = TAU * (k * i % points) as f64 / points as f64;
                    sums[0] += f64::from(x) * angle.cos();
                    sums[1] += f64::from(x) * angle.sin();
                }
                let expected = sums[0].hypot(sums[1]);
                let given = (power(&values, &sines, k) as f64).sqrt();
                assert!(
                    (given - expected).abs() < 16.0,
                    "{points} {k}: {given} {expected}"
                );
            }
        }
    }

    #[test]
    fn logarithms_are_exact_to_their_last_bit() {
        for value in [
            1,
            2,
            3,
            5,
            1000,
            65_535,
            1 << 31,
            (1 << 40) + 12_345,
            u64::MAX,
        ] {
            let exact = (value as f64).log2() * 65_536.0;
            let given = f64::from(log2_q16(value));
            assert!(
                given <= exact + 1e-3 && given > exact - 1.01,
                "{value}: {given} {exact}"
            );
        }
        assert_eq!(log2_q16(0), 0);
        assert_eq!(log2_q16(1 << 63), 63 << 16);
    }

    #[test]
    fn tables_of_other_sizes_are_refused() {
        assert!(Sines::new(&[0; 4]).is_none());
        assert!(Sines::new(&[0; 2]).is_none());
    }
}

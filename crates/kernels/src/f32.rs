//! Float kernels. Convolutions have the same bits on x86-64 with AVX2 or AVX-512 and on 64-bit Arm: products are
//! added up in one order, and each is rounded once with the sum. Elsewhere results agree to rounding.

use crate::memory::In;
#[cfg(not(neon))]
use crate::scalar;
#[cfg(any(test, feature = "std"))]
use crate::threads::Layer;
use crate::{Architecture, Conv2dF32, Geometry};
#[cfg(neon)]
use crate::{aarch64::Neon, tiled};
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
use crate::{simd128::Simd128, tiled};
#[cfg(target_arch = "x86_64")]
use crate::{tiled, x86};
use core::cell::Cell;

/// Bytes of scratch memory that [`conv_2d`] needs.
pub fn conv_2d_scratch_bytes(_geometry: &Geometry, architecture: Architecture) -> usize {
    match architecture {
        #[cfg(target_arch = "x86_64")]
        Architecture::Avx2 | Architecture::AvxVnni | Architecture::Avx512Vnni => {
            tiled::f32::conv_2d_scratch_bytes(_geometry)
        }
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Architecture::Simd128 => tiled::f32::conv_2d_scratch_bytes(_geometry),
        #[cfg(neon)]
        Architecture::Neon | Architecture::NeonDotprod => {
            tiled::f32::conv_2d_scratch_bytes(_geometry)
        }
        _ => 0,
    }
}

/// Bytes that [`prepare_conv_2d`] writes: 0 where kernels use the weights of the file in place.
pub fn conv_2d_prepared_bytes(_geometry: &Geometry, architecture: Architecture) -> usize {
    match architecture {
        #[cfg(target_arch = "x86_64")]
        Architecture::Avx2 | Architecture::AvxVnni | Architecture::Avx512Vnni => {
            tiled::f32::conv_2d_prepared_bytes(_geometry)
        }
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Architecture::Simd128 => tiled::f32::conv_2d_prepared_bytes(_geometry),
        #[cfg(neon)]
        Architecture::Neon | Architecture::NeonDotprod => {
            tiled::f32::conv_2d_prepared_bytes(_geometry)
        }
        _ => 0,
    }
}

/// Packs weights for this machine, once per session.
pub fn prepare_conv_2d(_geometry: &Geometry, _weights: &[f32], _prepared: &mut [u8]) {
    match Architecture::current() {
        #[cfg(target_arch = "x86_64")]
        Architecture::Avx512Vnni => {
            tiled::f32::prepare_conv_2d::<x86::Avx512Vnni>(_geometry, _weights, _prepared)
        }
        #[cfg(target_arch = "x86_64")]
        Architecture::Avx2 | Architecture::AvxVnni => {
            tiled::f32::prepare_conv_2d::<x86::Avx2>(_geometry, _weights, _prepared)
        }
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Architecture::Simd128 => {
            tiled::f32::prepare_conv_2d::<Simd128>(_geometry, _weights, _prepared)
        }
        #[cfg(neon)]
        Architecture::Neon | Architecture::NeonDotprod => {
            tiled::f32::prepare_conv_2d::<Neon>(_geometry, _weights, _prepared)
        }
        _ => {}
    }
}

/// Rows of the output at whose multiples threads may cut an image.
#[cfg(any(test, feature = "std"))]
pub(crate) fn row_multiple(_geometry: &Geometry) -> usize {
    match Architecture::current() {
        #[cfg(any(
            neon,
            target_arch = "x86_64",
            all(target_arch = "wasm32", target_feature = "simd128")
        ))]
        Architecture::Avx2
        | Architecture::AvxVnni
        | Architecture::Avx512Vnni
        | Architecture::Simd128
        | Architecture::Neon
        | Architecture::NeonDotprod => tiled::f32::row_multiple(_geometry),
        _ => 1,
    }
}

/// A convolution of one image, depthwise ones included.
pub fn conv_2d(operands: &Conv2dF32<'_>) {
    #[cfg(any(test, feature = "std"))]
    if operands.binding.threads.divide(Layer::Conv2dF32, operands) {
        return;
    }
    conv_2d_alone(operands);
}

pub(crate) fn conv_2d_alone(operands: &Conv2dF32<'_>) {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx512) = x86::Avx512Vnni::detect() {
        return tiled::f32::conv_2d(avx512, operands);
    } else if let Some(avx2) = x86::Avx2::detect() {
        return tiled::f32::conv_2d(avx2, operands);
    }
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    if let Some(simd128) = Simd128::detect() {
        return tiled::f32::conv_2d(simd128, operands);
    }
    #[cfg(neon)]
    tiled::f32::conv_2d(Neon, operands);
    #[cfg(not(neon))]
    scalar::f32::conv_2d(operands);
}

/// A function of two tensors of one shape, element by element, within limits; NaN passes through
/// them. The output may be in the place of an input, or before it.
#[inline]
pub fn combine(
    inputs: [&In<'_, f32>; 2],
    output: &[Cell<f32>],
    [low, high]: [f32; 2],
    function: impl Fn(f32, f32) -> f32,
) {
    // Comparisons with NaN are false.
    let limited = |value: f32| {
        let value = if value < low { low } else { value };
        if value > high { high } else { value }
    };
    let [x, y] = inputs;
    let whole = x.len().min(y.len()).min(output.len()) / 8 * 8;
    for i in (0..whole).step_by(8) {
        // SAFETY: eight elements of all three are there. Plain reads and writes may alias cells:
        // no reference to the elements exists.
        unsafe {
            let x = x.as_ptr().add(i).cast::<[f32; 8]>().read();
            let y = y.as_ptr().add(i).cast::<[f32; 8]>().read();
            let mut values = [0.0; 8];
            for k in 0..8 {
                values[k] = limited(function(x[k], y[k]));
            }
            let to = output.as_ptr().add(i).cast_mut().cast::<[f32; 8]>();
            to.write(values);
        }
    }
    for (i, cell) in output.iter().enumerate().skip(whole) {
        cell.set(limited(function(x.get(i), y.get(i))));
    }
}

#[cfg(test)]
mod tests {
    use super::combine;
    use crate::memory::In;
    use core::cell::Cell;
    use std::vec::Vec;

    /// 19 elements, two vectors and a rest, apart and with the output over the first input.
    #[test]
    fn sums_are_limited_and_keep_nan() {
        let mut x: Vec<f32> = (0..19).map(|i| i as f32).collect();
        (x[3], x[17]) = (f32::NAN, f32::NAN);
        let y = [0.5; 19];
        let sum = |i: usize| (x[i] + 0.5).clamp(2.0, 15.0);
        let expected: Vec<u32> = (0..19).map(|i| sum(i).to_bits()).collect();
        let apart = [const { Cell::new(0.0) }; 19];
        let in_place: Vec<Cell<f32>> = x.iter().copied().map(Cell::new).collect();
        let places = [
            (In::from_slice(&x), &apart[..]),
            (In::from_cells(&in_place), &in_place[..]),
        ];
        for (input, output) in places {
            let inputs = [&input, &In::from_slice(&y)];
            combine(inputs, output, [2.0, 15.0], |a, b| a + b);
            let found: Vec<u32> = output.iter().map(|cell| cell.get().to_bits()).collect();
            assert_eq!(found, expected);
        }
    }
}

//! Float convolutions against plain Rust, within rounding, and against each other, to the bit.

use super::{Guarded, arena, distance, elements, noise, pool};
use crate::memory::In;
use crate::{Architecture, Binding, Conv2dF32, Geometry, Threads, scalar};
use core::cell::Cell;
use std::vec::Vec;

/// The functions of a set of kernels that compute float convolutions.
pub(super) struct ConvolutionsF32 {
    architecture: fn() -> Architecture,
    prepare: fn(&Geometry, &[f32], &mut [u8]),
    conv_2d: fn(&Conv2dF32<'_>),
}

/// Those that run here.
pub(super) const CURRENT_F32: ConvolutionsF32 = ConvolutionsF32 {
    architecture: Architecture::current,
    prepare: crate::f32::prepare_conv_2d,
    conv_2d: crate::f32::conv_2d,
};

/// Those with vectors of 256 bits, which compute nothing where the machine has none.
#[cfg(all(test, target_arch = "x86_64"))]
pub(super) const AVX2: ConvolutionsF32 = ConvolutionsF32 {
    architecture: || Architecture::Avx2,
    prepare: crate::tiled::f32::prepare_conv_2d::<crate::x86::Avx2>,
    conv_2d: |operands| {
        if let Some(proof) = crate::x86::Avx2::detect() {
            crate::tiled::f32::conv_2d(proof, operands);
        }
    },
};

impl ConvolutionsF32 {
    /// Scratch memory, and what is prepared.
    fn memory(&self, geometry: &Geometry, weights: &[f32]) -> [Guarded; 2] {
        let architecture = (self.architecture)();
        let scratch = crate::f32::conv_2d_scratch_bytes(geometry, architecture);
        let prepared = crate::f32::conv_2d_prepared_bytes(geometry, architecture);
        let mut memory = [scratch, prepared].map(Guarded::new);
        (self.prepare)(geometry, weights, memory[1].bytes());
        memory
    }
}

/// So many numbers from -1 to 1.
fn values(count: usize, next: &mut impl FnMut() -> u64) -> Vec<f32> {
    let mut value = || (next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
    (0..count).map(|_| value()).collect()
}

/// A layer of random numbers.
struct Layer {
    geometry: Geometry,
    input: Vec<f32>,
    weights: Vec<f32>,
    /// One per output channel, or none.
    bias: Vec<f32>,
}

impl Layer {
    fn of(geometry: Geometry, has_bias: bool, next: &mut impl FnMut() -> u64) -> Self {
        Layer {
            geometry,
            input: values(elements(geometry.input), next),
            weights: values(geometry.output[2] * geometry.taps(), next),
            bias: values(if has_bias { geometry.output[2] } else { 0 }, next),
        }
    }

    fn operands<'a>(
        &'a self,
        input: In<'a, f32>,
        output: &'a [Cell<f32>],
        [scratch, prepared]: [&'a mut Guarded; 2],
        threads: Threads<'a>,
    ) -> Conv2dF32<'a> {
        Conv2dF32 {
            geometry: self.geometry,
            input,
            output,
            weights: &self.weights,
            bias: &self.bias,
            limits: [-1.5, 3.0],
            binding: Binding {
                prepared: prepared.bytes(),
                scratch: Cell::from_mut(scratch.bytes()).as_slice_of_cells(),
                threads,
            },
        }
    }
}

pub(super) fn check_f32(
    kernels: &ConvolutionsF32,
    geometry: Geometry,
    seed: u64,
    overlap: bool,
    has_bias: bool,
) {
    let layer = Layer::of(geometry, has_bias, &mut noise(seed));
    let outputs = elements(geometry.output);
    let [mut scratch, mut prepared] = kernels.memory(&geometry, &layer.weights);
    let guard = 12345.0;
    let pool = pool(scratch.bytes().len());
    let mut run = |distance: Option<usize>, judge: bool, threads: Threads<'_>| {
        let mut place = arena(&layer.input, outputs, distance, guard);
        let cells = Cell::from_mut(&mut place.memory[..]).as_slice_of_cells();
        let input = In::from_cells(&cells[place.input..place.input + layer.input.len()]);
        let output = &cells[place.output..place.output + outputs];
        let operands = layer.operands(input, output, [&mut scratch, &mut prepared], threads);
        if judge {
            scalar::f32::conv_2d(&operands);
        } else {
            (kernels.conv_2d)(&operands);
        }
        place.result(outputs, distance, guard)
    };
    let expected = run(None, true, Threads::ALONE);
    let tolerance = 1e-5 * geometry.taps() as f32;
    let distances = [None, overlap.then(|| distance(&geometry))];
    for distance in distances {
        let actual = run(distance, false, Threads::ALONE);
        for (i, (a, b)) in actual.iter().zip(&expected).enumerate() {
            assert!((a - b).abs() <= tolerance, "{i}: {a} {b} in {geometry:?}");
        }
        let together = run(distance, false, Threads::of(&pool));
        let pairs = together.iter().zip(&actual);
        for (i, (a, b)) in pairs.enumerate() {
            assert!(a.to_bits() == b.to_bits(), "{i}: {a} {b} in {geometry:?}");
        }
    }
    assert!(scratch.is_intact() && prepared.is_intact());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::self_test::random_geometry;

    /// A digest of the bits of a hundred random layers.
    fn digest(kernels: &ConvolutionsF32) -> u64 {
        // FNV-1a, by Fowler, Noll and Vo.
        let mut digest = 0xCBF2_9CE4_8422_2325u64;
        for seed in 0..100 {
            let next = &mut noise(seed);
            let geometry = random_geometry(|end| (next() % end as u64) as usize);
            let layer = Layer::of(geometry, true, next);
            let [mut scratch, mut prepared] = kernels.memory(&geometry, &layer.weights);
            let mut output = std::vec![0.0; elements(geometry.output)];
            (kernels.conv_2d)(&layer.operands(
                In::from_slice(&layer.input),
                Cell::from_mut(&mut output[..]).as_slice_of_cells(),
                [&mut scratch, &mut prepared],
                Threads::ALONE,
            ));
            for byte in output.iter().flat_map(|value| value.to_le_bytes()) {
                digest = (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
            }
        }
        digest
    }

    /// Sets that round a product and a sum once add up in one order, so that a model that is
    /// calibrated on one machine is that of another.
    #[test]
    fn fused_sums_have_the_same_bits_everywhere() {
        const BITS: u64 = 0xD5D6_76C7_F130_43D2;
        match Architecture::current() {
            Architecture::Scalar => std::println!("skipped: this machine has no vector kernels"),
            _ => assert_eq!(digest(&CURRENT_F32), BITS),
        }
        #[cfg(target_arch = "x86_64")]
        if crate::x86::Avx2::detect().is_some() {
            assert_eq!(digest(&AVX2), BITS);
        }
    }
}

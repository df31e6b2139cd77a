//! Regions of an image in one size: each is cut into bins, and a bin is the mean, or the largest, of
//! samples between pixels, a fixed number of them along each axis. As ONNX's RoiAlign has it.
//!
//! | operand | shape | types |
//! |---|---|---|
//! | input | `[N, C, H, W]` | f32 |
//! | regions | `[R, 4]`: left, top, right, bottom | f32 |
//! | samples | `[R]`: the image of each region; zeros where there is none | int32, int64 |
//! | output | `[R, C, height, width]` | f32 |

use super::indices::{Indices, is_index};
use crate::{Op, Run};
use format::{DType, Node};
use kernels::memory::In;

/// Float in, float out.
pub static F32: Op = Op::new(94, "roi_align_f32", check, run);

fn check(node: &Node<'_>) -> Option<()> {
    let (x, regions, samples) = (node.input(0)?, node.input(1)?, node.input(2)?);
    let output = node.output(0)?;
    let types = [x.dtype, regions.dtype, output.dtype] == [DType::F32; 3] && is_index(&samples);
    let count = output.shape.dim(0);
    let shapes = x.shape.rank() == 4
        && output.shape.rank() == 4
        && output.shape.dim(1) == x.shape.dim(1)
        && regions.shape.elements() == count.checked_mul(4)?
        && samples.shape.elements() == count;
    let whole = x.shape.elements() > 0 && output.shape.elements() > 0;
    (types && shapes && whole).then_some(())
}

/// What a node says about all regions.
#[derive(Clone, Copy)]
struct Manner {
    /// Samples of a bin along each axis.
    density: usize,
    scale: f32,
    half_pixel: bool,
    largest: bool,
}

/// Where the samples of a region are: the first bin's start and a bin's size, `[y, x]`.
#[derive(Clone, Copy)]
struct Bins {
    start: [f32; 2],
    size: [f32; 2],
}

fn run(run: &Run<'_>) {
    let mut params = run.node.params();
    let manner = Manner {
        density: usize::from(params.u8()).max(1),
        half_pixel: params.u8() != 0,
        largest: params.u8() != 0,
        scale: params.f32(),
    };
    let (Some(from), Some(to)) = (run.node.input(0), run.node.output(0)) else {
        return;
    };
    let [n, channels, height, width] = [0, 1, 2, 3].map(|axis| from.shape.dim(axis));
    let [rows, columns] = [to.shape.dim(2), to.shape.dim(3)];
    let (input, regions) = (run.input::<f32>(0), run.input::<f32>(1));
    let samples = Indices::of(run, 2);
    for (index, cell) in run.output::<f32>(0).iter().enumerate() {
        let (plane, place) = (index / (rows * columns), index % (rows * columns));
        let (region, channel) = (plane / channels, plane % channels);
        let Some(sample) = samples.position(region, n) else {
            cell.set(0.0);
            continue;
        };
        let bins = manner.bins(&regions.part(region * 4, 4), [rows, columns]);
        let pixels = height * width;
        let plane = input.part((sample * channels + channel) * pixels, pixels);
        cell.set(manner.bin(&plane, [height, width], bins, [place / columns, place % columns]));
    }
}

impl Manner {
    fn bins(self, region: &In<'_, f32>, count: [usize; 2]) -> Bins {
        let offset = if self.half_pixel { 0.5 } else { 0.0 };
        let edge = |index: usize| region.get(index) * self.scale - offset;
        let start = [edge(1), edge(0)];
        let size = [edge(3) - start[0], edge(2) - start[1]];
        // Without the half pixel no region is smaller than one.
        let size = size.map(|size| if self.half_pixel { size } else { size.max(1.0) });
        Bins { start, size: [size[0] / count[0] as f32, size[1] / count[1] as f32] }
    }

    /// The mean or the largest of a bin's samples.
    fn bin(self, plane: &In<'_, f32>, image: [usize; 2], bins: Bins, bin: [usize; 2]) -> f32 {
        let (mut sum, mut largest) = (0.0, f32::NEG_INFINITY);
        for sample in 0..self.density * self.density {
            let step = [sample / self.density, sample % self.density];
            let at = |axis: usize| {
                let part = (step[axis] as f32 + 0.5) / self.density as f32;
                bins.start[axis] + (bin[axis] as f32 + part) * bins.size[axis]
            };
            let corners = corners(plane, image, [at(0), at(1)]);
            sum += corners.iter().sum::<f32>();
            largest = corners.iter().fold(largest, |largest, &corner| largest.max(corner));
        }
        if self.largest { largest } else { sum / (self.density * self.density) as f32 }
    }
}

/// The four pixels round a point by their shares; zeros outside the image.
fn corners(plane: &In<'_, f32>, [height, width]: [usize; 2], [y, x]: [f32; 2]) -> [f32; 4] {
    let inside = |at: f32, size: usize| (-1.0..=size as f32).contains(&at);
    if !inside(y, height) || !inside(x, width) {
        return [0.0; 4];
    }
    let neighbours = |at: f32, size: usize| {
        let at = at.max(0.0);
        let low = (at as usize).min(size - 1);
        let share = if low == size - 1 { 0.0 } else { at - low as f32 };
        ([low, (low + 1).min(size - 1)], [1.0 - share, share])
    };
    let ((rows, by_row), (columns, by_column)) = (neighbours(y, height), neighbours(x, width));
    let corner = |r: usize, c: usize| {
        by_row[r] * by_column[c] * plane.get(rows[r] * width + columns[c])
    };
    [corner(0, 0), corner(0, 1), corner(1, 0), corner(1, 1)]
}

#[cfg(feature = "host")]
pub use host::RoiAlign;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::fixed::Rounding;
    use format::{DType, ParamsWriter, Shape};
    use std::string::String;
    use std::vec::Vec;

    /// Attributes of regions in one size.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct RoiAlign {
        /// Rows and columns of bins.
        pub size: [usize; 2],
        /// Samples of a bin along each axis.
        pub density: u8,
        /// From the coordinates of regions to pixels.
        pub scale: f32,
        /// Whether a pixel's centre is half a pixel from its edge.
        pub half_pixel: bool,
        /// Whether the largest sample counts, or the mean.
        pub largest: bool,
    }

    impl Operator for RoiAlign {
        fn name(&self) -> &'static str {
            "roi_align"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let (x, regions) = (required(inputs, 0)?, required(inputs, 1)?);
            let samples = required(inputs, 2)?;
            let count = regions.shape.dim(0);
            let fits = x.shape.rank() == 4
                && regions.shape.rank() == 2
                && regions.shape.dim(1) == 4
                && samples.shape.elements() == count
                && self.density > 0;
            if !fits {
                return Err(std::format!("regions {} do not fit {}", regions.shape, x.shape));
            }
            let dims = [count, x.shape.dim(1), self.size[0], self.size[1]];
            let shape = Shape::new(&dims.map(|size| size as u32)).ok_or("too many dimensions")?;
            Ok(std::vec![(x.dtype, shape)])
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            _outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            let floats = required(inputs, 0)?.dtype == DType::F32
                && required(inputs, 1)?.dtype == DType::F32;
            if !floats || !matches!(required(inputs, 2)?.dtype, DType::I32 | DType::I64) {
                return Err("regions are of f32, and their images of int32 or int64".into());
            }
            let mut params = ParamsWriter::default();
            params.u8(self.density).u8(self.half_pixel.into()).u8(self.largest.into());
            params.f32(self.scale);
            let operands = (0..3).map(LoweredOperand::Input).collect();
            Ok(Lowered { code: super::F32.code, operands, params: params.finish() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::RoiAlign;
    use crate::host::{Data, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    #[test]
    fn bins_are_between_pixels() {
        let tensor = |dims: &[u32], data| {
            Some((Tensor { shape: Shape::new(dims).unwrap(), data }, None))
        };
        let inputs = [
            tensor(&[1, 1, 2, 2], Data::F32(vec![1.0, 2.0, 3.0, 4.0])),
            tensor(&[2, 4], Data::F32(vec![0.0, 0.0, 2.0, 2.0, 0.0, 0.0, 1.0, 1.0])),
            tensor(&[2], Data::I64(vec![0, 7])),
        ];
        let aligned = |size, largest| {
            let (density, scale, half_pixel) = (1, 1.0, true);
            let align = RoiAlign { size, density, scale, half_pixel, largest };
            evaluate(&align, &inputs, &[], Rounding::High).unwrap().remove(0).data
        };
        let four = aligned([2, 2], false);
        assert_eq!(four, Data::F32(vec![1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0]));
        assert_eq!(aligned([1, 1], false), Data::F32(vec![2.5, 0.0]));
        assert_eq!(aligned([1, 1], true), Data::F32(vec![1.0, 0.0]));
    }
}

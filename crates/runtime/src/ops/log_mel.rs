//! Logarithms of the energy of sound in bands of the mel scale, or their cosine transform (MFCC),
//! frame by frame, in fixed point: the same bits everywhere.
//!
//! A frame is multiplied with a window, after the sample before each was subtracted in part
//! (pre-emphasis); its spectrum is summed in triangular bands (Davis and Mermelstein, "Comparison
//! of parametric representations for monosyllabic word recognition", 1980, with
//! `mel = 1127 ln(1 + f / 700)`), and `scale * log10(sum) + offset` is limited.
//!
//! | operand | shape | types |
//! |---|---|---|
//! | input | `[1, samples]` | int16 |
//! | window | `[frame]` | int16, Q15 |
//! | sines | `[points / 4 + 1]` | int32, Q31: see [`kernels::spectrum::Sines`] |
//! | bands | `[2 * bands]` | int32: first frequency and how many |
//! | weights | all bands' | int16, Q15 |
//! | cosines | `[coefficients * bands]`, or absent | int16, Q15 |
//! | output | `[1, frames, 1, bands or coefficients]` | int8, f32 |
//!
//! The sample before a frame is needed too, so that `frames` frames take
//! `(frames - 1) * hop + frame + 1` samples.

use crate::{Op, Run};
use core::cell::Cell;
use format::{DType, Node, Params};
use kernels::memory::{In, cells_as, slice_as};
use kernels::spectrum::{Sines, headroom_bits, log2_q16, power, transform};

/// int16 in, int8 or float out.
pub static I16: Op = Op {
    scratch_bytes: |node, _| constants(node).map_or(0, |c| c.scratch_words() * 4),
    ..Op::new(121, "log_mel", check, run)
};

/// Bits that energies are shifted by before they are weighted, so that no sum exceeds 63.
const ENERGY_SHIFT: u32 = 12;

/// What lowering has written.
#[derive(Clone, Copy)]
struct Settings {
    hop: usize,
    is_magnitude: bool,
    /// Q15.
    pre_emphasis: i32,
    /// Of the binary logarithm: Q24.
    scale: i64,
    /// Q16, as the limits.
    offset: i64,
    limits: [i32; 2],
    /// Output steps per unit in Q16: Q32.
    steps: i64,
}

impl Settings {
    fn read(params: &mut Params<'_>) -> Self {
        Settings {
            hop: params.u32() as usize,
            is_magnitude: params.u32() != 0,
            pre_emphasis: params.u32() as i32,
            scale: i64::from(params.u32() as i32),
            offset: i64::from(params.u32() as i32),
            limits: [params.u32() as i32, params.u32() as i32],
            steps: i64::from(params.u32()),
        }
    }
}

/// The constant operands.
struct Constants<'a> {
    window: &'a [i16],
    sines: Sines<'a>,
    bands: &'a [[i32; 2]],
    weights: &'a [i16],
    /// Empty where logarithms are not transformed.
    cosines: &'a [i16],
}

impl Constants<'_> {
    fn scratch_words(&self) -> usize {
        self.sines.points() + self.bands.len()
    }

    /// Samples of a frame, and the one before.
    fn reach(&self) -> usize {
        self.window.len() + 1
    }
}

fn constants<'a>(node: &Node<'a>) -> Option<Constants<'a>> {
    let (bands, []) = slice_as::<i32>(node.constant(3))?.as_chunks::<2>() else { return None };
    Some(Constants {
        window: slice_as(node.constant(1))?,
        sines: Sines::new(slice_as(node.constant(2))?)?,
        bands,
        weights: slice_as(node.constant(4))?,
        cosines: slice_as(node.constant(5)).unwrap_or(&[]),
    })
}

fn check(node: &Node<'_>) -> Option<()> {
    let (input, output) = (node.input(0)?, node.output(0)?);
    let (constants, settings) = (constants(node)?, Settings::read(&mut node.params()));
    let points = constants.sines.points();
    let inside = |&[first, count]: &[i32; 2]| {
        first >= 0 && count >= 0 && first as usize + count as usize <= points / 2 + 1
    };
    let weights: usize = constants.bands.iter().map(|[_, count]| *count as usize).sum();
    let bands = constants.bands.len();
    let values = match constants.cosines.len() {
        0 => bands,
        cosines => cosines / bands.max(1),
    };
    let frames = output.shape.dim(1);
    let samples = frames.checked_sub(1)?.checked_mul(settings.hop)? + constants.reach();
    let fits = constants.window.len() <= points
        && (16..=4096).contains(&points)
        && constants.bands.iter().all(inside)
        && weights <= constants.weights.len()
        && constants.cosines.len() == if constants.cosines.is_empty() { 0 } else { values * bands }
        && input.dtype == DType::I16
        && matches!(output.dtype, DType::I8 | DType::F32)
        && input.shape.dims() == [1, samples as u32]
        && output.shape.dims() == [1, frames as u32, 1, values as u32];
    fits.then_some(())
}

fn run(run: &Run<'_>) {
    let (Some(constants), Some(tensor)) = (constants(&run.node), run.node.output(0)) else {
        return;
    };
    let settings = Settings::read(&mut run.node.params());
    let Some(scratch) = cells_as::<i32>(run.binding().scratch) else { return };
    if scratch.len() < constants.scratch_words() {
        return;
    }
    let (values, logarithms) = scratch.split_at(constants.sines.points());
    let logarithms = logarithms.get(..constants.bands.len()).unwrap_or(&[]);
    let input = run.input::<i16>(0);
    let (bytes, floats) = (run.output::<i8>(0), run.output::<f32>(0));
    for frame in 0..tensor.shape.dim(1) {
        fill(&constants, &settings, &input, frame * settings.hop, values);
        transform(values, &constants.sines);
        sum_bands(&constants, &settings, values, logarithms);
        let count = tensor.shape.dim(3);
        for i in 0..count {
            let value = coefficient(&constants, logarithms, i);
            let at = frame * count + i;
            if tensor.dtype == DType::F32 {
                if let Some(cell) = floats.get(at) {
                    cell.set(value as f32 / 65_536.0);
                }
            } else if let Some(cell) = bytes.get(at) {
                let steps = (i64::from(value) * settings.steps + (1 << 31)) >> 32;
                cell.set((steps + i64::from(tensor.zero_point)).clamp(-128, 127) as i8);
            }
        }
    }
}

/// The samples of a frame, each less a part of the one before, in the window.
fn fill(
    constants: &Constants<'_>,
    settings: &Settings,
    input: &In<'_, i16>,
    start: usize,
    values: &[Cell<i32>],
) {
    // Real samples times this: differences are below 2 in magnitude.
    let bits = headroom_bits(constants.sines.points()) - 2;
    let mut before = i64::from(input.get(start));
    for (i, cell) in values.iter().enumerate() {
        let Some(&factor) = constants.window.get(i) else {
            cell.set(0);
            continue;
        };
        let sample = i64::from(input.get(start + 1 + i));
        let difference = (sample << 15) - before * i64::from(settings.pre_emphasis);
        before = sample;
        // Q15 by Q15 by Q15.
        let shift = 45 - bits;
        let product = difference * i64::from(factor);
        cell.set(((product + (1 << (shift - 1))) >> shift) as i32);
    }
}

/// The scaled logarithm of each band, in Q16.
fn sum_bands(
    constants: &Constants<'_>,
    settings: &Settings,
    values: &[Cell<i32>],
    logarithms: &[Cell<i32>],
) {
    let bits = headroom_bits(constants.sines.points()) - 2;
    // What sums are larger by than real ones: in bits.
    let unit = match settings.is_magnitude {
        true => bits + 15,
        false => 2 * bits + 15 - ENERGY_SHIFT,
    };
    let mut weights = constants.weights.iter();
    for (&[first, count], cell) in constants.bands.iter().zip(logarithms) {
        let mut sum = 0u64;
        for (k, &weight) in (first as usize..).zip(weights.by_ref().take(count as usize)) {
            let energy = power(values, &constants.sines, k);
            let energy = match settings.is_magnitude {
                true => energy.isqrt(),
                false => energy >> ENERGY_SHIFT,
            };
            sum = sum.saturating_add(energy.saturating_mul(weight.unsigned_abs().into()));
        }
        let logarithm = i64::from(log2_q16(sum)) - (i64::from(unit) << 16);
        let scaled = ((logarithm * settings.scale) >> 24) + settings.offset;
        let [low, high] = settings.limits.map(i64::from);
        cell.set(scaled.max(low).min(high) as i32);
    }
}

/// Output `i` of a frame, in Q16.
fn coefficient(
    constants: &Constants<'_>,
    logarithms: &[Cell<i32>],
    i: usize,
) -> i32 {
    let bands = logarithms.len();
    let Some(row) = constants.cosines.get(i * bands..(i + 1) * bands) else {
        return logarithms.get(i).map_or(0, Cell::get);
    };
    let products = row.iter().zip(logarithms);
    let sum: i64 = products.map(|(&c, value)| i64::from(c) * i64::from(value.get())).sum();
    ((sum + (1 << 14)) >> 15) as i32
}

#[cfg(feature = "host")]
pub use host::{LogMel, Taper};

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::fixed::Rounding;
    use format::{DType, ParamsWriter, Shape};
    use kernels::memory::as_bytes;
    use std::f64::consts::{LOG10_2, PI, TAU};
    use std::string::String;
    use std::vec::Vec;

    /// The form of a window.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Taper {
        /// All samples alike.
        Flat,
        /// `0.5 - 0.5 cos`, periodic.
        Hann,
        /// `0.54 - 0.46 cos`, symmetric.
        Hamming,
    }

    /// Attributes of a front end.
    #[derive(Clone, Debug, PartialEq)]
    pub struct LogMel {
        /// Samples a second.
        pub rate: f32,
        /// Samples of a frame.
        pub frame: usize,
        /// Samples from a frame to the next.
        pub hop: usize,
        /// Points of the spectrum: a power of two, not below `frame`.
        pub points: usize,
        /// The window.
        pub taper: Taper,
        /// The part of the sample before that is subtracted: 0 to 1.
        pub pre_emphasis: f32,
        /// Whether magnitudes are summed, and not energies.
        pub is_magnitude: bool,
        /// Bands.
        pub bands: usize,
        /// The lowest and the highest frequency, in hertz.
        pub range: [f32; 2],
        /// Of the decimal logarithm.
        pub scale: f32,
        /// Added to it.
        pub offset: f32,
        /// Limits of the sum.
        pub limits: [f32; 2],
        /// Coefficients of the cosine transform; 0 for logarithms as they are.
        pub coefficients: usize,
        /// The output's type.
        pub dtype: DType,
    }

    impl LogMel {
        /// Samples that a frame takes, the one before it included.
        pub fn reach(&self) -> usize {
            self.frame + 1
        }

        /// Samples that so many frames take.
        pub fn samples(&self, frames: usize) -> usize {
            frames.saturating_sub(1) * self.hop + self.reach()
        }

        /// Values of a frame.
        pub fn values(&self) -> usize {
            match self.coefficients {
                0 => self.bands,
                coefficients => coefficients,
            }
        }

        fn verify(&self) -> Result<(), String> {
            let [low, high] = self.range;
            let demand = |holds: bool, demand: &str| match holds {
                true => Ok(()),
                false => Err(String::from(demand)),
            };
            let points = self.points.is_power_of_two() && (16..=4096).contains(&self.points);
            demand(points, "the points of a spectrum are a power of two from 16 to 4,096")?;
            let frame = self.frame > 0 && self.frame <= self.points && self.hop > 0;
            demand(frame, "a frame has samples, at most as many as the spectrum has points")?;
            let bands = self.bands > 0 && self.coefficients <= self.bands;
            demand(bands, "there are bands, at least as many as coefficients")?;
            let range = low >= 0.0 && low < high && high <= self.rate / 2.0;
            demand(range, "frequencies go from 0 to half of the rate at most")?;
            let part = (0.0..=1.0).contains(&self.pre_emphasis);
            demand(part, "pre-emphasis is between 0 and 1")?;
            let real = [self.scale.abs(), self.offset.abs(), self.limits[0].abs(), self.limits[1]];
            let small = real.iter().all(|x| *x < 16_384.0) && self.scale.abs() < 128.0;
            demand(small, "scales are below 128, offsets and limits below 16,384")
        }

        fn window(&self) -> Vec<i16> {
            let value = |i: usize| match self.taper {
                Taper::Flat => 1.0,
                Taper::Hann => 0.5 - 0.5 * (TAU * i as f64 / self.frame as f64).cos(),
                Taper::Hamming => {
                    0.54 - 0.46 * (TAU * i as f64 / (self.frame.max(2) - 1) as f64).cos()
                }
            };
            (0..self.frame).map(|i| q15(value(i))).collect()
        }

        fn sines(&self) -> Vec<i32> {
            let sine = |k: usize| (TAU * k as f64 / self.points as f64).sin();
            let q31 = |x: f64| (x * 2f64.powi(31)).round().min(f64::from(i32::MAX)) as i32;
            (0..=self.points / 4).map(|k| q31(sine(k))).collect()
        }

        /// First frequency and count of every band, and the weights of all.
        fn triangles(&self) -> (Vec<i32>, Vec<i16>) {
            let mel = |hertz: f64| 1127.0 * (hertz / 700.0).ln_1p();
            let [low, high] = self.range.map(|hertz| mel(f64::from(hertz)));
            let width = (high - low) / (self.bands + 1) as f64;
            let (mut places, mut weights) = (Vec::new(), Vec::new());
            for band in 0..self.bands {
                let middle = low + width * (band + 1) as f64;
                let weight = |k: usize| {
                    let hertz = k as f64 * f64::from(self.rate) / self.points as f64;
                    let distance = (mel(hertz) - middle).abs() / width;
                    q15(1.0 - distance)
                };
                // The constant part is in no band.
                let inside = (1..=self.points / 2).filter(|&k| weight(k) > 0);
                let inside: Vec<usize> = inside.collect();
                places.push(inside.first().copied().unwrap_or(0) as i32);
                places.push(inside.len() as i32);
                weights.extend(inside.into_iter().map(weight));
            }
            (places, weights)
        }

        /// The orthogonal transform of type II, but for the factor of its first row.
        fn cosines(&self) -> Vec<i16> {
            let bands = self.bands as f64;
            let factor = (2.0 / bands).sqrt();
            let value = |i: usize, j: usize| {
                q15(factor * (PI / bands * i as f64 * (j as f64 + 0.5)).cos())
            };
            let rows = 0..self.coefficients;
            rows.flat_map(|i| (0..self.bands).map(move |j| (i, j))).map(|(i, j)| value(i, j)).collect()
        }
    }

    fn q15(x: f64) -> i16 {
        (x * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16
    }

    fn constant<T: kernels::memory::Plain>(dtype: DType, values: &[T]) -> LoweredOperand {
        LoweredOperand::Constant {
            dtype,
            shape: Shape::new(&[values.len() as u32]).unwrap_or(Shape::SCALAR),
            bytes: as_bytes(values).to_vec(),
        }
    }

    impl Operator for LogMel {
        fn name(&self) -> &'static str {
            "log_mel"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            self.verify()?;
            let input = required(inputs, 0)?;
            let [1, samples] = *input.shape.dims() else {
                return Err(std::format!("sound is [1, samples], not {}", input.shape));
            };
            let beyond = (samples as usize).checked_sub(self.reach());
            let Some(beyond) = beyond.filter(|beyond| beyond.is_multiple_of(self.hop)) else {
                let (reach, hop) = (self.reach(), self.hop);
                return Err(std::format!("{samples} samples are not {reach} and {hop} for each further frame"));
            };
            let frames = beyond / self.hop + 1;
            let dims = [1, frames as u32, 1, self.values() as u32];
            Ok(std::vec![(self.dtype, Shape::new(&dims).ok_or("too many dimensions")?)])
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            self.verify()?;
            let (input, output) = (required(inputs, 0)?, outputs.first().ok_or("no output")?);
            if input.dtype != DType::I16 {
                return Err(std::format!("sound is int16, not {}", input.dtype));
            }
            let unit = match output.dtype {
                DType::F32 => 1.0,
                _ => output.affine()?.0,
            };
            if unit < 1.0 / 16_384.0 {
                return Err("the output's scale is below 1/16,384".into());
            }
            let q16 = |x: f32| (f64::from(x) * 65_536.0).round() as i32 as u32;
            let mut params = ParamsWriter::default();
            params.u32(self.hop as u32).u32(u32::from(self.is_magnitude));
            params.u32((f64::from(self.pre_emphasis) * 32_768.0).round() as u32);
            params.u32((f64::from(self.scale) * LOG10_2 * 2f64.powi(24)).round() as i32 as u32);
            params.u32(q16(self.offset)).u32(q16(self.limits[0])).u32(q16(self.limits[1]));
            params.u32((65_536.0 / f64::from(unit)).round() as u32);
            let (places, weights) = self.triangles();
            let mut operands = std::vec![
                LoweredOperand::Input(0),
                constant(DType::I16, &self.window()),
                constant(DType::I32, &self.sines()),
                constant(DType::I32, &places),
                constant(DType::I16, &weights),
            ];
            if self.coefficients > 0 {
                operands.push(constant(DType::I16, &self.cosines()));
            }
            Ok(Lowered { code: super::I16.code, operands, params: params.finish() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests;

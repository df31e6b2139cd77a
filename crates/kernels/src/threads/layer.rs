//! Layers that threads compute together, one behind the other.

use super::divide::{Axis, Part, parts, share};
use super::pool::ThreadPool;
use crate::memory::{In, Plain, overlaps};
use crate::{
    AddI8, Architecture, Binding, Conv2dF32, Conv2dI8, Conv2dI16, Conv2dInteger, Geometry, Integer,
    Threads,
};
use core::cell::Cell;

/// What a sum of two elements takes, in multiplications.
const ELEMENT_COST: usize = 16;

/// Elements of a sum that stay together: a line of the cache.
const LINE_ELEMENTS: usize = 64;

/// The most layers of a [`Series`].
const LAYERS_MAX: usize = 16;

/// A layer that threads may divide: the operands of a kernel.
#[derive(Clone, Copy, Debug)]
pub enum Layer<'a> {
    /// See [`crate::i8::conv_2d`].
    Conv2dI8(Conv2dI8<'a>),
    /// See [`crate::i16::conv_2d`].
    Conv2dI16(Conv2dI16<'a>),
    /// See [`crate::f32::conv_2d`].
    Conv2dF32(Conv2dF32<'a>),
    /// See [`crate::i8::add`].
    AddI8(AddI8<'a>),
}

impl Layer<'_> {
    /// How many parts it has for the threads of a pool; 1 where dividing it is not worth it, or not
    /// possible.
    fn parts(&self, pool: &ThreadPool) -> usize {
        let parts = match self {
            Layer::Conv2dI8(operands) => i8_parts(operands, pool),
            Layer::Conv2dI16(operands) => integer_parts(operands, pool),
            Layer::Conv2dF32(operands) => float_parts(operands, pool),
            Layer::AddI8(operands) => add_parts(operands, pool),
        };
        parts.max(1)
    }

    /// Computes all of it on this thread.
    fn compute(&self) {
        match self {
            Layer::Conv2dI8(operands) => crate::i8::conv_2d_alone(operands),
            Layer::Conv2dI16(operands) => crate::scalar::i16::conv_2d(operands),
            Layer::Conv2dF32(operands) => crate::f32::conv_2d_alone(operands),
            Layer::AddI8(operands) => crate::i8::add_alone(operands),
        }
    }

    /// Computes part `index` of `count`, as [`Layer::parts`] gave it, with scratch memory of the thread's
    /// own; the calling thread alone, which is given none, uses the session's.
    fn compute_part(&self, index: usize, count: usize, scratch: Option<&[Cell<u8>]>) {
        match self {
            Layer::Conv2dI8(operands) => {
                crate::i8::conv_2d_alone(&i8_part(operands, index, count, scratch));
            }
            Layer::Conv2dI16(operands) => {
                crate::scalar::i16::conv_2d(&integer_part(operands, index, count, scratch));
            }
            Layer::Conv2dF32(operands) => {
                crate::f32::conv_2d_alone(&float_part(operands, index, count, scratch));
            }
            Layer::AddI8(operands) => crate::i8::add_alone(&add_part(operands, index, count)),
        }
    }
}

/// Layers that are computed one behind the other, as soon as they have to be.
#[derive(Debug)]
pub struct Series<'a> {
    threads: Threads<'a>,
    layers: [Option<Layer<'a>>; LAYERS_MAX],
    count: usize,
}

impl<'a> Series<'a> {
    /// None so far, for these threads.
    pub fn new(threads: Threads<'a>) -> Self {
        Series {
            threads,
            layers: [None; LAYERS_MAX],
            count: 0,
        }
    }

    /// Puts a layer behind the others. Some of them may be computed now.
    pub fn push(&mut self, layer: Layer<'a>) {
        if self.count == LAYERS_MAX {
            self.finish();
        }
        if let Some(place) = self.layers.get_mut(self.count) {
            *place = Some(layer);
            self.count += 1;
        }
    }

    /// Computes all of them.
    pub fn finish(&mut self) {
        let layers = self.layers.get(..self.count).unwrap_or(&[]);
        if !self.threads.compute(layers) {
            layers.iter().flatten().for_each(Layer::compute);
        }
        self.count = 0;
    }
}

/// A value that threads share. What makes it sound is said where it is used.
struct Shared<T>(T);

// SAFETY: `Threads::compute` alone makes one, which says why that is sound.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    fn get(&self) -> &T {
        &self.0
    }
}

impl Threads<'_> {
    /// Computes one layer in parts. `false` where that is not worth it, or not possible: then nothing is
    /// computed.
    #[inline]
    pub(crate) fn divide<'a, T: Copy>(self, layer: fn(T) -> Layer<'a>, operands: &T) -> bool {
        self.are_some() && self.compute(&[Some(layer(*operands))])
    }

    /// Computes layers one behind the other, each in parts. `false` where that is not worth it, or not
    /// possible: then nothing is computed.
    fn compute(self, layers: &[Option<Layer<'_>>]) -> bool {
        let Some(pool) = self.pool else {
            return false;
        };
        let mut counts = [1; LAYERS_MAX];
        let Some(counts) = counts.get_mut(..layers.len()) else {
            return false;
        };
        for (count, layer) in counts.iter_mut().zip(layers) {
            *count = layer.as_ref().map_or(1, |layer| layer.parts(pool));
        }
        let counts = &*counts;
        if counts.iter().all(|&count| count < 2) {
            return false;
        }
        // SAFETY (`Shared`): kernels write their output and their scratch memory, read besides them
        // their input and constants, and keep nothing. Where there are several parts, those of the output
        // are disjoint, and neither they nor scratch memory share a byte with the input; the scratch memory
        // of other threads is their own. Where there is one, no other thread computes meanwhile.
        let shared = Shared(layers);
        pool.run_steps(counts, &move |step, part, scratch| {
            let layers = *shared.get();
            let Some(Some(layer)) = layers.get(step) else {
                return;
            };
            // Copied at once, so that its lines, which come from another processor, come side by side.
            let layer = core::hint::black_box(*layer);
            match counts.get(step) {
                Some(&count @ 2..) => layer.compute_part(part, count, scratch),
                _ => layer.compute(),
            }
        })
    }
}

/// Whether input and output hold their images, the output shares no byte with the input, and the
/// scratch memory none with either.
fn is_apart<T: Plain>(
    geometry: &Geometry,
    input: &In<'_, T>,
    output: &[Cell<T>],
    scratch: &[Cell<u8>],
) -> bool {
    let elements =
        |[rows, columns, channels]: [usize; 3]| rows.checked_mul(columns)?.checked_mul(channels);
    let holds = elements(geometry.input).is_some_and(|count| count <= input.len())
        && elements(geometry.output).is_some_and(|count| count <= output.len());
    let is_outside = !overlaps(input, scratch) && !overlaps(&In::from_cells(output), scratch);
    holds && is_outside && !overlaps(input, output)
}

/// What a part has in place of a layer's binding.
fn part_binding<'a>(whole: &Binding<'a>, scratch: Option<&'a [Cell<u8>]>) -> Binding<'a> {
    Binding {
        prepared: whole.prepared,
        scratch: scratch.unwrap_or(whole.scratch),
        threads: Threads::ALONE,
    }
}

fn i8_parts(operands: &Conv2dI8<'_>, pool: &ThreadPool) -> usize {
    if !crate::i8::shares_outputs(operands) {
        return integer_parts(operands, pool);
    }
    let (geometry, scratch) = (&operands.geometry, operands.binding.scratch);
    let needed = crate::i8::conv_2d_scratch_bytes(geometry, Architecture::current());
    match is_apart(geometry, &operands.input, operands.output, scratch) {
        // Threads with less memory would have to compute everything in another way.
        true if pool.scratch_bytes() >= needed => parts(geometry, Axis::Outputs, pool),
        _ => 1,
    }
}

fn i8_part<'a>(
    operands: &Conv2dI8<'a>,
    index: usize,
    count: usize,
    scratch: Option<&'a [Cell<u8>]>,
) -> Conv2dI8<'a> {
    if !crate::i8::shares_outputs(operands) {
        return integer_part(operands, index, count, scratch);
    }
    let binding = Binding {
        threads: Threads::share(index, count),
        ..part_binding(&operands.binding, scratch)
    };
    Conv2dI8 {
        binding,
        ..*operands
    }
}

fn integer_parts<T: Integer>(operands: &Conv2dInteger<'_, T>, pool: &ThreadPool) -> usize {
    let geometry = &operands.geometry;
    let axis = Axis::of(geometry, 1);
    let scratch = operands.binding.scratch;
    if axis == Axis::Outputs || !is_apart(geometry, &operands.input, operands.output, scratch) {
        return 1;
    }
    parts(geometry, axis, pool)
}

fn integer_part<'a, T: Integer>(
    operands: &Conv2dInteger<'a, T>,
    index: usize,
    count: usize,
    scratch: Option<&'a [Cell<u8>]>,
) -> Conv2dInteger<'a, T> {
    let geometry = &operands.geometry;
    let part = Part::of(geometry, Axis::of(geometry, 1), index, count);
    Conv2dInteger {
        geometry: part.geometry,
        input: operands.input.part(part.input.start, part.input.len()),
        output: operands.output.get(part.output).unwrap_or(&[]),
        binding: part_binding(&operands.binding, scratch),
        ..*operands
    }
}

fn float_parts(operands: &Conv2dF32<'_>, pool: &ThreadPool) -> usize {
    let (geometry, scratch) = (&operands.geometry, operands.binding.scratch);
    match is_apart(geometry, &operands.input, operands.output, scratch) {
        true => parts(geometry, float_axis(operands), pool),
        false => 1,
    }
}

fn float_axis(operands: &Conv2dF32<'_>) -> Axis {
    let geometry = &operands.geometry;
    Axis::of(geometry, crate::f32::row_multiple(geometry))
}

fn float_part<'a>(
    operands: &Conv2dF32<'a>,
    index: usize,
    count: usize,
    scratch: Option<&'a [Cell<u8>]>,
) -> Conv2dF32<'a> {
    let part = Part::of(&operands.geometry, float_axis(operands), index, count);
    let first = part.channels.start * operands.geometry.taps();
    Conv2dF32 {
        geometry: part.geometry,
        input: operands.input.part(part.input.start, part.input.len()),
        output: operands.output.get(part.output).unwrap_or(&[]),
        // Those of other layers are packed as a whole.
        weights: operands.weights.get(first..).unwrap_or(&[]),
        bias: operands.bias.get(part.channels.start..).unwrap_or(&[]),
        binding: part_binding(&operands.binding, scratch),
        ..*operands
    }
}

fn add_parts(operands: &AddI8<'_>, pool: &ThreadPool) -> usize {
    let elements = operands.output.len();
    let most = elements.saturating_mul(ELEMENT_COST) / pool.part_multiplications_min();
    let parts = pool
        .threads()
        .min(most)
        .min(elements.div_ceil(LINE_ELEMENTS));
    let [a, b] = &operands.inputs;
    match overlaps(a, operands.output) || overlaps(b, operands.output) {
        true => 1,
        false => parts,
    }
}

fn add_part<'a>(operands: &AddI8<'a>, index: usize, count: usize) -> AddI8<'a> {
    let elements = operands.output.len();
    let lines = share(elements.div_ceil(LINE_ELEMENTS), index, count);
    let [start, end] = [lines.start, lines.end].map(|line| elements.min(line * LINE_ELEMENTS));
    AddI8 {
        inputs: operands.inputs.map(|input| input.part(start, end - start)),
        output: operands.output.get(start..end).unwrap_or(&[]),
        threads: Threads::ALONE,
        ..*operands
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Window, scalar};
    use std::vec::Vec;

    /// Plain loops, so that tools can watch what threads do with memory.
    #[test]
    fn three_threads_compute_what_one_does() {
        let geometry = Geometry {
            input: [7, 3, 2],
            output: [7, 3, 4],
            window: Window {
                kernel: [3, 1],
                stride: [1, 1],
                dilation: [1, 1],
                padding: [1, 0],
            },
            groups: 1,
        };
        let pool = ThreadPool::new(3, 0).unwrap().for_all_layers();
        let weights: Vec<f32> = (0..24).map(|i| i as f32 - 11.5).collect();
        let cells: Vec<Cell<f32>> = (0..126).map(|i| Cell::new(i as f32)).collect();
        let scratch = [const { Cell::new(0u8) }; 8];
        let (input, output) = cells.split_at(42);
        let operands = |threads| Conv2dF32 {
            geometry,
            input: In::from_cells(input),
            output,
            weights: &weights,
            bias: &[],
            limits: [-1e9, 1e9],
            binding: Binding {
                prepared: &[],
                scratch: &scratch,
                threads,
            },
        };
        let compute = |operands: &Conv2dF32<'_>| {
            operands.output.iter().for_each(|cell| cell.set(-1.0));
            if !operands.binding.threads.divide(Layer::Conv2dF32, operands) {
                scalar::f32::conv_2d(operands);
            }
            operands.output.iter().map(Cell::get).collect::<Vec<_>>()
        };
        let alone = compute(&operands(Threads::ALONE));
        assert!(alone.iter().all(|&value| value != -1.0));
        assert_eq!(compute(&operands(Threads::of(&pool))), alone);
        // Where memory is shared, nothing is divided.
        let near = Conv2dF32 {
            output: &cells[..84],
            ..operands(Threads::of(&pool))
        };
        assert!(!Threads::of(&pool).divide(Layer::Conv2dF32, &near));
    }

    fn sum<'a>(from: &'a [Cell<i8>], to: &'a [Cell<i8>], threads: Threads<'a>) -> AddI8<'a> {
        AddI8 {
            inputs: [In::from_cells(from), In::from_cells(from)],
            output: to,
            factors: [3, 2],
            offset: 7,
            shift: 2,
            limits: [-100, 100],
            threads,
        }
    }

    /// More layers than a series holds, each of the sum of the one before with itself, among them such
    /// as are too small to divide. With one layer that cannot be divided because it is in place.
    #[test]
    fn a_series_is_its_layers_one_behind_the_other() {
        const STEPS: usize = 2 * LAYERS_MAX + 3;
        let pools = [1, 2, 3].map(|threads| ThreadPool::new(threads, 0).unwrap());
        for elements in [100, 9000] {
            let start = |i: usize| Cell::new((i * 37 % 251) as u8 as i8);
            let answers = |threads: Option<&ThreadPool>| {
                let cells: Vec<_> = (0..2 * elements).map(start).collect();
                let (a, b) = cells.split_at(elements);
                let threads = threads.map_or(Threads::ALONE, Threads::of);
                let mut series = Series::new(threads);
                for step in 0..STEPS {
                    let [from, to] = if step % 2 == 0 { [a, b] } else { [b, a] };
                    let to = if step == 5 { from } else { to };
                    let length = if step % 3 == 0 { 90 } else { elements };
                    series.push(Layer::AddI8(sum(&from[..length], &to[..length], threads)));
                }
                series.finish();
                cells.iter().map(Cell::get).collect::<Vec<_>>()
            };
            let alone = answers(None);
            for pool in &pools {
                assert!(
                    answers(Some(pool)) == alone,
                    "{elements} on {}",
                    pool.threads()
                );
            }
        }
    }
}

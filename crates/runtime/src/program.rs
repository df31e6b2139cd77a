//! Models whose plan is code: what an exported library is made of.
//!
//! Nothing is looked up and nothing is checked when such a model runs: its program calls one
//! operator after another, with operands and parameters that are constants. Only the operators
//! that it calls are linked.
//!
//! ```
//! use format::{DType, Place, ProgramNode};
//! use runtime::{ops, program};
//!
//! static NEGATE: ProgramNode<'static> = ProgramNode {
//!     code: ops::unary::F32.code,
//!     inputs: &[Some(program::tensor(DType::F32, Place::Arena, 0, [1, 2], 0.0, 0))],
//!     outputs: &[program::tensor(DType::F32, Place::Arena, 0, [1, 2], 0.0, 0)],
//!     params: &[14, 0, 0, 0],
//!     scratch_offset: 0,
//!     scratch_bytes: 0,
//! };
//!
//! let mut arena = program::Arena::<16>::new();
//! let cells = arena.cells();
//! program::write(cells, 0, &[1.5f32, -2.0]);
//! program::call(&ops::unary::F32, &NEGATE, &[], cells);
//! let mut output = [0.0f32; 2];
//! program::read(cells, 0, &mut output);
//! assert_eq!(output, [-1.5, 2.0]);
//! ```

use crate::ops::conv_2d::Elements;
use crate::{Op, Run};
use core::cell::Cell;
use format::{MAX_RANK, Node, Shape, Tensor, fixed};
use kernels::memory::{In, Plain, cells_as, slice_as};
use kernels::{Binding, Conv2dInteger, Integer, Threads};

pub use crate::ops::conv_2d::Convolution;
pub use format::fixed::{Requantize, Rounding};
pub use format::{DType, Place, ProgramNode};
pub use kernels::memory::{as_bytes, as_bytes_mut};
pub use kernels::{Geometry, Window, i8 as i8_kernels, i16 as i16_kernels};

/// The working memory of a model.
#[derive(Clone, Debug)]
#[repr(C, align(16))]
pub struct Arena<const BYTES: usize>([u8; BYTES]);

impl<const BYTES: usize> Arena<BYTES> {
    /// Memory of zeros.
    pub const fn new() -> Self {
        Arena([0; BYTES])
    }

    /// Memory that starts with `state`, where it has room for it.
    pub const fn with_state(state: &[u8]) -> Self {
        let mut bytes = [0; BYTES];
        if let Some((place, _)) = bytes.split_at_mut_checked(state.len()) {
            place.copy_from_slice(state);
        }
        Arena(bytes)
    }

    /// The memory as operators share it.
    pub fn cells(&mut self) -> &[Cell<u8>] {
        Cell::from_mut(&mut self.0[..]).as_slice_of_cells()
    }
}

impl<const BYTES: usize> Default for Arena<BYTES> {
    fn default() -> Self {
        Self::new()
    }
}

/// The constants of a model, aligned as in a file.
#[derive(Clone, Debug)]
#[repr(C, align(16))]
pub struct Constants<const BYTES: usize>(pub [u8; BYTES]);

/// An input or output as the caller sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Port {
    /// Its name in the source model.
    pub name: &'static str,
    /// Its dimensions, outermost first; elements are in row-major order.
    pub shape: &'static [usize],
    /// The real value of one step of an integer port: `real = scale * (integer - zero_point)`. 0
    /// where the port is not quantized.
    pub scale: f32,
    /// The integer that stands for 0.0.
    pub zero_point: i32,
}

impl Port {
    /// The int8 that stands for a real number, as a session quantizes it.
    ///
    /// ```
    /// use runtime::program::Port;
    ///
    /// let port = Port { name: "x", shape: &[1], scale: 0.5, zero_point: -3 };
    /// assert_eq!([1.25, -1.25, 1e9].map(|real| port.to_i8(real)), [-1, -5, 127]);
    /// assert_eq!(port.to_real(0), 1.5);
    /// ```
    pub fn to_i8(&self, real: f32) -> i8 {
        fixed::quantize(real, self.scale, self.zero_point, -128, 127) as i8
    }

    /// The int16 that stands for a real number.
    pub fn to_i16(&self, real: f32) -> i16 {
        fixed::quantize(real, self.scale, self.zero_point, -32_768, 32_767) as i16
    }

    /// The real number that an integer stands for.
    pub fn to_real(&self, integer: impl Into<i32>) -> f32 {
        (integer.into() - self.zero_point) as f32 * self.scale
    }
}

/// The description of an operand. `offset` is in bytes.
pub const fn tensor<const RANK: usize>(
    dtype: DType,
    place: Place,
    offset: usize,
    dims: [u32; RANK],
    scale: f32,
    zero_point: i32,
) -> Tensor {
    const {
        assert!(RANK <= MAX_RANK);
    }
    let shape = match Shape::new(&dims) {
        Some(shape) => shape,
        None => Shape::SCALAR,
    };
    Tensor {
        dtype,
        place,
        offset,
        shape,
        scale,
        zero_point,
    }
}

/// Runs one node. `op` is the operator of the node's code.
#[inline(always)]
pub fn call(op: &Op, node: &ProgramNode<'_>, constants: &[u8], arena: &[Cell<u8>]) {
    let scratch = arena.get(node.scratch_offset..node.scratch_offset + node.scratch_bytes);
    let binding = Binding {
        prepared: &[],
        scratch: scratch.unwrap_or(&[]),
        threads: Threads::ALONE,
    };
    (op.run)(&Run {
        node: Node::of_program(node, constants),
        arena,
        binding,
    });
}

/// A convolution of integers, with byte offsets of its operands in the arena and in the constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvolutionNode {
    /// Shapes and rules.
    pub convolution: Convolution,
    /// `[N, H, W, I]` in the arena.
    pub input: usize,
    /// `[N, H, W, O]` in the arena.
    pub output: usize,
    /// The weights in the constants.
    pub weights: usize,
    /// The channel records in the constants.
    pub channels: usize,
    /// The memory that the kernel may use while it runs.
    pub scratch_offset: usize,
    /// Bytes of that memory.
    pub scratch_bytes: usize,
}

/// A convolution of int8 whose weights are there twice, as they are and packed: offsets of both are in
/// constants of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedConvolutionNode {
    /// The convolution.
    pub node: ConvolutionNode,
    /// The packed weights in theirs.
    pub packed: usize,
}

/// Runs a convolution by the function of [`kernels::i8`] or [`kernels::i16`] that serves its
/// shapes.
pub fn convolve<T: Integer>(
    node: &ConvolutionNode,
    kernel: fn(&Conv2dInteger<'_, T>),
    constants: &[u8],
    arena: &[Cell<u8>],
) {
    let weights = constants.get(node.weights..).unwrap_or(&[]);
    convolve_with(node, kernel, [weights, &[]], constants, arena);
}

/// Runs a convolution by the first of two kernels, or by the second in builds that take packed weights.
/// Each has weights of its own besides the packed ones: what a build does not read is not linked.
#[inline(always)]
pub fn convolve_packed(
    node: &PackedConvolutionNode,
    [plain, squares]: [fn(&Conv2dInteger<'_, i8>); 2],
    [weights, of_squares]: [&[u8]; 2],
    packed: &[u8],
    constants: &[u8],
    arena: &[Cell<u8>],
) {
    let PackedConvolutionNode { node, packed: at } = node;
    if kernels::i8::TAKES_PACKED {
        let weights = of_squares.get(node.weights..).unwrap_or(&[]);
        let packed = packed.get(*at..).unwrap_or(&[]);
        convolve_with(node, squares, [weights, packed], constants, arena);
    } else {
        let weights = weights.get(node.weights..).unwrap_or(&[]);
        convolve_with(node, plain, [weights, &[]], constants, arena);
    }
}

#[inline(always)]
fn convolve_with<T: Integer>(
    node: &ConvolutionNode,
    kernel: fn(&Conv2dInteger<'_, T>),
    [weights, prepared]: [&[u8]; 2],
    constants: &[u8],
    arena: &[Cell<u8>],
) {
    // The kernel compares sizes with shapes: what is behind an operand does no harm.
    let scratch = arena.get(node.scratch_offset..node.scratch_offset + node.scratch_bytes);
    let binding = Binding {
        prepared,
        scratch: scratch.unwrap_or(&[]),
        threads: Threads::ALONE,
    };
    let operands = Elements {
        input: In::from_cells(elements(arena, node.input)),
        output: elements(arena, node.output),
        weights: slice_as(weights).unwrap_or(&[]),
        channels: constants.get(node.channels..).unwrap_or(&[]),
    };
    node.convolution.run(&operands, binding, kernel);
}

fn elements<T: Plain>(arena: &[Cell<u8>], offset: usize) -> &[Cell<T>] {
    cells_as(arena.get(offset..).unwrap_or(&[])).unwrap_or(&[])
}

/// Copies values into the arena, from byte `offset` on.
pub fn write<T: Plain>(arena: &[Cell<u8>], offset: usize, values: &[T]) {
    let cells = elements(arena, offset);
    cells
        .iter()
        .zip(values)
        .for_each(|(cell, value)| cell.set(*value));
}

/// Copies values out of the arena, from byte `offset` on.
pub fn read<T: Plain>(arena: &[Cell<u8>], offset: usize, values: &mut [T]) {
    let cells = elements(arena, offset);
    values
        .iter_mut()
        .zip(cells)
        .for_each(|(value, cell)| *value = cell.get());
}

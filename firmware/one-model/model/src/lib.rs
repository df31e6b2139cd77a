//! A model as a library, written by modelopt 0.1.0 from `digits.mopt`.
//!
//! | | name | elements | shape | scale | zero point |
//! |---|---|---|---|---|---|
//! | `input` | `image` | `i8` | `[1, 1, 8, 8]` | 0.003921569 | -128 |
//! | `output` | `probabilities` | `i8` | `[1, 10]` | 0.00390625 | -128 |
//!
//! `input` takes raw data as `(value * 0.0625 - 0) / 1`.
//!
//! ```
//! let mut model = model::Model::new();
//! let mut output = [0; 10];
//! model.run(&[model::INPUTS[0].to_i8(0.5); 64], &mut output);
//! ```
//!
//! Build images with `lto = "fat"`: what the model does not use is then not linked.
#![no_std]
#![forbid(unsafe_code)]

#[rustfmt::skip]
mod nodes;

use runtime::ops;
use runtime::program::{self, Arena, Constants, Port};

/// Bytes of RAM that a [`Model`] takes.
pub const ARENA_BYTES: usize = 3600;

/// The inputs of [`Model::run`], in order.
#[rustfmt::skip]
pub const INPUTS: [Port; 1] = [
    Port {
        name: "image",
        shape: &[1, 1, 8, 8],
        scale: 0.003921569,
        zero_point: -128,
    },
];

/// The outputs of [`Model::run`], in order.
#[rustfmt::skip]
pub const OUTPUTS: [Port; 1] = [
    Port {
        name: "probabilities",
        shape: &[1, 10],
        scale: 0.00390625,
        zero_point: -128,
    },
];

/// The names of the classes that the first output scores.
#[rustfmt::skip]
pub const LABELS: [&str; 0] = [];

static CONSTANTS: Constants<7112> = Constants(*include_bytes!("constants.bin"));

/// The model's working memory.
#[derive(Clone, Debug)]
pub struct Model {
    arena: Arena<ARENA_BYTES>,
}

impl Model {
    /// A model that has not run yet.
    pub const fn new() -> Self {
        Model {
            arena: Arena::new(),
        }
    }

    /// Computes the outputs.
    #[rustfmt::skip]
    pub fn run(&mut self, input: &[i8; 64], output: &mut [i8; 10]) {
        let (arena, constants) = (self.arena.cells(), &CONSTANTS.0);
        program::write(arena, 976, input);
        program::convolve(&nodes::NODE_0, program::i8_kernels::conv_2d_dense, constants, arena);
        program::convolve(&nodes::NODE_1, program::i8_kernels::conv_2d_dense, constants, arena);
        program::convolve(&nodes::NODE_2, program::i8_kernels::conv_2d_dense, constants, arena);
        program::call(&ops::binary::ADD_I8, &nodes::NODE_3, constants, arena);
        program::convolve(&nodes::NODE_4, program::i8_kernels::conv_2d_depthwise, constants, arena);
        program::convolve(&nodes::NODE_5, program::i8_kernels::conv_2d_dense, constants, arena);
        program::call(&ops::average_pool_2d::SCALED_I8, &nodes::NODE_6, constants, arena);
        program::convolve(&nodes::NODE_7, program::i8_kernels::conv_2d_dense, constants, arena);
        program::call(&ops::softmax::I8, &nodes::NODE_8, constants, arena);
        program::read(arena, 0, output);
    }
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}

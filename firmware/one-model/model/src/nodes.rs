//! The nodes of the plan: operands and parameters.

use runtime::program::{Convolution, ConvolutionNode, Geometry, Requantize, Rounding, Window};
use runtime::program::{DType, Place, ProgramNode, tensor};

/// `conv_2d`.
pub(crate) static NODE_0: ConvolutionNode = ConvolutionNode {
    convolution: Convolution {
        batch: 1,
        geometry: Geometry { input: [8, 8, 1], output: [8, 8, 16], window: Window { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], padding: [1, 1] }, groups: 1 },
        requantize: Requantize { rounding: Rounding::High, bias_shift: 0, multiplier_shift: 13, is_plain: false, zero_point: -128, min: -128, max: 127 },
        input_zero_point: -128,
    },
    input: 976,
    output: 0,
    weights: 0,
    channels: 144,
    scratch_offset: 1040,
    scratch_bytes: 112,
};

/// `conv_2d`.
pub(crate) static NODE_1: ConvolutionNode = ConvolutionNode {
    convolution: Convolution {
        batch: 1,
        geometry: Geometry { input: [8, 8, 16], output: [8, 8, 16], window: Window { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], padding: [1, 1] }, groups: 1 },
        requantize: Requantize { rounding: Rounding::High, bias_shift: 0, multiplier_shift: 12, is_plain: false, zero_point: -128, min: -128, max: 127 },
        input_zero_point: -128,
    },
    input: 0,
    output: 1280,
    weights: 208,
    channels: 2512,
    scratch_offset: 2304,
    scratch_bytes: 1296,
};

/// `conv_2d`.
pub(crate) static NODE_2: ConvolutionNode = ConvolutionNode {
    convolution: Convolution {
        batch: 1,
        geometry: Geometry { input: [8, 8, 16], output: [8, 8, 16], window: Window { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], padding: [1, 1] }, groups: 1 },
        requantize: Requantize { rounding: Rounding::High, bias_shift: 0, multiplier_shift: 11, is_plain: false, zero_point: 2, min: -128, max: 127 },
        input_zero_point: -128,
    },
    input: 1280,
    output: 1024,
    weights: 2576,
    channels: 4880,
    scratch_offset: 2304,
    scratch_bytes: 1296,
};

/// `binary::ADD_I8`.
pub(crate) static NODE_3: ProgramNode<'static> = ProgramNode {
    code: 3,
    inputs: &[
        Some(tensor(DType::I8, Place::Arena, 0, [1, 8, 8, 16], 0.013488059, -128)),
        Some(tensor(DType::I8, Place::Arena, 1024, [1, 8, 8, 16], 0.042675726, 2)),
    ],
    outputs: &[
        tensor(DType::I8, Place::Arena, 0, [1, 8, 8, 16], 0.030279132, -128),
    ],
    params: &[130, 28, 52, 90, 152, 172, 237, 255, 14, 128, 127, 0],
    scratch_offset: 0,
    scratch_bytes: 0,
};

/// `conv_2d`.
pub(crate) static NODE_4: ConvolutionNode = ConvolutionNode {
    convolution: Convolution {
        batch: 1,
        geometry: Geometry { input: [8, 8, 16], output: [4, 4, 16], window: Window { kernel: [3, 3], stride: [2, 2], dilation: [1, 1], padding: [1, 1] }, groups: 16 },
        requantize: Requantize { rounding: Rounding::High, bias_shift: 0, multiplier_shift: 14, is_plain: false, zero_point: -128, min: -128, max: 127 },
        input_zero_point: -128,
    },
    input: 0,
    output: 1024,
    weights: 4944,
    channels: 5088,
    scratch_offset: 1280,
    scratch_bytes: 464,
};

/// `conv_2d`.
pub(crate) static NODE_5: ConvolutionNode = ConvolutionNode {
    convolution: Convolution {
        batch: 1,
        geometry: Geometry { input: [4, 4, 16], output: [4, 4, 32], window: Window { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], padding: [0, 0] }, groups: 1 },
        requantize: Requantize { rounding: Rounding::High, bias_shift: 0, multiplier_shift: 14, is_plain: false, zero_point: -128, min: -128, max: 127 },
        input_zero_point: -128,
    },
    input: 1024,
    output: 0,
    weights: 5152,
    channels: 5664,
    scratch_offset: 512,
    scratch_bytes: 128,
};

/// `average_pool_2d::SCALED_I8`.
pub(crate) static NODE_6: ProgramNode<'static> = ProgramNode {
    code: 18,
    inputs: &[
        Some(tensor(DType::I8, Place::Arena, 0, [1, 4, 4, 32], 0.055285912, -128)),
    ],
    outputs: &[
        tensor(DType::I8, Place::Arena, 512, [1, 2, 2, 32], 0.026145283, -128),
    ],
    params: &[2, 0, 2, 0, 2, 0, 2, 0, 1, 0, 1, 0, 0, 0, 0, 0, 34, 133, 170, 67, 0, 0, 0, 0, 128, 255, 127, 0],
    scratch_offset: 0,
    scratch_bytes: 0,
};

/// `conv_2d`.
pub(crate) static NODE_7: ConvolutionNode = ConvolutionNode {
    convolution: Convolution {
        batch: 1,
        geometry: Geometry { input: [1, 1, 128], output: [1, 1, 10], window: Window { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], padding: [0, 0] }, groups: 1 },
        requantize: Requantize { rounding: Rounding::High, bias_shift: 0, multiplier_shift: 10, is_plain: false, zero_point: 16, min: -128, max: 127 },
        input_zero_point: -128,
    },
    input: 512,
    output: 256,
    weights: 5792,
    channels: 7072,
    scratch_offset: 0,
    scratch_bytes: 256,
};

/// `softmax::I8`.
pub(crate) static NODE_8: ProgramNode<'static> = ProgramNode {
    code: 11,
    inputs: &[
        Some(tensor(DType::I8, Place::Arena, 256, [1, 10], 0.1547558, 16)),
    ],
    outputs: &[
        tensor(DType::I8, Place::Arena, 0, [1, 10], 0.00390625, -128),
    ],
    params: &[0, 39, 60, 79, 24, 0, 0, 0, 132, 255, 255, 255],
    scratch_offset: 0,
    scratch_bytes: 0,
};

//! The networks, one for each group of operators. Files of them exist: what a network makes may never change.

use crate::Result;
use crate::network::{Network, average, conv, interpolation, largest, quantization, shape, window};
use graph::{DType, Data};
use runtime::host::Activation;
use runtime::ops::add_n::AddN;
use runtime::ops::average_pool_2d::{AveragePool2d, Halves};
use runtime::ops::binary;
use runtime::ops::cast::Cast;
use runtime::ops::choose::Choose;
use runtime::ops::compare::{Compare, Relation};
use runtime::ops::concat::Concat;
use runtime::ops::conv_nd::ConvNd;
use runtime::ops::cumulate::Cumulate;
use runtime::ops::dequantize::Dequantize;
use runtime::ops::determinant::Determinant;
use runtime::ops::extreme::Extreme;
use runtime::ops::fully_connected::FullyConnected;
use runtime::ops::gather::Gather;
use runtime::ops::gather_elements::GatherElements;
use runtime::ops::grid_sample::{Coordinates, GridSample, Interpolation, Outside};
use runtime::ops::history::History;
use runtime::ops::l2_normalize::L2Normalize;
use runtime::ops::layer_norm::LayerNorm;
use runtime::ops::log_mel::{LogMel, Taper};
use runtime::ops::log_softmax::LogSoftmax;
use runtime::ops::lstm::Lstm;
use runtime::ops::mat_mul::MatMul;
use runtime::ops::mean::Mean;
use runtime::ops::ngrams::{Mode, Ngrams};
use runtime::ops::nll::{Nll, Reduction};
use runtime::ops::pad::Pad;
use runtime::ops::quantize::Quantize;
use runtime::ops::reduce::{self, Reduce};
use runtime::ops::resample::Resample;
use runtime::ops::resample_2d::Resample2d;
use runtime::ops::reshape::Reshape;
use runtime::ops::roi_align::RoiAlign;
use runtime::ops::scatter::{Combination, Scatter};
use runtime::ops::slice::Slice;
use runtime::ops::softmax::Softmax;
use runtime::ops::svdf_features::SvdfFeatures;
use runtime::ops::svdf_time::SvdfTime;
use runtime::ops::top_k::TopK;
use runtime::ops::transpose::Transpose;
use runtime::ops::unary::{self, Unary};
use runtime::ops::whole::{self, WholeNumbers};

pub(crate) fn windows_int8(n: &mut Network) -> Result<()> {
    let steps = Some((0.06, -20));
    let x = n.input(DType::I8, &[1, 6, 5, 3], Some((1.0 / 32.0, 3)))?;
    let [w, bias] = n.weights(&[8, 3, 3, 3])?;
    let first = n.show(
        conv(window(3, 1, 1), 1, Activation::Relu),
        &[x, w, bias],
        steps,
    )?;
    let [w, bias] = n.weights(&[8, 3, 3, 1])?;
    let kind = conv(window(3, 1, 1), 8, Activation::Clip(0.0, 6.0));
    let depthwise = n.show(kind, &[first, w, bias], Some((0.03, -90)))?;
    let [w, bias] = n.weights(&[8, 1, 1, 4])?;
    let kind = conv(window(1, 1, 0), 2, Activation::None);
    let grouped = n.show(kind, &[depthwise, w, bias], Some((0.05, 11)))?;
    let sum = n.binary(binary::Function::Add, &[first, grouped], steps)?;
    n.show(average(window(3, 1, 1)), &[sum], steps)?;
    n.show(average(window(2, 2, 0)), &[sum], Some((0.04, -3)))?;
    let pooled = n.show(largest(window(2, 2, 0)), &[sum], steps)?;
    let kind = Unary {
        function: unary::Function::HardSwish,
    };
    let curve = n.show(kind, &[pooled], Some((0.04, -60)))?;
    let mean = n.show(Mean { first: 1, last: 2 }, &[curve], Some((0.02, -40)))?;
    let kind = Reshape {
        shape: shape(&[1, 8])?,
    };
    let flat = n.show(kind, &[mean], Some((0.02, -40)))?;
    let [w, bias] = n.weights(&[5, 8])?;
    let kind = FullyConnected {
        activation: Activation::None,
    };
    let scores = n.show(kind, &[flat, w, bias], Some((0.1, 4)))?;
    n.show(Softmax, &[scores], Some((1.0 / 256.0, -128)))?;
    Ok(())
}

pub(crate) fn arithmetic_int8(n: &mut Network) -> Result<()> {
    use binary::Function::{Max, Mul, Sub};
    let steps = Some((0.05, 2));
    let a = n.input(DType::I8, &[2, 3, 4], steps)?;
    let b = n.input(DType::I8, &[2, 4, 5], Some((0.03, -7)))?;
    let row = n.input(DType::I8, &[4], Some((0.02, 1)))?;
    n.binary(Mul, &[a, row], Some((0.06, 3)))?;
    n.binary(Sub, &[a, row], steps)?;
    n.binary(Max, &[a, a], steps)?;
    n.show(MatMul, &[a, b], Some((0.2, 5)))?;
    let (gamma, beta) = (n.reals(&[4])?, n.reals(&[4])?);
    let kind = LayerNorm {
        first: 2,
        epsilon: 1e-3,
    };
    n.show(kind, &[a, gamma, beta], steps)?;
    let (positions, weights) = interpolation(n, 3)?;
    n.show(Resample { axis: 1 }, &[a, positions, weights], steps)?;
    let (others, shares) = interpolation(n, 4)?;
    let kind = Resample2d { axes: [1, 2] };
    n.show(kind, &[a, positions, weights, others, shares], steps)?;
    let kind = Quantize { dtype: DType::I8 };
    n.show(kind, &[a], Some((0.1, -9)))?;
    let real = n.show(Dequantize, &[a], None)?;
    n.show(kind, &[real], Some((0.04, 1)))?;
    Ok(())
}

pub(crate) fn int16(n: &mut Network) -> Result<()> {
    let steps = Some((0.001, 0));
    let x = n.input(DType::I16, &[1, 4, 4, 2], steps)?;
    let [w, bias] = n.weights(&[4, 2, 2, 2])?;
    let kind = conv(window(2, 1, 0), 1, Activation::Relu);
    let first = n.show(kind, &[x, w, bias], Some((0.002, 0)))?;
    let [w, bias] = n.weights(&[4, 2, 2, 1])?;
    let kind = conv(window(2, 1, 0), 4, Activation::None);
    n.show(kind, &[first, w, bias], Some((0.002, 0)))?;
    n.binary(binary::Function::Add, &[first, first], Some((0.004, 0)))?;
    n.binary(binary::Function::Mul, &[first, first], Some((0.02, 0)))?;
    let kind = Unary {
        function: unary::Function::Tanh,
    };
    n.show(kind, &[first], Some((1.0 / 32_768.0, 0)))?;
    let real = n.show(Dequantize, &[first], None)?;
    let kind = Quantize { dtype: DType::I16 };
    n.show(kind, &[real], Some((0.003, 0)))?;
    n.show(Quantize { dtype: DType::I8 }, &[first], Some((0.3, 5)))?;
    Ok(())
}

pub(crate) fn rows_int16(n: &mut Network) -> Result<()> {
    let x = n.input(DType::I16, &[3, 5], Some((0.001, 0)))?;
    let (gamma, beta) = (n.reals(&[5])?, n.reals(&[5])?);
    let (first, epsilon) = (1, 1e-3);
    let kind = LayerNorm { first, epsilon };
    n.show(kind, &[x, gamma, beta], Some((0.0002, 0)))?;
    Ok(())
}

/// Rows by one row, with zeros among the divisors.
pub(crate) fn quotients_int8(n: &mut Network) -> Result<()> {
    let x = n.input(DType::I8, &[2, 3, 64], Some((0.05, -3)))?;
    let y = n.input(DType::I8, &[64], Some((0.02, 5)))?;
    n.binary(binary::Function::Div, &[x, y], Some((0.04, 7)))?;
    Ok(())
}

/// Running sums, products and powers of int8 and int16, and int16 quotients.
pub(crate) fn folds(n: &mut Network) -> Result<()> {
    let product = Reduce {
        function: reduce::Function::Product,
        first: 1,
        last: 1,
    };
    for (dtype, zero) in [(DType::I8, -3), (DType::I16, 0)] {
        let x = n.input(dtype, &[2, 6, 4], Some((0.03, zero)))?;
        for (exclusive, reverse) in [(false, false), (true, true)] {
            let cumulate = Cumulate {
                axis: 1,
                exclusive,
                reverse,
            };
            n.show(cumulate, &[x], Some((0.1, 2 * zero)))?;
        }
        n.show(product, &[x], Some((0.05, zero)))?;
        let top = TopK {
            axis: 1,
            count: 2,
            largest: true,
        };
        n.show(top, &[x], Some((0.03, zero)))?;
    }
    let x = n.input(DType::I8, &[3, 32], Some((0.02, -100)))?;
    let y = n.input(DType::I8, &[32], Some((0.03, 5)))?;
    n.binary(binary::Function::Pow, &[x, y], Some((0.04, -90)))?;
    n.binary(
        binary::Function::SquaredDifference,
        &[x, y],
        Some((0.08, -90)),
    )?;
    let x = n.input(DType::I16, &[3, 16], Some((0.001, 0)))?;
    let y = n.input(DType::I16, &[16], Some((0.0003, 0)))?;
    n.binary(binary::Function::Div, &[x, y], Some((0.002, 0)))?;
    Ok(())
}

/// The same, and comparisons, as TensorFlow Lite Micro has them.
pub(crate) fn folds_tflm(n: &mut Network) -> Result<()> {
    let x = n.input(DType::I8, &[2, 6, 4], Some((0.003, 7)))?;
    let y = n.input(DType::I8, &[6, 4], Some((0.002, -9)))?;
    let cumulate = Cumulate {
        axis: 1,
        exclusive: false,
        reverse: false,
    };
    n.show(cumulate, &[x], Some((0.01, 3)))?;
    let function = binary::Function::SquaredDifference;
    n.binary(function, &[x, y], Some((0.001, -128)))?;
    for relation in [Relation::Less, Relation::Equal] {
        n.show(Compare { relation }, &[x, y], None)?;
    }
    let x = n.input(DType::I8, &[40], Some((0.02, -128)))?;
    let function = unary::Function::InverseSqrt;
    n.show(Unary { function }, &[x], Some((0.05, -20)))?;
    Ok(())
}

/// Norms, logarithms of shares and sums of several, as TensorFlow Lite Micro has them.
pub(crate) fn norms_tflm(n: &mut Network) -> Result<()> {
    let steps = Some((0.03, 7));
    let x = n.input(DType::I8, &[3, 12], steps)?;
    n.show(LogSoftmax, &[x], Some((1.0 / 16.0, 127)))?;
    n.show(L2Normalize, &[x], Some((1.0 / 128.0, 0)))?;
    let y = n.input(DType::I8, &[3, 12], steps)?;
    n.show(AddN, &[x, y, x], Some((0.05, -9)))?;
    let real = n.input(DType::F32, &[2, 5], None)?;
    n.show(LogSoftmax, &[real], None)?;
    n.show(L2Normalize, &[real], None)?;
    Ok(())
}

/// Integer operators of int16 as TensorFlow Lite Micro rounds them.
pub(crate) fn int16_tflm(n: &mut Network) -> Result<()> {
    let (steps, unit) = (Some((0.001, 0)), Some((1.0 / 32_768.0, 0)));
    let x = n.input(DType::I16, &[1, 4, 4, 2], steps)?;
    let [w, _] = n.weights(&[4, 2, 2, 2])?;
    let bias = n.constant(&[4], Data::I64(vec![1 << 33, -900_000, 0, 77]))?;
    let kind = conv(window(2, 1, 0), 1, Activation::Relu);
    n.show(kind, &[x, w, bias], Some((0.002, 0)))?;
    n.binary(binary::Function::Add, &[x, x], Some((0.003, 0)))?;
    n.show(average(window(2, 1, 1)), &[x], steps)?;
    n.show(average(window(2, 2, 0)), &[x], Some((0.0007, 0)))?;
    n.show(largest(window(2, 2, 0)), &[x], steps)?;
    for (function, to) in [
        (unary::Function::Sigmoid, unit),
        (unary::Function::Tanh, unit),
        (unary::Function::LeakyRelu(0.3), Some((0.0009, 0))),
    ] {
        n.show(Unary { function }, &[x], to)?;
    }
    n.show(Softmax, &[x], unit)?;
    n.show(Mean { first: 1, last: 2 }, &[x], Some((0.0005, 0)))?;
    let square = n.input(DType::I16, &[1, 4, 4], steps)?;
    n.show(MatMul, &[square, square], Some((0.002, 0)))?;
    let (positions, weights) = interpolation(n, 4)?;
    n.show(Resample { axis: 1 }, &[x, positions, weights], steps)?;
    let kind = Resample2d { axes: [1, 2] };
    n.show(kind, &[x, positions, weights, positions, weights], steps)?;
    Ok(())
}

pub(crate) fn windows_float(n: &mut Network) -> Result<()> {
    let x = n.input(DType::F32, &[1, 6, 5, 3], None)?;
    let (w, bias) = (n.reals(&[8, 3, 3, 3])?, n.reals(&[8])?);
    let first = n.show(
        conv(window(3, 1, 1), 1, Activation::Relu),
        &[x, w, bias],
        None,
    )?;
    let (w, bias) = (n.reals(&[8, 3, 3, 1])?, n.reals(&[8])?);
    let kind = conv(window(3, 2, 1), 8, Activation::Clip(-60.0, 60.0));
    let depthwise = n.show(kind, &[first, w, bias], None)?;
    let kind = AveragePool2d {
        count_include_pad: true,
        ..average(window(3, 1, 1))
    };
    n.show(kind, &[depthwise], None)?;
    n.show(largest(window(2, 1, 1)), &[depthwise], None)?;
    let mean = n.show(Mean { first: 1, last: 2 }, &[depthwise], None)?;
    let w = n.reals(&[5, 8])?;
    let kind = FullyConnected {
        activation: Activation::None,
    };
    let scores = n.show(kind, &[mean, w], None)?;
    n.show(Softmax, &[scores], None)?;
    let signal = n.input(DType::F32, &[1, 2, 6], None)?;
    let taps = n.input(DType::F32, &[4, 1, 3], None)?;
    let kind = ConvNd {
        strides: vec![1],
        dilations: vec![2],
        padding: vec![[2, 1]],
        groups: 2,
    };
    n.show(kind, &[signal, taps], None)?;
    Ok(())
}

pub(crate) fn arithmetic_float(n: &mut Network) -> Result<()> {
    use binary::Function::{Add, Div, Pow};
    let a = n.input(DType::F32, &[2, 3, 4], None)?;
    let b = n.input(DType::F32, &[2, 4, 5], None)?;
    let row = n.input(DType::F32, &[4], None)?;
    n.binary(Add, &[a, row], None)?;
    let quotient = n.binary(Div, &[a, row], None)?;
    let kind = Unary {
        function: unary::Function::Sigmoid,
    };
    let share = n.show(kind, &[quotient], None)?;
    n.binary(Pow, &[share, row], None)?;
    let kind = Unary {
        function: unary::Function::Elu(0.5),
    };
    n.show(kind, &[a], None)?;
    n.show(MatMul, &[a, b], None)?;
    let (gamma, beta) = (n.reals(&[4])?, n.reals(&[4])?);
    let kind = LayerNorm {
        first: 2,
        epsilon: 1e-3,
    };
    n.show(kind, &[a, gamma, beta], None)?;
    let (positions, weights) = interpolation(n, 3)?;
    n.show(Resample { axis: 1 }, &[a, positions, weights], None)?;
    let (others, shares) = interpolation(n, 4)?;
    let kind = Resample2d { axes: [1, 2] };
    n.show(kind, &[a, positions, weights, others, shares], None)?;
    let kind = Reduce {
        function: reduce::Function::Product,
        first: 1,
        last: 1,
    };
    n.show(kind, &[a], None)?;
    let kind = Cumulate {
        axis: 1,
        exclusive: false,
        reverse: true,
    };
    n.show(kind, &[a], None)?;
    Ok(())
}

pub(crate) fn movements(n: &mut Network) -> Result<()> {
    let steps = Some((0.05, 2));
    let x = n.input(DType::I8, &[2, 3, 4], steps)?;
    let y = n.input(DType::F32, &[4, 3], None)?;
    n.show(Concat { axis: 1 }, &[x, x], steps)?;
    let kind = Transpose {
        permutation: vec![2, 0, 1],
    };
    n.show(kind, &[x], steps)?;
    let kind = Pad {
        amounts: vec![[0, 1], [1, 0], [0, 2]],
        value: 0.5,
    };
    n.show(kind, &[x], steps)?;
    let kind = Slice {
        starts: vec![0, 1, 0],
        steps: vec![1, 1, 2],
        sizes: vec![2, 2, 2],
    };
    n.show(kind, &[x], steps)?;
    let at = n.input(DType::I32, &[5], None)?;
    n.show(Gather { axis: 1 }, &[x, at], steps)?;
    let each = n.input(DType::I64, &[2, 2, 4], None)?;
    n.show(GatherElements { axis: 1 }, &[x, each], steps)?;
    let rows = n.input(DType::I64, &[2], None)?;
    let updates = n.input(DType::F32, &[2, 3], None)?;
    for combination in [Combination::Replace, Combination::Add] {
        let kind = Scatter {
            block: 3,
            combination,
        };
        n.show(kind, &[y, rows, updates], None)?;
    }
    Ok(())
}

pub(crate) fn whole_numbers(n: &mut Network) -> Result<()> {
    let a = n.input(DType::I32, &[2, 3], None)?;
    let b = n.input(DType::I32, &[3], None)?;
    let x = n.input(DType::F32, &[2, 3], None)?;
    for function in [whole::Function::Mul, whole::Function::Modulo] {
        n.show(WholeNumbers { function }, &[a, b], None)?;
    }
    let kind = Compare {
        relation: Relation::Less,
    };
    let less = n.show(kind, &[a, b], None)?;
    let real = n.show(Cast { to: DType::F32 }, &[a], None)?;
    n.show(Choose, &[less, x, real], None)?;
    let kind = Reduce {
        function: reduce::Function::Max,
        first: 1,
        last: 1,
    };
    n.show(kind, &[a], None)?;
    let kind = Extreme {
        axis: 1,
        largest: true,
        last: false,
    };
    n.show(kind, &[x], None)?;
    let kind = TopK {
        axis: 1,
        count: 2,
        largest: false,
    };
    n.show(kind, &[x], None)?;
    Ok(())
}

pub(crate) fn special(n: &mut Network) -> Result<()> {
    let image = n.input(DType::F32, &[1, 2, 4, 4], None)?;
    let points = n.reals(&[1, 2, 2, 2])?;
    let kind = GridSample {
        interpolation: Interpolation::Linear,
        outside: Outside::Border,
        coordinates: Coordinates::Pixels,
    };
    n.show(kind, &[image, points], None)?;
    let regions = n.constant(&[1, 4], Data::F32(vec![0.5, 0.25, 3.0, 3.5]))?;
    let which = n.constant(&[1], Data::I64(vec![0]))?;
    let kind = RoiAlign {
        size: [2, 2],
        density: 2,
        scale: 1.0,
        half_pixel: true,
        largest: false,
    };
    n.show(kind, &[image, regions, which], None)?;
    n.show(Determinant, &[image], None)?;
    let scores = n.input(DType::F32, &[3, 4], None)?;
    let classes = n.constant(&[3], Data::I64(vec![2, 0, 3]))?;
    let kind = Nll {
        reduction: Reduction::Mean,
        ignored: None,
    };
    n.show(kind, &[scores, classes], None)?;
    let tokens = n.input(DType::I64, &[2, 5], None)?;
    let sequences = n.constant(&[7], Data::I32(vec![1, 1, 2, 0, 2, 1, 3]))?;
    let kind = Ngrams {
        columns: 2,
        most_between: 1,
        mode: Mode::Count,
    };
    n.show(kind, &[tokens, sequences], None)?;
    Ok(())
}

pub(crate) fn streams(n: &mut Network) -> Result<()> {
    let sound = n.input(DType::I16, &[1, 97], None)?;
    let kind = LogMel {
        rate: 16_000.0,
        frame: 64,
        hop: 32,
        points: 64,
        taper: Taper::Hann,
        pre_emphasis: 0.968_75,
        is_magnitude: false,
        bands: 6,
        range: [100.0, 8_000.0],
        scale: 10.0,
        offset: 0.0,
        limits: [-60.0, 60.0],
        coefficients: 0,
        dtype: DType::I8,
    };
    let steps = Some((0.5, 3));
    n.show(kind, &[sound], steps)?;
    let step = n.input(DType::I8, &[1, 4], Some((0.02, -5)))?;
    let values = (0..24).map(|_| n.random.below(255) as u8 as i8).collect();
    let weights = n.constant(&[6, 4], Data::I8(values))?;
    n.graph.value_mut(weights).quantization = quantization(Some((0.01, 0)));
    let features = n.show(SvdfFeatures, &[step, weights], Some((0.000_5, 0)))?;
    let kind = History { axis: 2, steps: 5 };
    let state = n.show(kind, &[features], Some((0.000_5, 0)))?;
    let values = (0..30).map(|_| n.random.below(8_000) as i16 - 4_000);
    let values = values.collect();
    let filters = n.constant(&[6, 5], Data::I16(values))?;
    n.graph.value_mut(filters).quantization = quantization(Some((0.000_1, 0)));
    let bias = n.constant(&[3], Data::I32(vec![100_000, -50_000, 0]))?;
    let kind = SvdfTime {
        rank: 2,
        activation: Activation::None,
    };
    n.show(kind, &[state, filters, bias], Some((0.05, 1)))?;
    Ok(())
}

/// Layers with a state, of int8 and of floats.
pub(crate) fn recurrent(n: &mut Network) -> Result<()> {
    let layer = Lstm {
        is_time_first: false,
        cell_clip: 0.9,
    };
    let x = n.input(DType::I8, &[2, 3, 4], Some((0.01, 5)))?;
    let mut inputs = vec![x];
    for columns in [4, 3] {
        let values = (0..12 * columns).map(|_| n.random.below(255) as u8 as i8);
        let values = values.collect();
        let weights = n.constant(&[12, columns], Data::I8(values))?;
        n.graph.value_mut(weights).quantization = quantization(Some((0.008, 0)));
        inputs.push(weights);
    }
    let biases = (0..12).map(|_| n.random.below(9_000) as i32 - 4_500);
    let biases = biases.collect();
    inputs.push(n.constant(&[12], Data::I32(biases))?);
    let hidden = Some((1.0 / 128.0, -3));
    let made = n.graph.push("integers", layer, &inputs)?;
    for (&value, steps) in made.iter().zip([hidden, hidden, Some((1.0 / 2048.0, 0))]) {
        n.graph.value_mut(value).quantization = quantization(steps);
    }
    n.graph.add_output("integers", made[0]);
    let inputs = [
        n.input(DType::F32, &[3, 2, 4], None)?,
        n.reals(&[12, 4])?,
        n.reals(&[12, 3])?,
        n.reals(&[12])?,
    ];
    let layer = Lstm {
        is_time_first: true,
        ..layer
    };
    let made = n.graph.push("floats", layer, &inputs)?;
    n.graph.add_output("floats", made[0]);
    Ok(())
}

/// Means of what were unsigned bytes.
pub(crate) fn unsigned_int8(n: &mut Network) -> Result<()> {
    let steps = Some((0.04, -7));
    let x = n.input(DType::I8, &[2, 5, 6, 11], steps)?;
    let kind = AveragePool2d {
        halves: Halves::Up,
        activation: Activation::Relu,
        ..average(window(3, 2, 1))
    };
    n.show(kind, &[x], steps)?;
    Ok(())
}

/// Means with halves to even and to where floats go, and shares in steps of 1/255 and of 0.01.
pub(crate) fn onnx_int8(n: &mut Network) -> Result<()> {
    let steps = Some((0.04, -7));
    let x = n.input(DType::I8, &[2, 5, 6, 11], steps)?;
    let kind = AveragePool2d {
        halves: Halves::Even,
        ..average(window(2, 2, 1))
    };
    let means = n.show(kind, &[x], steps)?;
    let kind = AveragePool2d {
        halves: Halves::Real,
        ..kind
    };
    n.show(kind, &[x], steps)?;
    n.show(Softmax, &[means], Some((1.0 / 255.0, -128)))?;
    n.show(Softmax, &[x], Some((0.01, 3)))?;
    Ok(())
}

/// int4 weights: dense, depthwise and in groups; an odd number of them too.
pub(crate) fn narrow_int8(n: &mut Network) -> Result<()> {
    let steps = Some((0.06, -20));
    let x = n.input(DType::I8, &[1, 6, 5, 3], Some((1.0 / 32.0, 3)))?;
    let [w, bias] = n.small_weights(&[7, 3, 3, 3])?;
    let kind = conv(window(3, 1, 1), 1, Activation::Relu);
    let first = n.show(kind, &[x, w, bias], steps)?;
    let [w, bias] = n.small_weights(&[7, 3, 3, 1])?;
    let kind = conv(window(3, 1, 1), 7, Activation::Clip(0.0, 6.0));
    let depthwise = n.show(kind, &[first, w, bias], Some((0.03, -90)))?;
    let [w, bias] = n.small_weights(&[5, 1, 1, 7])?;
    let kind = conv(window(1, 1, 0), 1, Activation::None);
    let pointwise = n.show(kind, &[depthwise, w, bias], Some((0.05, 11)))?;
    let [w, bias] = n.small_weights(&[4, 6 * 5 * 5])?;
    let kind = Reshape {
        shape: shape(&[1, 6 * 5 * 5])?,
    };
    let flat = n.show(kind, &[pointwise], Some((0.05, 11)))?;
    let kind = FullyConnected {
        activation: Activation::None,
    };
    n.show(kind, &[flat, w, bias], Some((0.3, 4)))?;
    Ok(())
}

/// Half-precision weights; those of [`windows_float`] are such numbers.
pub(crate) fn narrow_float(n: &mut Network) -> Result<()> {
    windows_float(n)
}

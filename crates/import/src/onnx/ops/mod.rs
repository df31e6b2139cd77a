//! The ONNX operators that can be imported: a table, and one file per operator or group.

mod batch_normalization;
mod binary;
mod cast;
mod clip;
mod compare;
mod concat;
mod constant;
mod conv;
mod conv_transpose;
mod deform_conv;
mod einsum;
mod extreme;
mod fourier;
mod gather;
mod gelu;
mod gemm;
mod grid;
mod identity;
mod layer_normalization;
mod logic;
mod loss;
mod mat_mul;
mod microsoft;
mod normalization;
mod one_hot;
mod pad;
mod pool;
mod quantized;
mod rearrange;
mod recurrent;
mod recurrent_cell;
mod reduce;
mod reshape;
mod resize;
mod resize_table;
mod scatter;
mod shape;
mod slice;
mod softmax;
mod special;
mod split;
pub(super) mod steps;
mod transpose;
mod trilu;
mod unary;
mod window;

use super::call::{Call, Item, Refusal};
use super::is_standard;
use recurrent_cell::Kind as Recurrent;
use rten_onnx::onnx::NodeProto;
use runtime::ops::binary::Function as Binary;
use runtime::ops::compare::Relation;
use runtime::ops::reduce::Function as Reduce;
use runtime::ops::unary::Function as Unary;
use runtime::ops::whole::Function as Whole;

/// Adds a node to the graph and returns its outputs.
type Import = fn(&mut Call<'_>) -> Result<Vec<Item>, Refusal>;

/// An operator, the first version of the operator set that has it, and its importer.
type Row = (&'static str, i64, Import);

/// Importers know the variants of all versions from 7 on themselves.
static TABLE: &[Row] = &[
    ("Abs", 1, unary::absolute),
    ("Acos", 7, |call| unary::import(call, Unary::Acos)),
    ("Acosh", 9, |call| unary::import(call, Unary::Acosh)),
    ("Add", 1, |call| binary::import(call, Binary::Add)),
    ("AffineGrid", 20, grid::affine),
    ("And", 1, |call| logic::truth(call, Whole::And)),
    ("ArgMax", 1, |call| extreme::position(call, true)),
    ("ArgMin", 1, |call| extreme::position(call, false)),
    ("Asin", 7, |call| unary::import(call, Unary::Asin)),
    ("Asinh", 9, |call| unary::import(call, Unary::Asinh)),
    ("Atan", 7, |call| unary::import(call, Unary::Atan)),
    ("Atanh", 9, |call| unary::import(call, Unary::Atanh)),
    ("AveragePool", 1, pool::average),
    ("BatchNormalization", 1, batch_normalization::import),
    ("BitShift", 11, logic::shift),
    ("BitwiseAnd", 18, |call| logic::bits(call, Whole::And)),
    ("BitwiseNot", 18, logic::bitwise_not),
    ("BitwiseOr", 18, |call| logic::bits(call, Whole::Or)),
    ("BitwiseXor", 18, |call| logic::bits(call, Whole::Xor)),
    ("BlackmanWindow", 17, |call| {
        window::cosines(call, [0.42, 0.5, 0.08])
    }),
    ("Cast", 1, cast::import),
    ("CastLike", 15, cast::like),
    ("Ceil", 1, |call| unary::import(call, Unary::Ceil)),
    ("Celu", 12, unary::celu),
    ("CenterCropPad", 18, rearrange::center_crop_pad),
    ("Clip", 1, clip::import),
    ("Col2Im", 18, scatter::col2im),
    ("Compress", 9, gather::compress),
    ("Concat", 1, concat::import),
    ("Constant", 1, constant::import),
    ("ConstantOfShape", 9, constant::of_shape),
    ("Conv", 1, conv::import),
    ("ConvInteger", 10, quantized::conv_integer),
    ("ConvTranspose", 1, conv_transpose::import),
    ("Cos", 7, |call| unary::import(call, Unary::Cos)),
    ("Cosh", 9, |call| unary::import(call, Unary::Cosh)),
    ("CumSum", 11, trilu::cumulative_sum),
    ("DFT", 17, fourier::dft),
    ("DeformConv", 19, deform_conv::import),
    ("DepthToSpace", 1, rearrange::depth_to_space),
    ("DequantizeLinear", 10, quantized::dequantize),
    ("Det", 11, special::determinant),
    ("Div", 1, |call| binary::import(call, Binary::Div)),
    ("Dropout", 1, identity::dropout),
    ("DynamicQuantizeLinear", 11, quantized::dynamic),
    ("Einsum", 12, einsum::import),
    ("Elu", 1, unary::elu),
    ("Equal", 1, |call| compare::import(call, Relation::Equal)),
    ("Erf", 9, |call| unary::import(call, Unary::Erf)),
    ("Exp", 1, |call| unary::import(call, Unary::Exp)),
    ("Expand", 8, rearrange::expand),
    ("EyeLike", 9, one_hot::eye_like),
    ("Flatten", 1, reshape::flatten),
    ("Floor", 1, |call| unary::import(call, Unary::Floor)),
    ("GRU", 3, |call| recurrent::import(call, Recurrent::Gru)),
    ("Gather", 1, gather::import),
    ("GatherElements", 11, gather::elements),
    ("GatherND", 11, gather::nd),
    ("Gelu", 20, gelu::import),
    ("Gemm", 1, gemm::import),
    ("GlobalAveragePool", 1, pool::global_average),
    ("GlobalLpPool", 2, pool::global_lp),
    ("GlobalMaxPool", 1, pool::global_max),
    ("Greater", 1, |call| compare::reversed(call, Relation::Less)),
    ("GreaterOrEqual", 12, |call| {
        compare::reversed(call, Relation::LessOrEqual)
    }),
    ("GridSample", 16, grid::sample),
    ("GroupNormalization", 18, normalization::group),
    ("HammingWindow", 17, |call| {
        window::cosines(call, [25.0 / 46.0, 21.0 / 46.0, 0.0])
    }),
    ("HannWindow", 17, |call| {
        window::cosines(call, [0.5, 0.5, 0.0])
    }),
    ("HardSigmoid", 1, unary::hard_sigmoid),
    ("HardSwish", 14, |call| {
        unary::import(call, Unary::HardSwish)
    }),
    ("Hardmax", 1, extreme::hardmax),
    ("Identity", 1, identity::import),
    ("InstanceNormalization", 6, normalization::instance),
    ("IsInf", 10, compare::is_infinite),
    ("IsNaN", 9, compare::is_nan),
    ("LRN", 1, normalization::local_response),
    ("LSTM", 1, |call| recurrent::import(call, Recurrent::Lstm)),
    ("LayerNormalization", 17, layer_normalization::import),
    ("LeakyRelu", 1, unary::leaky_relu),
    ("Less", 1, |call| compare::import(call, Relation::Less)),
    ("LessOrEqual", 12, |call| {
        compare::import(call, Relation::LessOrEqual)
    }),
    ("Log", 1, |call| unary::import(call, Unary::Log)),
    ("LogSoftmax", 1, softmax::log),
    ("LpNormalization", 1, normalization::lp),
    ("LpPool", 2, pool::lp),
    ("MatMul", 1, mat_mul::import),
    ("MatMulInteger", 10, quantized::mat_mul_integer),
    ("Max", 1, |call| binary::variadic(call, Binary::Max)),
    ("MaxPool", 1, pool::max),
    ("MaxUnpool", 9, scatter::max_unpool),
    ("Mean", 1, binary::mean),
    ("MeanVarianceNormalization", 9, normalization::mean_variance),
    ("MelWeightMatrix", 17, window::mel_weights),
    ("Min", 1, |call| binary::variadic(call, Binary::Min)),
    ("Mish", 18, |call| unary::import(call, Unary::Mish)),
    ("Mod", 10, binary::modulo),
    ("Mul", 1, |call| binary::import(call, Binary::Mul)),
    ("Neg", 1, unary::negative),
    (
        "NegativeLogLikelihoodLoss",
        12,
        loss::negative_log_likelihood,
    ),
    ("NonZero", 9, one_hot::non_zero),
    ("Not", 1, logic::not),
    ("OneHot", 9, one_hot::import),
    ("Or", 1, |call| logic::truth(call, Whole::Or)),
    ("PRelu", 1, unary::prelu),
    ("Pad", 1, pad::import),
    ("Pow", 1, binary::power),
    ("QLinearConv", 10, quantized::q_linear_conv),
    ("QLinearMatMul", 10, quantized::q_linear_mat_mul),
    ("QuantizeLinear", 10, quantized::quantize),
    ("RNN", 1, |call| recurrent::import(call, Recurrent::Rnn)),
    ("Range", 11, one_hot::range),
    ("Reciprocal", 1, |call| {
        unary::import(call, Unary::Reciprocal)
    }),
    ("ReduceL1", 1, reduce::l1),
    ("ReduceL2", 1, reduce::l2),
    ("ReduceLogSum", 1, reduce::log_sum),
    ("ReduceLogSumExp", 1, reduce::log_sum_exp),
    ("ReduceMax", 1, |call| reduce::fold(call, Reduce::Max)),
    ("ReduceMean", 1, reduce::mean),
    ("ReduceMin", 1, |call| reduce::fold(call, Reduce::Min)),
    ("ReduceProd", 1, |call| reduce::fold(call, Reduce::Product)),
    ("ReduceSum", 1, reduce::sum),
    ("ReduceSumSquare", 1, reduce::sum_square),
    ("Relu", 1, unary::relu),
    ("Reshape", 5, reshape::import),
    ("Resize", 10, resize::import),
    ("ReverseSequence", 10, gather::reverse_sequence),
    ("RoiAlign", 10, special::roi_align),
    ("Round", 11, |call| unary::import(call, Unary::Round)),
    ("STFT", 17, fourier::stft),
    ("Scatter", 9, scatter::elements),
    ("ScatterElements", 11, scatter::elements),
    ("ScatterND", 11, scatter::nd),
    ("Selu", 1, unary::selu),
    ("Shape", 1, shape::import),
    ("Shrink", 9, unary::shrink),
    ("Sigmoid", 1, |call| unary::import(call, Unary::Sigmoid)),
    ("Sign", 9, unary::sign),
    ("Sin", 7, |call| unary::import(call, Unary::Sin)),
    ("Sinh", 9, |call| unary::import(call, Unary::Sinh)),
    ("Size", 1, shape::size),
    ("Slice", 1, slice::import),
    ("Softmax", 1, softmax::import),
    ("SoftmaxCrossEntropyLoss", 12, loss::softmax_cross_entropy),
    ("Softplus", 1, |call| unary::import(call, Unary::Softplus)),
    ("Softsign", 1, |call| unary::import(call, Unary::Softsign)),
    ("SpaceToDepth", 1, rearrange::space_to_depth),
    ("Split", 1, split::import),
    ("Sqrt", 1, |call| unary::import(call, Unary::Sqrt)),
    ("Squeeze", 1, reshape::squeeze),
    ("Sub", 1, |call| binary::import(call, Binary::Sub)),
    ("Sum", 1, |call| binary::variadic(call, Binary::Add)),
    ("Tan", 7, |call| unary::import(call, Unary::Tan)),
    ("Tanh", 1, |call| unary::import(call, Unary::Tanh)),
    ("TfIdfVectorizer", 9, special::ngrams),
    ("ThresholdedRelu", 10, unary::thresholded_relu),
    ("Tile", 6, rearrange::tile),
    ("TopK", 1, extreme::top_k),
    ("Transpose", 1, transpose::import),
    ("Trilu", 14, trilu::import),
    ("Unsqueeze", 1, reshape::unsqueeze),
    ("Upsample", 7, resize::import),
    ("Where", 9, compare::choice),
    ("Xor", 1, |call| logic::truth(call, Whole::Xor)),
];

/// The names of the ONNX operators that can be imported, sorted.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|row| row.0)
}

/// As [`names`], of ONNX Runtime's own domain.
pub(crate) fn microsoft_names() -> impl Iterator<Item = &'static str> {
    microsoft::names()
}

/// The importer of a node.
pub(super) fn find(node: &NodeProto, opset: i64) -> Result<Import, Refusal> {
    let operator = node.op_type.as_deref().unwrap_or_default();
    let domain = node.domain.as_deref();
    if domain == Some(microsoft::DOMAIN) {
        return microsoft::find(operator).ok_or_else(|| foreign(microsoft::DOMAIN, operator));
    }
    if !is_standard(domain) {
        return Err(foreign(domain.unwrap_or_default(), operator));
    }
    if super::Attributes::of(node).has_graph() {
        let remedy = "export without control flow, or simplify the model with onnxsim";
        return Err(Refusal::new("sub-graphs are not supported", remedy));
    }
    let Some(&(_, since, import)) = TABLE.iter().find(|row| row.0 == operator) else {
        return Err("this operator is not supported".into());
    };
    if opset < since {
        let reason = format!("it exists since operator set {since}, but the file uses {opset}");
        return Err(Refusal::new(
            reason,
            "convert the model with `onnx.version_converter`",
        ));
    }
    Ok(import)
}

/// The refusal of an operator that is not of the standard.
fn foreign(domain: &str, operator: &str) -> Refusal {
    let remedy = match operator.starts_with("QLinear") {
        true => "quantize the model with QuantFormat.QDQ, whose files have standard operators",
        false => "export the model with standard ONNX operators only",
    };
    Refusal::new(format!("operators of '{domain}' are not supported"), remedy)
}

/// Whether a node computes with quantized numbers.
pub(super) fn is_quantized(node: &NodeProto) -> bool {
    let operator = node.op_type.as_deref().unwrap_or_default();
    let integer = [
        "QuantizeLinear",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
    ];
    let products = ["ConvInteger", "MatMulInteger", "QGemm"];
    operator.starts_with("QLinear") || integer.contains(&operator) || products.contains(&operator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(TABLE.is_sorted_by(|a, b| a.0 < b.0));
    }
}

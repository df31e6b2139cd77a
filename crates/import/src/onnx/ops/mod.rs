//! The ONNX operators that can be imported: a table, and one file per operator or group.

mod batch_normalization;
mod binary;
mod cast;
mod clip;
mod concat;
mod constant;
mod conv;
mod gather;
mod gelu;
mod gemm;
mod identity;
mod layer_normalization;
mod mat_mul;
mod pad;
mod pool;
mod reduce;
mod reshape;
mod shape;
mod slice;
mod softmax;
mod split;
mod transpose;
mod unary;

use super::call::{Call, Item, Refusal};
use super::is_standard;
use rten_onnx::onnx::NodeProto;
use runtime::ops::binary::Function as Binary;
use runtime::ops::reduce::Function as Reduce;
use runtime::ops::unary::Function as Unary;

/// Adds a node to the graph and returns its outputs.
type Import = fn(&mut Call<'_>) -> Result<Vec<Item>, Refusal>;

/// An operator, the first version of the operator set that has it, and its importer.
type Row = (&'static str, i64, Import);

/// Importers know the variants of all versions from 7 on themselves.
static TABLE: &[Row] = &[
    ("Abs", 1, |call| unary::import(call, Unary::Abs)),
    ("Add", 1, |call| binary::import(call, Binary::Add)),
    ("AveragePool", 1, pool::average),
    ("BatchNormalization", 1, batch_normalization::import),
    ("Cast", 1, cast::import),
    ("CastLike", 15, cast::like),
    ("Ceil", 1, |call| unary::import(call, Unary::Ceil)),
    ("Clip", 1, clip::import),
    ("Concat", 1, concat::import),
    ("Constant", 1, constant::import),
    ("ConstantOfShape", 9, constant::of_shape),
    ("Conv", 1, conv::import),
    ("Cos", 7, |call| unary::import(call, Unary::Cos)),
    ("Div", 1, |call| binary::import(call, Binary::Div)),
    ("Dropout", 1, identity::dropout),
    ("Elu", 1, unary::elu),
    ("Erf", 9, |call| unary::import(call, Unary::Erf)),
    ("Exp", 1, |call| unary::import(call, Unary::Exp)),
    ("Flatten", 1, reshape::flatten),
    ("Floor", 1, |call| unary::import(call, Unary::Floor)),
    ("Gather", 1, gather::import),
    ("Gelu", 20, gelu::import),
    ("Gemm", 1, gemm::import),
    ("GlobalAveragePool", 1, pool::global_average),
    ("GlobalMaxPool", 1, pool::global_max),
    ("HardSigmoid", 1, unary::hard_sigmoid),
    ("HardSwish", 14, |call| {
        unary::import(call, Unary::HardSwish)
    }),
    ("Identity", 1, identity::import),
    ("LayerNormalization", 17, layer_normalization::import),
    ("LeakyRelu", 1, unary::leaky_relu),
    ("Log", 1, |call| unary::import(call, Unary::Log)),
    ("LogSoftmax", 1, softmax::log),
    ("MatMul", 1, mat_mul::import),
    ("Max", 1, |call| binary::variadic(call, Binary::Max)),
    ("MaxPool", 1, pool::max),
    ("Mean", 1, binary::mean),
    ("Min", 1, |call| binary::variadic(call, Binary::Min)),
    ("Mul", 1, |call| binary::import(call, Binary::Mul)),
    ("Neg", 1, |call| unary::import(call, Unary::Neg)),
    ("Pad", 1, pad::import),
    ("Pow", 1, |call| binary::import(call, Binary::Pow)),
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
    ("Relu", 1, |call| unary::import(call, Unary::Relu)),
    ("Reshape", 5, reshape::import),
    ("Round", 11, |call| unary::import(call, Unary::Round)),
    ("Shape", 1, shape::import),
    ("Sigmoid", 1, |call| unary::import(call, Unary::Sigmoid)),
    ("Sign", 9, |call| unary::import(call, Unary::Sign)),
    ("Sin", 7, |call| unary::import(call, Unary::Sin)),
    ("Size", 1, shape::size),
    ("Slice", 1, slice::import),
    ("Softmax", 1, softmax::import),
    ("Softplus", 1, |call| unary::import(call, Unary::Softplus)),
    ("Softsign", 1, |call| unary::import(call, Unary::Softsign)),
    ("Split", 1, split::import),
    ("Sqrt", 1, |call| unary::import(call, Unary::Sqrt)),
    ("Squeeze", 1, reshape::squeeze),
    ("Sub", 1, |call| binary::import(call, Binary::Sub)),
    ("Sum", 1, |call| binary::variadic(call, Binary::Add)),
    ("Tanh", 1, |call| unary::import(call, Unary::Tanh)),
    ("Transpose", 1, transpose::import),
    ("Unsqueeze", 1, reshape::unsqueeze),
];

/// The names of the ONNX operators that can be imported, sorted.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|row| row.0)
}

/// The importer of a node.
pub(super) fn find(node: &NodeProto, opset: i64) -> Result<Import, Refusal> {
    let operator = node.op_type.as_deref().unwrap_or_default();
    let domain = node.domain.as_deref();
    if !is_standard(domain) {
        let reason = format!(
            "operators of '{}' are not supported",
            domain.unwrap_or_default()
        );
        return Err(Refusal::new(
            reason,
            "export the model with standard ONNX operators only",
        ));
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

/// Whether a node computes with quantized numbers.
pub(super) fn is_quantized(node: &NodeProto) -> bool {
    let operator = node.op_type.as_deref().unwrap_or_default();
    let integer = [
        "QuantizeLinear",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
    ];
    let products = ["ConvInteger", "MatMulInteger"];
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

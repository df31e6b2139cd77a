//! The TensorFlow Lite operators that can be imported: a table, and one file per operator or group.

mod batch_matmul;
mod binary;
mod cast;
mod choose;
mod concatenation;
mod convolution;
mod coordinates;
mod fully_connected;
mod gather;
mod l2;
mod lstm;
mod mean;
mod pad;
mod pool;
mod prelu;
mod quantize;
mod rearrange;
mod repeat;
mod reshape;
mod resize;
mod shape;
mod slice;
mod softmax;
mod split;
mod svdf;
mod symmetric;
mod transpose;
mod transpose_conv;
mod unary;

use super::call::{Call, Refusal};
use super::schema::{
    ASSIGN_VARIABLE, CALL_ONCE, CUSTOM, Operator, READ_VARIABLE, VAR_HANDLE, operator_name,
};
use super::variables;
use runtime::ops::binary::Function as Binary;
use runtime::ops::compare::Relation;
use runtime::ops::reduce::Function as Fold;
use runtime::ops::unary::Function as Unary;
use runtime::ops::whole::Function as Whole;

/// Adds an operator to the graph.
type Import = fn(&mut Call<'_, '_>) -> Result<(), Refusal>;

/// An operator's name, its code in the file, how many of its operands are read, and its importer.
type Row = (&'static str, i32, usize, Import);

/// Any number of operands.
const ALL: usize = usize::MAX;

static TABLE: &[Row] = &[
    ("ABS", 101, 1, |call| unary::import(call, Unary::Abs)),
    ("ADD", 0, 2, |call| binary::import(call, Binary::Add)),
    ("ADD_N", 106, ALL, binary::sum),
    ("ARG_MAX", 56, 2, |call| gather::extreme(call, true)),
    ("ARG_MIN", 79, 2, |call| gather::extreme(call, false)),
    // What it assigns is asked for where it is; of its variable nothing is read.
    ("ASSIGN_VARIABLE", ASSIGN_VARIABLE, 0, variables::assign),
    ("AVERAGE_POOL_2D", 1, 1, pool::average),
    ("BATCH_MATMUL", 126, 2, batch_matmul::import),
    ("BATCH_TO_SPACE_ND", 37, 3, rearrange::batch_to_space),
    ("BROADCAST_ARGS", 145, 2, shape::broadcast),
    ("BROADCAST_TO", 130, 2, repeat::broadcast_to),
    ("CALL_ONCE", CALL_ONCE, 0, variables::declaration),
    ("CAST", 53, 1, cast::import),
    ("CEIL", 104, 1, |call| unary::import(call, Unary::Ceil)),
    ("CONCATENATION", 2, ALL, concatenation::import),
    ("CONV_2D", 3, 3, convolution::import),
    ("COS", 108, 1, |call| unary::import(call, Unary::Cos)),
    ("CUMSUM", 128, 2, mean::cumulate),
    ("DEPTHWISE_CONV_2D", 4, 3, convolution::depthwise),
    ("DEPTH_TO_SPACE", 5, 1, rearrange::depth_to_space),
    ("DEQUANTIZE", 6, 1, quantize::dequantize),
    ("DIV", 42, 2, |call| binary::import(call, Binary::Div)),
    ("DYNAMIC_UPDATE_SLICE", 151, 3, coordinates::update),
    ("ELU", 111, 1, |call| unary::import(call, Unary::Elu(1.0))),
    ("EMBEDDING_LOOKUP", 7, 2, gather::embedding),
    ("EQUAL", 71, 2, |call| {
        choose::compare(call, Relation::Equal, false)
    }),
    ("EXP", 47, 1, |call| unary::import(call, Unary::Exp)),
    // The further operands of these say what the declared shape of the output says too.
    ("EXPAND_DIMS", 70, 1, reshape::import),
    ("FILL", 94, 2, shape::fill),
    ("FLOOR", 8, 1, |call| unary::import(call, Unary::Floor)),
    ("FLOOR_DIV", 90, 2, binary::floor_div),
    ("FLOOR_MOD", 95, 2, binary::floor_mod),
    ("FULLY_CONNECTED", 9, 3, fully_connected::import),
    ("GATHER", 36, 2, gather::import),
    ("GATHER_ND", 107, 2, coordinates::gather),
    ("GELU", 150, 1, unary::gelu),
    ("GREATER", 61, 2, |call| {
        choose::compare(call, Relation::Less, true)
    }),
    ("GREATER_EQUAL", 62, 2, |call| {
        choose::compare(call, Relation::LessOrEqual, true)
    }),
    ("HARD_SWISH", 117, 1, |call| {
        unary::import(call, Unary::HardSwish)
    }),
    ("L2_NORMALIZATION", 11, 1, l2::normalize),
    ("L2_POOL_2D", 12, 1, l2::pool),
    ("LEAKY_RELU", 98, 1, unary::leaky_relu),
    ("LESS", 58, 2, |call| {
        choose::compare(call, Relation::Less, false)
    }),
    ("LESS_EQUAL", 63, 2, |call| {
        choose::compare(call, Relation::LessOrEqual, false)
    }),
    ("LOG", 73, 1, |call| unary::import(call, Unary::Log)),
    ("LOGICAL_AND", 86, 2, |call| {
        choose::logical(call, Whole::And)
    }),
    ("LOGICAL_NOT", 87, 1, choose::not),
    ("LOGICAL_OR", 84, 2, |call| choose::logical(call, Whole::Or)),
    ("LOGISTIC", 14, 1, |call| {
        unary::import(call, Unary::Sigmoid)
    }),
    ("LOG_SOFTMAX", 50, 1, softmax::log),
    ("MAXIMUM", 55, 2, |call| binary::plain(call, Binary::Max)),
    ("MAX_POOL_2D", 17, 1, pool::max),
    ("MEAN", 40, 2, mean::import),
    ("MINIMUM", 57, 2, |call| binary::plain(call, Binary::Min)),
    ("MIRROR_PAD", 100, 2, repeat::mirror),
    ("MUL", 18, 2, |call| binary::import(call, Binary::Mul)),
    ("NEG", 59, 1, |call| unary::import(call, Unary::Neg)),
    ("NOT_EQUAL", 72, 2, |call| {
        choose::compare(call, Relation::NotEqual, false)
    }),
    ("PACK", 83, ALL, split::pack),
    ("PAD", 34, 2, pad::import),
    ("PADV2", 60, 3, pad::import),
    ("POW", 78, 2, |call| binary::plain(call, Binary::Pow)),
    ("PRELU", 54, 2, prelu::import),
    ("QUANTIZE", 114, 1, quantize::quantize),
    ("READ_VARIABLE", READ_VARIABLE, 0, variables::read),
    ("REDUCE_ALL", 140, 2, |call| mean::reduce(call, Fold::Min)),
    ("REDUCE_ANY", 91, 2, |call| mean::reduce(call, Fold::Max)),
    ("REDUCE_MAX", 82, 2, |call| mean::reduce(call, Fold::Max)),
    ("REDUCE_MIN", 89, 2, |call| mean::reduce(call, Fold::Min)),
    ("REDUCE_PROD", 81, 2, |call| {
        mean::reduce(call, Fold::Product)
    }),
    ("RELU", 19, 1, |call| unary::import(call, Unary::Relu)),
    ("RELU6", 21, 1, |call| {
        unary::import(call, Unary::Clip(0.0, 6.0))
    }),
    ("RELU_0_TO_1", 152, 1, |call| {
        unary::import(call, Unary::Clip(0.0, 1.0))
    }),
    ("RELU_N1_TO_1", 20, 1, |call| {
        unary::import(call, Unary::Clip(-1.0, 1.0))
    }),
    ("RESHAPE", 22, 1, reshape::import),
    ("RESIZE_BILINEAR", 23, 2, resize::bilinear),
    ("RESIZE_NEAREST_NEIGHBOR", 97, 2, resize::nearest),
    ("REVERSE_V2", 105, 2, repeat::reverse),
    ("ROUND", 116, 1, |call| unary::import(call, Unary::Round)),
    ("RSQRT", 76, 1, |call| {
        unary::import(call, Unary::InverseSqrt)
    }),
    ("SELECT", 64, 3, |call| choose::select(call, true)),
    ("SELECT_V2", 123, 3, |call| choose::select(call, false)),
    // Of a shape nothing is read but what the file declares.
    ("SHAPE", 77, 0, shape::shape),
    ("SIN", 66, 1, |call| unary::import(call, Unary::Sin)),
    ("SLICE", 65, 3, slice::import),
    ("SOFTMAX", 25, 1, softmax::import),
    ("SPACE_TO_BATCH_ND", 38, 3, rearrange::space_to_batch),
    ("SPACE_TO_DEPTH", 26, 1, rearrange::space_to_depth),
    ("SPLIT", 49, 2, split::even),
    ("SPLIT_V", 102, 3, split::sized),
    ("SQRT", 75, 1, |call| unary::import(call, Unary::Sqrt)),
    ("SQUARE", 92, 1, binary::square),
    ("SQUARED_DIFFERENCE", 99, 2, |call| {
        binary::plain(call, Binary::SquaredDifference)
    }),
    ("SQUEEZE", 43, 1, reshape::import),
    ("STRIDED_SLICE", 45, 4, slice::strided),
    ("SUB", 41, 2, |call| binary::import(call, Binary::Sub)),
    ("SUM", 74, 2, |call| mean::reduce(call, Fold::Sum)),
    // Its state is read where it is kept.
    ("SVDF", 27, 4, svdf::import),
    ("TANH", 28, 1, |call| unary::import(call, Unary::Tanh)),
    ("TILE", 69, 2, repeat::tile),
    ("TOPK_V2", 48, 2, gather::top_k),
    ("TRANSPOSE", 39, 2, transpose::import),
    ("TRANSPOSE_CONV", 67, 4, transpose_conv::import),
    // Its states are read where they are kept.
    ("UNIDIRECTIONAL_SEQUENCE_LSTM", 44, 18, lstm::import),
    ("UNPACK", 88, 1, split::unpack),
    ("VAR_HANDLE", VAR_HANDLE, 0, variables::declaration),
    ("ZEROS_LIKE", 93, 0, shape::zeros),
];

/// The names of the operators that can be imported, sorted.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|row| row.0)
}

fn row(operator: &Operator<'_>) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.1 == operator.code)
}

/// How many operands of an operator are read.
pub(super) fn operands(operator: &Operator<'_>) -> usize {
    row(operator).map_or(ALL, |row| row.2)
}

/// Whether an operator is a conversion between scales and types.
pub(super) fn is_conversion(operator: &Operator<'_>) -> bool {
    row(operator).is_some_and(|row| row.0 == "QUANTIZE")
}

/// The importer of an operator.
pub(super) fn find(operator: &Operator<'_>) -> Result<Import, Refusal> {
    if operator.code == CUSTOM {
        let remedy = "convert the model with standard TensorFlow Lite operators only";
        return Err(Refusal::new("custom operators are not supported", remedy));
    }
    let row = row(operator);
    row.map(|row| row.3)
        .ok_or_else(|| unsupported(&operator_name(operator)))
}

/// The refusal of an operator that there is no importer for.
fn unsupported(name: &str) -> Refusal {
    let reason = format!("{name} is not supported");
    match name {
        "IF" | "WHILE" => {
            let remedy = "convert the model with its branches chosen and its loops unrolled";
            Refusal::new(reason, remedy)
        }
        _ => reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(code: i32) -> Operator<'static> {
        Operator {
            code,
            custom: String::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            options: None,
        }
    }

    #[test]
    fn the_table_is_sorted_and_names_what_the_schema_names() {
        assert!(TABLE.is_sorted_by(|a, b| a.0 < b.0));
        for row in TABLE {
            assert_eq!(operator_name(&operator(row.1)), row.0);
        }
    }

    #[test]
    fn control_flow_is_refused_with_a_remedy() {
        let refusal = find(&operator(119)).unwrap_err();
        assert_eq!(refusal.reason, "WHILE is not supported");
        assert!(refusal.remedy.contains("loops unrolled"));
    }
}

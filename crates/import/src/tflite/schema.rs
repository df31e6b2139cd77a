//! The parts of TensorFlow Lite's schema that are read: its field numbers and codes.

use super::flatbuffer::{Buffer, Read, Table, Tables};
use graph::{Quantization, Shape};
use std::ops::Range;

/// Element types by their codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    F32,
    F16,
    I32,
    U8,
    I64,
    Bool,
    I16,
    I8,
    I4,
    /// One that is not supported.
    Other(i8),
}

impl Element {
    fn of(code: i8) -> Self {
        match code {
            0 => Element::F32,
            1 => Element::F16,
            2 => Element::I32,
            3 => Element::U8,
            4 => Element::I64,
            6 => Element::Bool,
            7 => Element::I16,
            9 => Element::I8,
            17 => Element::I4,
            other => Element::Other(other),
        }
    }
}

/// A tensor as the file declares it.
#[derive(Clone, Debug)]
pub(super) struct Tensor<'a> {
    pub(super) name: String,
    pub(super) shape: Shape,
    pub(super) element: Element,
    /// The elements of a constant; empty otherwise.
    pub(super) content: &'a [u8],
    pub(super) quantization: Option<Quantization>,
    /// Whether it keeps its elements from one run to the next.
    pub(super) is_variable: bool,
    /// The dimensions that the file leaves open; their size in `shape` is 1.
    pub(super) dynamic_axes: Vec<usize>,
}

/// An operator of the graph.
#[derive(Clone, Debug)]
pub(super) struct Operator<'a> {
    pub(super) code: i32,
    /// The name of an operator outside the standard set.
    pub(super) custom: String,
    /// Tensor indices; `None` where an optional operand is left out.
    pub(super) inputs: Vec<Option<usize>>,
    pub(super) outputs: Vec<usize>,
    /// The table of its options.
    pub(super) options: Option<Table<'a>>,
}

/// A model with one graph.
#[derive(Debug)]
pub(super) struct Model<'a> {
    pub(super) version: u32,
    pub(super) description: String,
    /// Those of the graph, then those of the graphs that start it.
    pub(super) tensors: Vec<Tensor<'a>>,
    pub(super) operators: Vec<Operator<'a>>,
    pub(super) inputs: Vec<usize>,
    pub(super) outputs: Vec<usize>,
    /// The operators of the graphs that are called once, before the first run.
    pub(super) starting: Vec<Operator<'a>>,
    /// Graphs besides these, which only control flow calls.
    pub(super) further_graphs: usize,
}

impl<'a> Model<'a> {
    pub(super) fn read(buffer: &'a Buffer<'a>) -> Read<Self> {
        let model = Table::root(buffer)?;
        let graphs = model.tables(2)?;
        let graph = graphs.get(0).map_err(|_| "there is no graph in it")?;
        let source = Source {
            buffer,
            buffers: model.tables(4)?,
            codes: model.tables(1)?,
        };
        let mut tensors = Vec::new();
        let operators = source.graph(&graph, &mut tensors)?;
        let count = tensors.len();
        let mut starting = Vec::new();
        let called = started(&operators)?;
        for &index in &called {
            let index = usize::try_from(index).ok().filter(|&index| index > 0);
            let index = index.ok_or("the graph that is called once is the graph itself")?;
            starting.extend(source.graph(&graphs.get(index)?, &mut tensors)?);
        }
        Ok(Model {
            version: model.u32(0)?,
            description: model.text(3)?,
            operators,
            inputs: indices(&graph, 1, 0..count)?,
            outputs: indices(&graph, 2, 0..count)?,
            starting,
            further_graphs: (graphs.len() - 1).saturating_sub(called.len()),
            tensors,
        })
    }
}

/// The graphs that are called once, each once, in order.
fn started(operators: &[Operator<'_>]) -> Read<Vec<i32>> {
    let mut called = Vec::new();
    for operator in operators.iter().filter(|op| op.code == CALL_ONCE) {
        let index = match operator.options {
            Some(options) => options.i32(0, 0)?,
            None => 0,
        };
        if !called.contains(&index) {
            called.push(index);
        }
    }
    Ok(called)
}

/// What graphs of a file have in common.
struct Source<'a> {
    buffer: &'a Buffer<'a>,
    buffers: Tables<'a>,
    codes: Tables<'a>,
}

impl<'a> Source<'a> {
    /// The operators of a graph; its tensors come behind those that are there.
    fn graph(&self, graph: &Table<'a>, all: &mut Vec<Tensor<'a>>) -> Read<Vec<Operator<'a>>> {
        let (tensors, operators) = (graph.tables(0)?, graph.tables(3)?);
        let first = all.len();
        for index in 0..tensors.len() {
            all.push(tensor(self.buffer, &tensors.get(index)?, &self.buffers)?);
        }
        (0..operators.len())
            .map(|index| operator(&operators.get(index)?, &self.codes, first..all.len()))
            .collect()
    }
}

fn tensor<'a>(buffer: &'a Buffer<'a>, table: &Table<'a>, buffers: &Tables<'a>) -> Read<Tensor<'a>> {
    let name = table.text(3)?;
    let at = |reason: String| format!("tensor '{name}': {reason}");
    let dims: Vec<u32> = table.elements(0, u32::from_le_bytes)?;
    let signed: Vec<i32> = dims.iter().map(|&size| size.cast_signed()).collect();
    let shape = crate::sizes::shape(&signed).map_err(at)?;
    let open = table.words(7)?.into_iter().enumerate();
    let dynamic_axes = open
        .filter(|(_, size)| *size < 0)
        .map(|(axis, _)| axis)
        .collect();
    let index = table.u32(2)? as usize;
    // Buffer 0 is empty by convention, and some writers leave it out.
    let content = match buffers.len() {
        0 => &[],
        _ => content(buffer, &buffers.get(index).map_err(at)?).map_err(at)?,
    };
    let quantization = match table.table(4)? {
        Some(parameters) => quantization(&parameters, &shape).map_err(at)?,
        None => None,
    };
    Ok(Tensor {
        shape,
        element: Element::of(table.i8(1, 0)?),
        content,
        quantization,
        is_variable: table.bool(5)?,
        dynamic_axes,
        name,
    })
}

/// The bytes of a buffer: inside its table, or behind all tables in files above 2 GB.
fn content<'a>(buffer: &'a Buffer<'a>, table: &Table<'a>) -> Read<&'a [u8]> {
    match (table.u64(1)?, table.u64(2)?) {
        (0 | 1, _) | (_, 0) => table.bytes(0),
        (start, bytes) => buffer.range(start, bytes),
    }
}

/// Scales and zero points; `None` where the tensor is not quantized.
fn quantization(table: &Table<'_>, shape: &Shape) -> Read<Option<Quantization>> {
    let scales: Vec<f32> = table.elements(2, f32::from_le_bytes)?;
    let zero_points: Vec<i64> = table.elements(3, i64::from_le_bytes)?;
    if scales.is_empty() {
        return Ok(None);
    }
    if scales
        .iter()
        .any(|scale| !scale.is_finite() || *scale < 0.0)
    {
        return Err("a scale is not a positive number".into());
    }
    let first = zero_points.first().copied().unwrap_or(0);
    if zero_points.iter().any(|&zero| zero != first) {
        return Err("its channels have different zero points".into());
    }
    let zero_point = i32::try_from(first).map_err(|_| "the zero point is out of range")?;
    let axis = match scales.len() {
        1 => None,
        count => {
            let axis = table.i32(6, 0)?;
            // Vectors are split along their only axis, whatever the file says.
            let axis = if shape.rank() == 1 { 0 } else { axis };
            let fitting = usize::try_from(axis).ok().filter(|&a| a < shape.rank());
            let fitting = fitting.filter(|&axis| shape.dim(axis) == count);
            Some(fitting.ok_or_else(|| format!("{count} scales do not fit {shape}"))?)
        }
    };
    Ok(Some(Quantization {
        scales,
        zero_point,
        axis,
    }))
}

fn operator<'a>(
    table: &Table<'a>,
    codes: &Tables<'a>,
    tensors: Range<usize>,
) -> Read<Operator<'a>> {
    let code = codes.get(table.u32(0)? as usize)?;
    let inputs = table.words(1)?.into_iter().map(|index| match index {
        -1 => Ok(None),
        index => known(index, &tensors).map(Some),
    });
    Ok(Operator {
        // Codes above 127 are in a field that older files do not have.
        code: i32::from(code.i8(0, 0)?).max(code.i32(3, 0)?),
        custom: code.text(1)?,
        inputs: inputs.collect::<Read<_>>()?,
        outputs: indices(table, 2, tensors.clone())?,
        options: table.table(4)?,
    })
}

/// The place of a graph's tensor among all.
fn known(index: i32, tensors: &Range<usize>) -> Read<usize> {
    let known = usize::try_from(index)
        .ok()
        .filter(|&index| index < tensors.len());
    let known = known.map(|index| tensors.start + index);
    known.ok_or_else(|| format!("there is no tensor {index}"))
}

fn indices(table: &Table<'_>, field: usize, tensors: Range<usize>) -> Read<Vec<usize>> {
    let words = table.words(field)?.into_iter();
    words.map(|index| known(index, &tensors)).collect()
}

/// The name of an operator in TensorFlow Lite.
pub(super) fn operator_name(operator: &Operator<'_>) -> String {
    if operator.code == CUSTOM {
        return format!("custom {}", operator.custom);
    }
    let index = usize::try_from(operator.code).ok();
    let name = index.and_then(|index| NAMES.split_whitespace().nth(index));
    name.map_or_else(|| format!("operator {}", operator.code), str::to_string)
}

/// The code of operators outside the standard set.
pub(super) const CUSTOM: i32 = 32;

/// The codes of operators that variables have.
pub(super) const CALL_ONCE: i32 = 129;
pub(super) const VAR_HANDLE: i32 = 142;
pub(super) const READ_VARIABLE: i32 = 143;
pub(super) const ASSIGN_VARIABLE: i32 = 144;

/// Names by code, from 0 on.
const NAMES: &str = "
    ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE
    EMBEDDING_LOOKUP FLOOR FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D
    LOCAL_RESPONSE_NORMALIZATION LOGISTIC LSH_PROJECTION LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1
    RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH SVDF TANH CONCAT_EMBEDDINGS SKIP_GRAM
    CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER BATCH_TO_SPACE_ND
    SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE
    BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM
    CAST PRELU MAXIMUM ARG_MAX MINIMUM LESS NEG PADV2 GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE
    SIN TRANSPOSE_CONV SPARSE_TO_DENSE TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT RSQRT SHAPE POW
    ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT UNPACK
    REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR
    LEAKY_RELU SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N GATHER_ND COS
    WHERE RANK ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE
    NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM
    BATCH_MATMUL PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG
    REAL COMPLEX_ABS HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL
    CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE BROADCAST_ARGS
    RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM MULTINOMIAL GELU DYNAMIC_UPDATE_SLICE
    RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_SUM ATAN2
    UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR RIGHT_SHIFT";

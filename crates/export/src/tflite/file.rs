//! The file itself: TensorFlow Lite's schema by its field numbers, in a FlatBuffer.

use flatbuffers::{FlatBufferBuilder, TableFinishedWIPOffset, VOffsetT, WIPOffset};

/// A tensor to be written.
#[derive(Clone, Debug)]
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) dims: Vec<usize>,
    /// The element type's code.
    pub(super) code: i8,
    pub(super) scales: Vec<f32>,
    pub(super) zero_point: i32,
    /// The axis along which scales differ.
    pub(super) axis: i32,
    pub(super) data: Option<Vec<u8>>,
}

/// An option of an operator.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    I8(usize, i8),
    I32(usize, i32),
    F32(usize, f32),
}

impl Field {
    pub(super) fn i8(number: usize, value: i8) -> Self {
        Field::I8(number, value)
    }

    pub(super) fn i32(number: usize, value: i32) -> Self {
        Field::I32(number, value)
    }

    pub(super) fn f32(number: usize, value: f32) -> Self {
        Field::F32(number, value)
    }
}

/// An operator to be written.
#[derive(Clone, Debug)]
pub(super) struct Operator {
    /// Its code, and that of its table of options.
    kind: [i32; 2],
    inputs: Vec<i32>,
    output: i32,
    fields: Vec<Field>,
}

impl Operator {
    pub(super) fn new(kind: [i32; 2], inputs: Vec<i32>, output: i32, fields: Vec<Field>) -> Self {
        Operator {
            kind,
            inputs,
            output,
            fields,
        }
    }
}

/// What is collected of a file.
#[derive(Debug, Default)]
pub(super) struct File {
    tensors: Vec<Tensor>,
    operators: Vec<Operator>,
}

type Finished = WIPOffset<TableFinishedWIPOffset>;
type Builder = FlatBufferBuilder<'static>;

/// The alignment in bytes that TensorFlow Lite asks for constants.
const ALIGNMENT: usize = 16;

/// The place of field `number` in a table.
fn slot(number: usize) -> VOffsetT {
    4 + 2 * number as VOffsetT
}

impl File {
    /// Adds a tensor and returns its index.
    pub(super) fn tensor(&mut self, tensor: Tensor) -> i32 {
        self.tensors.push(tensor);
        self.tensors.len() as i32 - 1
    }

    /// Adds an operator.
    pub(super) fn operator(&mut self, operator: Operator) {
        self.operators.push(operator);
    }

    /// The bytes of the file.
    pub(super) fn finish(&self, inputs: &[i32], outputs: &[i32], tool: &str) -> Vec<u8> {
        // A buffer is written from its end, so places are known from there: constants are aligned
        // in the file where its length is a multiple of the alignment. Zeros at the end make it one.
        let attempt = |zeros: usize| self.build(inputs, outputs, tool, zeros);
        let lengths = (0..ALIGNMENT).step_by(4).map(attempt);
        let mut files = lengths.filter(|bytes| bytes.len().is_multiple_of(ALIGNMENT));
        files.next().unwrap_or_else(|| attempt(0))
    }

    fn build(&self, inputs: &[i32], outputs: &[i32], tool: &str, zeros: usize) -> Vec<u8> {
        let mut builder = Builder::new();
        if zeros > 0 {
            builder.create_vector(&vec![0u8; zeros]);
        }
        // Buffer 0 is that of all tensors without elements.
        let empty = builder.start_table();
        let mut buffers = vec![builder.end_table(empty)];
        let mut tensors = Vec::new();
        for tensor in &self.tensors {
            let buffer = match &tensor.data {
                Some(data) => {
                    buffers.push(constant(&mut builder, data));
                    buffers.len() as u32 - 1
                }
                None => 0,
            };
            tensors.push(write_tensor(&mut builder, tensor, buffer));
        }
        let mut kinds: Vec<(i32, i32)> = self
            .operators
            .iter()
            .map(|operator| versioned(operator, &self.tensors))
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        let operators: Vec<Finished> = self
            .operators
            .iter()
            .map(|operator| {
                let kind = versioned(operator, &self.tensors);
                let index = kinds.iter().position(|&other| other == kind).unwrap_or(0);
                write_operator(&mut builder, operator, index as u32)
            })
            .collect();
        let codes: Vec<Finished> = kinds
            .iter()
            .map(|&(code, version)| write_code(&mut builder, code, version))
            .collect();
        let [tensors, operators, codes, buffers] =
            [tensors, operators, codes, buffers].map(|tables| builder.create_vector(&tables));
        let [inputs, outputs] = [inputs, outputs].map(|indices| builder.create_vector(indices));
        let name = builder.create_string("main");
        let graph = builder.start_table();
        builder.push_slot_always(slot(0), tensors);
        builder.push_slot_always(slot(1), inputs);
        builder.push_slot_always(slot(2), outputs);
        builder.push_slot_always(slot(3), operators);
        builder.push_slot_always(slot(4), name);
        let graph = builder.end_table(graph);
        let graphs = builder.create_vector(&[graph]);
        let description = builder.create_string(tool);
        let model = builder.start_table();
        builder.push_slot_always(slot(0), 3u32);
        builder.push_slot_always(slot(1), codes);
        builder.push_slot_always(slot(2), graphs);
        builder.push_slot_always(slot(3), description);
        builder.push_slot_always(slot(4), buffers);
        let model = builder.end_table(model);
        builder.finish(model, Some("TFL3"));
        builder.finished_data().to_vec()
    }
}

/// A buffer whose bytes lie at a multiple of the alignment from the end.
fn constant(builder: &mut Builder, data: &[u8]) -> Finished {
    let used = builder.unfinished_data().len();
    // The length of a vector takes four bytes and starts at a multiple of four.
    let used = used.next_multiple_of(4) + 4;
    let zeros = (ALIGNMENT - (used + data.len()) % ALIGNMENT) % ALIGNMENT;
    builder.create_vector(&vec![0u8; zeros]);
    let vector = builder.create_vector(data);
    let buffer = builder.start_table();
    builder.push_slot_always(slot(0), vector);
    builder.end_table(buffer)
}

fn write_tensor(builder: &mut Builder, tensor: &Tensor, buffer: u32) -> Finished {
    let name = builder.create_string(&tensor.name);
    let dims: Vec<i32> = tensor.dims.iter().map(|&size| size as i32).collect();
    let dims = builder.create_vector(&dims);
    let quantization = (!tensor.scales.is_empty()).then(|| {
        let scales = builder.create_vector(&tensor.scales);
        let zeros = vec![i64::from(tensor.zero_point); tensor.scales.len()];
        let zeros = builder.create_vector(&zeros);
        let table = builder.start_table();
        builder.push_slot_always(slot(2), scales);
        builder.push_slot_always(slot(3), zeros);
        builder.push_slot(slot(6), tensor.axis, 0);
        builder.end_table(table)
    });
    let table = builder.start_table();
    builder.push_slot_always(slot(0), dims);
    builder.push_slot(slot(1), tensor.code, 0);
    builder.push_slot(slot(2), buffer, 0);
    builder.push_slot_always(slot(3), name);
    if let Some(quantization) = quantization {
        builder.push_slot_always(slot(4), quantization);
    }
    builder.end_table(table)
}

fn write_operator(builder: &mut Builder, operator: &Operator, index: u32) -> Finished {
    let inputs = builder.create_vector(&operator.inputs);
    let outputs = builder.create_vector(&[operator.output]);
    let options = builder.start_table();
    for field in &operator.fields {
        match *field {
            Field::I8(number, value) => builder.push_slot(slot(number), value, 0),
            Field::I32(number, value) => builder.push_slot_always(slot(number), value),
            Field::F32(number, value) => builder.push_slot_always(slot(number), value),
        }
    }
    let options = builder.end_table(options);
    let table = builder.start_table();
    builder.push_slot(slot(0), index, 0);
    builder.push_slot_always(slot(1), inputs);
    builder.push_slot_always(slot(2), outputs);
    builder.push_slot_always(slot(3), operator.kind[1] as u8);
    builder.push_slot_always(slot(4), options);
    builder.end_table(table)
}

fn write_code(builder: &mut Builder, code: i32, version: i32) -> Finished {
    let table = builder.start_table();
    builder.push_slot(slot(0), code.min(127) as i8, 0);
    builder.push_slot_always(slot(2), version);
    builder.push_slot(slot(3), code, 0);
    builder.end_table(table)
}

/// An operator's code and the first version of it that has what is used.
fn versioned(operator: &Operator, tensors: &[Tensor]) -> (i32, i32) {
    let code = operator.kind[0];
    let of = |index: Option<&i32>| index.and_then(|&index| tensors.get(index as usize));
    let is_int8 = of(operator.inputs.first()).is_some_and(|tensor| tensor.code == 9);
    let is_per_channel = of(operator.inputs.get(1)).is_some_and(|t| t.scales.len() > 1);
    let version = match code {
        3 | 4 => 3,
        9 if is_per_channel => 12,
        9 => 4,
        // Pixels that are squares.
        23 => 3,
        22 => 1,
        114 if !is_int8 => 1,
        _ => 2,
    };
    (code, version)
}

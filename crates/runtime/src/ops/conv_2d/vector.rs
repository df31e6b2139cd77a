//! The product of a vector and a matrix: a fully connected layer of one row, read from its record without
//! what other convolutions need. On microcontrollers decoding all of it would take as long as a small
//! layer's products.

use super::decode_requantize;
use crate::Run;
use format::fixed::{Requantize, Rounding};
use format::{DType, Node, Params, Row};
use kernels::memory::{In, cells_as, slice_as};
use kernels::{Channels, VectorI8};

/// The window of a fully connected layer as its record has it: 1 x 1 without padding.
const WINDOW: [u8; 16] = [1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0];

/// Bytes of what follows: the number of groups, and how sums become outputs.
const RULE_BYTES: usize = 8;

/// A node that is such a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Vector {
    input: Row,
    output: Row,
    requantize: Requantize,
}

impl Vector {
    /// `None` for other convolutions.
    #[inline(always)]
    fn of(node: &Node<'_>) -> Option<Vector> {
        let mut params = node.params();
        let window: &[u8; WINDOW.len()] = params.array()?;
        let [1, 0, rule @ ..] = params.array::<RULE_BYTES>()? else { return None };
        // Compared as arrays, these would be a call of `memcmp`.
        let is_product = u128::from_le_bytes(*window) == u128::from_le_bytes(WINDOW);
        if !is_product {
            return None;
        }
        Some(Vector {
            input: node.row(0)?,
            output: node.row(node.input_count())?,
            requantize: decode_requantize(&mut Params::new(rule), DType::I8),
        })
    }
}

/// Runs a node of [`super::I8`] if it is such a product.
pub(super) fn run(run: &Run<'_>) -> Option<()> {
    let node = &run.node;
    let Vector {
        input,
        output,
        requantize,
    } = Vector::of(node)?;
    kernels::i8::vector(&VectorI8 {
        input: In::from_cells(cells_as(run.span(input.offset, input.elements))?),
        output: cells_as(run.span(output.offset, output.elements))?,
        weights: slice_as(node.constants_from(1))?,
        channels: match requantize.rounding {
            Rounding::High => Channels::High(slice_as(node.constants_from(2))?),
            _ => Channels::Wide(slice_as(node.constants_from(2))?),
        },
        requantize,
        binding: run.binding,
    });
    Some(())
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::*;
    use crate::host::{
        AlignedBytes, Data, Lowered, LoweredOperand, Operand, Operator, Quantization, Runner,
        tensor_record,
    };
    use crate::ops::Window2d;
    use crate::ops::conv_2d::{Conv2d, Convolution};
    use crate::ops::fully_connected::FullyConnected;
    use crate::{Model, Session};
    use core::cell::Cell;
    use format::meta::{Meta, Port};
    use format::{NodeRecord, Place, Shape, Writer};
    use kernels::{Binding, Threads};
    use std::vec;
    use std::vec::Vec;

    /// Where the output is.
    const OUTPUT: usize = 64;

    /// A file of one layer, whose input is at the start of the arena, with a change to its record.
    fn file(
        operator: &dyn Operator,
        input: &[u32],
        weights: &[u32],
        rounding: Rounding,
        change: fn(&mut Lowered),
    ) -> AlignedBytes {
        let count: u32 = weights.iter().product();
        let numbers = Data::I8((0..count).map(|i| (i * 37 % 255) as i8).collect());
        let [fine, coarse] = [0.01, 8.0].map(|scale| Quantization::per_tensor(scale, 0));
        let operand = |dtype, shape, quantization| Operand {
            dtype,
            shape,
            quantization: Some(quantization),
            data: None,
        };
        let x = operand(DType::I8, Shape::new(input).unwrap(), &coarse);
        let mut w = operand(DType::I8, Shape::new(weights).unwrap(), &fine);
        w.data = Some(&numbers);
        let (_, shape) = operator.infer(&[Some(x), Some(w)]).unwrap()[0];
        let y = operand(DType::I8, shape, &coarse);
        let mut lowered = operator.lower(&[Some(x), Some(w)], &[y], rounding).unwrap();
        change(&mut lowered);
        let mut writer = Writer::default();
        let mut tensor = |operand: &Operand<'_>, place, offset| {
            writer.tensor(&tensor_record(operand, place, offset)).unwrap()
        };
        let mut record = NodeRecord {
            code: lowered.code,
            inputs: vec![tensor(&x, Place::Arena, 0)],
            outputs: vec![tensor(&y, Place::Arena, OUTPUT as u32)],
            params: lowered.params,
            ..NodeRecord::default()
        };
        for operand in lowered.operands {
            let LoweredOperand::Constant { dtype, shape, bytes } = operand else { continue };
            let offset = writer.constant(&bytes, 16);
            let constant = Operand { dtype, shape, ..w };
            let constant = tensor_record(&constant, Place::Constant, offset);
            record.inputs.push(writer.tensor(&constant).unwrap());
        }
        writer.node(&record).unwrap();
        writer.ports(record.inputs[..1].to_vec(), record.outputs);
        let [inputs, outputs] = [(); 2].map(|()| vec![Port::default()]);
        let meta = Meta { inputs, outputs, ..Meta::default() };
        AlignedBytes::copy_of(&writer.finish(2 * OUTPUT as u32, 0, &meta).unwrap())
    }

    /// What is read of the layer, and all that there is to it.
    fn read(file: &AlignedBytes) -> (Option<Vector>, Convolution) {
        let node = Model::new(file.bytes()).unwrap().nodes().next().unwrap();
        (Vector::of(&node), Convolution::of(&node).unwrap())
    }

    fn layer(input: &[u32], rounding: Rounding) -> AlignedBytes {
        let inputs = *input.last().unwrap();
        file(&FullyConnected::default(), input, &[5, inputs], rounding, |_| ())
    }

    #[test]
    fn what_is_read_is_what_is_decoded() {
        let roundings = [Rounding::High, Rounding::Single, Rounding::Double];
        let inputs = [&[1, 33][..], &[33], &[1, 1, 1, 33]];
        let cases = roundings.into_iter().flat_map(|rounding| inputs.map(|input| (input, rounding)));
        for (input, rounding) in cases {
            let (vector, convolution) = read(&layer(input, rounding));
            assert_eq!(convolution.requantize.is_plain, rounding != Rounding::High);
            let row = |offset, elements| Row { offset, elements };
            assert_eq!(convolution.geometry.input, [1, 1, 33]);
            assert_eq!(convolution.geometry.output, [1, 1, 5]);
            let expected = Vector {
                input: row(0, 33),
                output: row(OUTPUT, 5),
                requantize: convolution.requantize,
            };
            assert_eq!(vector, Some(expected), "{input:?}");
        }
    }

    #[test]
    fn other_layers_are_left_alone() {
        assert_eq!(read(&layer(&[2, 9], Rounding::High)).0, None);
        assert_eq!(read(&layer(&[2, 1, 1, 9], Rounding::High)).0, None);
        // One pixel, in the corner of a larger window.
        let window = Window2d {
            padding: [1, 1, 0, 0],
            ..Window2d::dense([2, 2])
        };
        let conv = Conv2d {
            window,
            groups: 1,
            activation: Default::default(),
        };
        let corner = file(&conv, &[1, 1, 1, 9], &[5, 2, 2, 9], Rounding::High, |_| ());
        let (vector, convolution) = read(&corner);
        assert_eq!(convolution.geometry.output, [1, 1, 5]);
        assert_eq!(vector, None);
    }

    /// The last word of the last operand is the shift of a channel.
    #[test]
    fn records_that_are_not_as_the_file_says_are_refused() {
        let shifted = |change| {
            let layer = &FullyConnected::default();
            let file = file(layer, &[1, 9], &[5, 9], Rounding::Double, change);
            Runner::new(file.bytes()).map(|_| ())
        };
        assert!(shifted(|_| ()).is_ok());
        let change: fn(&mut Lowered) = |lowered| {
            if let Some(LoweredOperand::Constant { bytes, .. }) = lowered.operands.last_mut() {
                let end = bytes.len();
                bytes[end - 4..].copy_from_slice(&0i32.to_le_bytes());
            }
        };
        assert!(shifted(change).is_err());
    }

    #[test]
    fn answers_are_those_of_a_session() {
        let file = layer(&[1, 33], Rounding::High);
        let input: Vec<u8> = (0..33).map(|i| (i * 89 % 256) as u8).collect();
        let mut runner = Runner::new(file.bytes()).unwrap();
        let mut session: Session<'_> = runner.session().unwrap();
        session.set_input(0, &input).unwrap();
        session.run();
        let mut expected = [0; 5];
        session.output(0, &mut expected).unwrap();
        assert!(expected.iter().any(|value| *value != expected[0]));

        let mut arena = AlignedBytes::zeroed(2 * OUTPUT);
        arena.bytes_mut()[..33].copy_from_slice(&input);
        let node = Model::new(file.bytes()).unwrap().nodes().next().unwrap();
        let binding = Binding {
            prepared: &[],
            scratch: &[],
            threads: Threads::ALONE,
        };
        super::run(&Run {
            node,
            arena: Cell::from_mut(arena.bytes_mut()).as_slice_of_cells(),
            binding,
        })
        .unwrap();
        assert_eq!(arena.bytes()[OUTPUT..OUTPUT + 5], expected);
    }
}

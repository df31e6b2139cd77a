//! Puts a constant around a tensor.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | input | any | any | any |
//! | output | `before + size + after` per axis | the input's | the input's |
//!
//! Integer tensors are padded with the integer nearest to the real constant.

use super::walk::Walk;
use crate::{Op, Run};
use format::{MAX_RANK, Node};

/// Elements of any size.
pub static ANY: Op = Op::new(15, "pad", check, run);

fn before(node: &Node<'_>) -> ([u8; 8], [usize; MAX_RANK]) {
    let mut params = node.params();
    let mut value = [0; 8];
    value.iter_mut().for_each(|byte| *byte = params.u8());
    let mut before = [0; MAX_RANK];
    before.iter_mut().for_each(|amount| *amount = usize::from(params.u16()));
    (value, before)
}

fn check(node: &Node<'_>) -> Option<()> {
    let (input, output) = (node.input(0)?, node.output(0)?);
    let (_, before) = before(node);
    let fits = (0..input.shape.rank())
        .all(|axis| input.shape.dim(axis) + before[axis] <= output.shape.dim(axis));
    let alike = input.dtype == output.dtype && input.shape.rank() == output.shape.rank();
    (fits && alike).then_some(())
}

fn run(run: &Run<'_>) {
    let (Some(from), Some(to)) = (run.node.input(0), run.node.output(0)) else { return };
    let (value, before) = before(&run.node);
    let width = from.dtype.bytes();
    let output = run.output::<u8>(0);
    for element in output.chunks(width) {
        element.iter().zip(value).for_each(|(cell, byte)| cell.set(byte));
    }
    let rank = from.shape.rank();
    let mut walk = Walk { dims: [1; MAX_RANK], strides: [0; MAX_RANK], rank, start: 0 };
    let mut step = width;
    for axis in (0..rank).rev() {
        walk.dims[axis] = from.shape.dim(axis);
        walk.strides[axis] = step;
        walk.start += before[axis] * step;
        step *= to.shape.dim(axis);
    }
    let input = run.input::<u8>(0);
    let mut read = 0;
    walk.each(|at| {
        for (byte, cell) in output.get(at..at + width).unwrap_or(&[]).iter().enumerate() {
            cell.set(input.get(read + byte));
        }
        read += width;
    });
}

#[cfg(feature = "host")]
pub use host::Pad;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::fixed::{Rounding, quantize};
    use format::{DType, MAX_RANK, ParamsWriter, Shape};
    use std::string::String;
    use std::vec::Vec;

    /// Attributes of a padding.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Pad {
        /// Elements before each axis, then after each axis.
        pub amounts: Vec<[usize; 2]>,
        /// The real number put there.
        pub value: f32,
    }

    impl Operator for Pad {
        fn name(&self) -> &'static str {
            "pad"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let input = required(inputs, 0)?;
            if self.amounts.len() != input.shape.rank() {
                return Err(std::format!("{:?} does not pad {}", self.amounts, input.shape));
            }
            let sizes = input.shape.dims().iter().zip(&self.amounts);
            let dims: Vec<u32> =
                sizes.map(|(&size, [before, after])| size + (before + after) as u32).collect();
            Ok(std::vec![(input.dtype, Shape::new(&dims).ok_or("too many dimensions")?)])
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            let (input, output) = (required(inputs, 0)?, outputs.first().ok_or("no output")?);
            if input.quantization != output.quantization {
                return Err("a padded tensor keeps its input's scale and zero point".into());
            }
            let mut value = [0u8; 8];
            match input.dtype {
                DType::F32 => value[..4].copy_from_slice(&self.value.to_le_bytes()),
                DType::I8 if input.quantization.is_some() => {
                    let (scale, zero) = input.affine()?;
                    value[0] = quantize(self.value, scale, zero, -128, 127) as i8 as u8;
                }
                DType::I16 if input.quantization.is_some() => {
                    let (scale, zero) = input.affine()?;
                    let whole = quantize(self.value, scale, zero, -32_768, 32_767) as i16;
                    value[..2].copy_from_slice(&whole.to_le_bytes());
                }
                _ => value = (self.value as i64).to_le_bytes(),
            }
            let mut params = ParamsWriter::default();
            for byte in value {
                params.u8(byte);
            }
            for axis in 0..MAX_RANK {
                params.u16(self.amounts.get(axis).map_or(0, |a| a[0]) as u16);
            }
            let operands = std::vec![LoweredOperand::Input(0)];
            Ok(Lowered { code: super::ANY.code, operands, params: params.finish() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::Pad;
    use crate::host::{Data, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    #[test]
    fn a_frame_on_two_sides() {
        let shape = Shape::new(&[1, 2]).unwrap();
        let tensor = Tensor { shape, data: Data::F32(vec![1.0, 2.0]) };
        let pad = Pad { amounts: vec![[1, 0], [0, 1]], value: 9.0 };
        let outputs = evaluate(&pad, &[Some((tensor, None))], &[], Rounding::High).unwrap();
        assert_eq!(outputs[0].data, Data::F32(vec![9.0, 9.0, 9.0, 1.0, 2.0, 9.0]));
    }
}

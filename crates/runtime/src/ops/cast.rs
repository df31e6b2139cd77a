//! Conversion between element types.
//!
//! | operand | shape | types |
//! |---|---|---|
//! | input | any | f32; whole numbers; bool |
//! | output | the input's | f32; whole numbers; bool |
//!
//! Fractions are cut off, and floats outside a type's range become its nearest number, NaN 0. Whole
//! numbers outside the range keep their lower bits. Everything but zero is true.

use super::whole::is_whole;
use crate::{Op, Run};
use format::{DType, Node};

/// From any type to any other.
pub static ANY: Op = Op::new(53, "cast", check, run);

fn is_convertible(dtype: DType) -> bool {
    is_whole(dtype) || dtype == DType::F32
}

fn check(node: &Node<'_>) -> Option<()> {
    let (input, output) = (node.input(0)?, node.output(0)?);
    let types = is_convertible(input.dtype) && is_convertible(output.dtype);
    (types && input.shape.elements() == output.shape.elements()).then_some(())
}

/// An element on its way from one type to another.
#[derive(Clone, Copy)]
enum Number {
    Real(f32),
    Signed(i64),
    Unsigned(u64),
}

fn read(run: &Run<'_>, dtype: DType, index: usize) -> Number {
    match dtype {
        DType::F32 => Number::Real(run.input::<f32>(0).get(index)),
        DType::I8 => Number::Signed(run.input::<i8>(0).get(index).into()),
        DType::I16 => Number::Signed(run.input::<i16>(0).get(index).into()),
        DType::I32 => Number::Signed(run.input::<i32>(0).get(index).into()),
        DType::I64 => Number::Signed(run.input::<i64>(0).get(index)),
        DType::U16 => Number::Unsigned(run.input::<u16>(0).get(index).into()),
        DType::U32 => Number::Unsigned(run.input::<u32>(0).get(index).into()),
        DType::U64 => Number::Unsigned(run.input::<u64>(0).get(index)),
        _ => Number::Unsigned(run.input::<u8>(0).get(index).into()),
    }
}

macro_rules! write {
    ($run:expr, $type:ident, $index:expr, $number:expr) => {
        if let Some(cell) = $run.output::<$type>(0).get($index) {
            cell.set(match $number {
                Number::Real(value) => value as $type,
                Number::Signed(value) => value as $type,
                Number::Unsigned(value) => value as $type,
            });
        }
    };
}

fn write(run: &Run<'_>, dtype: DType, index: usize, number: Number) {
    match dtype {
        DType::F32 => write!(run, f32, index, number),
        DType::I8 => write!(run, i8, index, number),
        DType::I16 => write!(run, i16, index, number),
        DType::I32 => write!(run, i32, index, number),
        DType::I64 => write!(run, i64, index, number),
        DType::U16 => write!(run, u16, index, number),
        DType::U32 => write!(run, u32, index, number),
        DType::U64 => write!(run, u64, index, number),
        DType::U8 => write!(run, u8, index, number),
        _ => {
            let truth = match number {
                Number::Real(value) => value != 0.0,
                Number::Signed(value) => value != 0,
                Number::Unsigned(value) => value != 0,
            };
            write!(run, u8, index, Number::Unsigned(truth.into()));
        }
    }
}

fn run(run: &Run<'_>) {
    let (Some(from), Some(to)) = (run.node.input(0), run.node.output(0)) else { return };
    for index in 0..to.shape.elements() {
        write(run, to.dtype, index, read(run, from.dtype, index));
    }
}

#[cfg(feature = "host")]
pub use host::Cast;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::DType;
    use format::fixed::Rounding;
    use std::string::String;
    use std::vec::Vec;

    /// Attributes of a conversion.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Cast {
        /// The type of the output.
        pub to: DType,
    }

    impl Operator for Cast {
        fn name(&self) -> &'static str {
            "cast"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let input = required(inputs, 0)?;
            if !super::is_convertible(input.dtype) || !super::is_convertible(self.to) {
                return Err(std::format!("there is no cast from {} to {}", input.dtype, self.to));
            }
            Ok(std::vec![(self.to, input.shape)])
        }

        fn overlap(
            &self,
            _index: usize,
            inputs: &[Option<Operand<'_>>],
            output: &Operand<'_>,
        ) -> Option<usize> {
            let input = inputs.first()?.as_ref()?;
            // In ascending order, where outputs are no wider than inputs.
            (output.dtype.bytes() <= input.dtype.bytes()).then_some(0)
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            _outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            if required(inputs, 0)?.quantization.is_some() {
                return Err("quantized numbers are dequantized, not cast".into());
            }
            let operands = std::vec![LoweredOperand::Input(0)];
            Ok(Lowered { code: super::ANY.code, operands, params: Vec::new() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::Cast;
    use crate::host::{Data, Tensor, evaluate};
    use format::fixed::Rounding;
    use format::{DType, Shape};
    use std::vec;

    fn cast(data: Data, to: DType) -> Data {
        let shape = Shape::new(&[data.len() as u32]).unwrap();
        let input = [Some((Tensor { shape, data }, None))];
        evaluate(&Cast { to }, &input, &[], Rounding::High).unwrap().remove(0).data
    }

    #[test]
    fn floats_are_cut_and_clamped() {
        let floats = Data::F32(vec![-1.9, 2.9, 300.0, f32::NAN]);
        assert_eq!(cast(floats.clone(), DType::I8), Data::I8(vec![-1, 2, 127, 0]));
        assert_eq!(cast(floats.clone(), DType::U8), Data::U8(vec![0, 2, 255, 0]));
        assert_eq!(cast(floats, DType::Bool), Data::Bool(vec![1; 4]));
    }

    #[test]
    fn whole_numbers_keep_their_lower_bits() {
        let wide = Data::I64(vec![-1, 257]);
        assert_eq!(cast(wide.clone(), DType::U8), Data::U8(vec![255, 1]));
        assert_eq!(cast(wide.clone(), DType::U64), Data::U64(vec![u64::MAX, 257]));
        assert_eq!(cast(wide, DType::F32), Data::F32(vec![-1.0, 257.0]));
        let natural = Data::U64(vec![u64::MAX]);
        assert_eq!(cast(natural, DType::F32), Data::F32(vec![18_446_744_073_709_551_616.0]));
        assert_eq!(cast(Data::Bool(vec![0, 1]), DType::I16), Data::I16(vec![0, 1]));
    }
}

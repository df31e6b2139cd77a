//! Sum, product, largest or smallest over neighbouring axes: `out[o, i] = fold over s of
//! in[o, s, i]`, where the axes before are `o`, those that go are `s`, and those behind are `i`.
//! The mean has an operator of its own: see [`super::mean`].
//!
//! | operand | shape | types |
//! |---|---|---|
//! | input | any | f32 |
//! | output | the axes that go are 1 | f32 |

use super::mean::geometry;
use crate::{Op, Run};
use format::{DType, Node};

/// Float in, float out.
pub static F32: Op = Op::new(25, "reduce_f32", check, run);

/// A fold of two numbers and what it starts with.
type Fold = (f32, fn(f32, f32) -> f32);

fn function(code: u8) -> Option<Fold> {
    Some(match code {
        0 => (0.0, |a, b| a + b),
        1 => (1.0, |a, b| a * b),
        2 => (f32::NEG_INFINITY, |a, b| if a.is_nan() || b <= a { a } else { b }),
        3 => (f32::INFINITY, |a, b| if a.is_nan() || b >= a { a } else { b }),
        _ => return None,
    })
}

fn check(node: &Node<'_>) -> Option<()> {
    let mut params = node.params();
    let [outer, size, inner] = geometry(node, &mut params)?;
    function(params.u8())?;
    let (input, output) = (node.input(0)?, node.output(0)?);
    let types = input.dtype == DType::F32 && output.dtype == DType::F32;
    let whole = output.shape.elements() == outer.checked_mul(inner)?;
    (types && whole && size > 0).then_some(())
}

fn run(run: &Run<'_>) {
    let mut params = run.node.params();
    let Some([_, size, inner]) = geometry(&run.node, &mut params) else { return };
    let Some((first, fold)) = function(params.u8()) else { return };
    let (input, output) = (run.input::<f32>(0), run.output::<f32>(0));
    for (i, cell) in output.iter().enumerate() {
        let start = i / inner.max(1) * size * inner + i % inner.max(1);
        cell.set((0..size).map(|s| input.get(start + s * inner)).fold(first, fold));
    }
}

#[cfg(feature = "host")]
pub use host::{Function, Reduce};

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use crate::ops::mean::{Mean, parts};
    use format::fixed::Rounding;
    use format::{DType, ParamsWriter};
    use std::string::String;
    use std::vec::Vec;

    /// How numbers become one.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[repr(u8)]
    pub enum Function {
        /// Their sum.
        Sum = 0,
        /// Their product.
        Product = 1,
        /// The largest; NaN if one is.
        Max = 2,
        /// The smallest; NaN if one is.
        Min = 3,
    }

    /// Attributes of a reduction.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Reduce {
        /// The function.
        pub function: Function,
        /// The first axis that goes.
        pub first: usize,
        /// The last one.
        pub last: usize,
    }

    impl Operator for Reduce {
        fn name(&self) -> &'static str {
            match self.function {
                Function::Sum => "reduce_sum",
                Function::Product => "reduce_product",
                Function::Max => "reduce_max",
                Function::Min => "reduce_min",
            }
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            Mean { first: self.first, last: self.last }.infer(inputs)
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            let (input, output) = (required(inputs, 0)?, outputs.first().ok_or("no output")?);
            if (input.dtype, output.dtype) != (DType::F32, DType::F32) {
                return Err(std::format!("there is no {} of {}", self.name(), input.dtype));
            }
            let [_, size, _] = parts(&input.shape, self.first, self.last);
            if size == 0 {
                return Err("there is nothing to reduce".into());
            }
            let mut params = ParamsWriter::default();
            params.u8(self.first as u8).u8(self.last as u8).u16(0).u8(self.function as u8);
            let operands = std::vec![LoweredOperand::Input(0)];
            Ok(Lowered { code: super::F32.code, operands, params: params.finish() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::{Function, Reduce};
    use crate::host::{Data, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    #[test]
    fn columns_of_a_matrix() {
        let shape = Shape::new(&[2, 3]).unwrap();
        let data = Data::F32(vec![1.0, f32::NAN, -3.0, 4.0, 5.0, 6.0]);
        let reduced = |function| {
            let input = [Some((Tensor { shape, data: data.clone() }, None))];
            let reduce = Reduce { function, first: 0, last: 0 };
            let output = evaluate(&reduce, &input, &[], Rounding::High).unwrap().remove(0);
            assert_eq!(output.shape, Shape::new(&[1, 3]).unwrap());
            let Data::F32(values) = output.data else { panic!("floats stay floats") };
            assert!(values[1].is_nan());
            [values[0], values[2]]
        };
        assert_eq!(reduced(Function::Sum), [5.0, 3.0]);
        assert_eq!(reduced(Function::Product), [4.0, -18.0]);
        assert_eq!(reduced(Function::Max), [4.0, 6.0]);
        assert_eq!(reduced(Function::Min), [1.0, -3.0]);
    }
}

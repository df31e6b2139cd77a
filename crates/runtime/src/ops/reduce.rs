//! Sum, product, largest or smallest over neighbouring axes: `out[o, i] = fold over s of
//! in[o, s, i]`, where the axes before are `o`, those that go are `s`, and those behind are `i`.
//! The mean has an operator of its own: see [`super::mean`].
//!
//! | operand | shape | types |
//! |---|---|---|
//! | input | any | f32; whole numbers; bool but for sums and products |
//! | output | the axes that go are 1 | the input's |
//!
//! Sums and products of whole numbers wrap in their type. Of quantized tensors extremes keep scale and
//! zero point, sums are means with another multiplier, and products are [`PRODUCT_I8`] and [`PRODUCT_I16`].

use super::mean::geometry;
use super::product;
use super::whole::{Whole, is_whole, with_whole};
use crate::{Op, Run};
use format::{DType, Node};

/// Products of int8.
pub static PRODUCT_I8: Op =
    Op::new(149, "reduce_product", |node| product::check(node, DType::I8), product::run::<i8>);

/// Products of int16.
pub static PRODUCT_I16: Op =
    Op::new(150, "reduce_product_i16", |node| product::check(node, DType::I16), product::run::<i16>);

/// Float in, float out.
pub static F32: Op =
    Op::new(25, "reduce_f32", |node| check(node, |dtype| dtype == DType::F32), run);

/// Whole numbers and truth values.
pub static WHOLE: Op = Op::new(54, "reduce_whole", check_whole, run_whole);

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

/// The same over whole numbers: what [`super::whole`] calls the function.
fn whole_function(code: u8) -> Option<u8> {
    [0, 2, 5, 4].get(usize::from(code)).copied()
}

fn check_whole(node: &Node<'_>) -> Option<()> {
    check(node, is_whole)?;
    let mut params = node.params();
    geometry(node, &mut params)?;
    let truth = node.input(0)?.dtype == DType::Bool;
    (!truth || params.u8() >= 2).then_some(())
}

fn run_whole(run: &Run<'_>) {
    let mut params = run.node.params();
    let Some([_, size, inner]) = geometry(&run.node, &mut params) else { return };
    let Some(function) = whole_function(params.u8()) else { return };
    let Some(dtype) = run.node.input(0).map(|input| input.dtype) else { return };
    fn each<T: Whole>(run: &Run<'_>, size: usize, inner: usize, function: u8) {
        let input = run.input::<T>(0);
        for (i, cell) in run.output::<T>(0).iter().enumerate() {
            let start = i / inner.max(1) * size * inner + i % inner.max(1);
            let rest = (1..size).map(|s| input.get(start + s * inner));
            cell.set(rest.fold(input.get(start), |a, b| T::combine(function, a, b)));
        }
    }
    with_whole!(dtype, each(run, size, inner, function), ());
}

fn check(node: &Node<'_>, is_known: fn(DType) -> bool) -> Option<()> {
    let mut params = node.params();
    let [outer, size, inner] = geometry(node, &mut params)?;
    function(params.u8())?;
    let (input, output) = (node.input(0)?, node.output(0)?);
    let types = input.dtype == output.dtype && is_known(input.dtype);
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
            rounding: Rounding,
        ) -> Result<Lowered, String> {
            let (input, output) = (required(inputs, 0)?, outputs.first().ok_or("no output")?);
            let counts = matches!(self.function, Function::Sum | Function::Product);
            let quantized = input.quantization.is_some();
            if quantized && self.function == Function::Sum {
                let over = Mean { first: self.first, last: self.last };
                return over.lower_integers(input, output, rounding, false);
            }
            if quantized && self.function == Function::Product {
                return self.lower_product(input, output);
            }
            let code = match (input.dtype, output.dtype) {
                (DType::F32, DType::F32) => super::F32.code,
                (DType::Bool, _) if counts => {
                    return Err(std::format!("there is no {} of bool", self.name()));
                }
                (from, to) if from == to && super::is_whole(from) => {
                    if input.quantization != output.quantization {
                        return Err("an extreme keeps its input's scale and zero point".into());
                    }
                    super::WHOLE.code
                }
                (from, _) => return Err(std::format!("there is no {} of {from}", self.name())),
            };
            let [_, size, _] = parts(&input.shape, self.first, self.last);
            if size == 0 {
                return Err("there is nothing to reduce".into());
            }
            let mut params = ParamsWriter::default();
            params.u8(self.first as u8).u8(self.last as u8).u16(0).u8(self.function as u8);
            let operands = std::vec![LoweredOperand::Input(0)];
            Ok(Lowered { code, operands, params: params.finish() })
        }
    }

    impl Reduce {
        fn lower_product(&self, input: &Operand<'_>, output: &Operand<'_>) -> Result<Lowered, String> {
            let code = match [input.dtype, output.dtype] {
                [DType::I8, DType::I8] => super::PRODUCT_I8.code,
                [DType::I16, DType::I16] => super::PRODUCT_I16.code,
                [from, to] => return Err(std::format!("there is no product from {from} to {to}")),
            };
            let ((from, _), (to, _)) = (input.affine()?, output.affine()?);
            let [_, size, _] = parts(&input.shape, self.first, self.last);
            let (multiplier, exponent) = crate::ops::product::factor(from, size, to);
            let mut params = ParamsWriter::default();
            params.u8(self.first as u8).u8(self.last as u8).u16(0);
            params.i32(multiplier).i32(exponent);
            let operands = std::vec![LoweredOperand::Input(0)];
            Ok(Lowered { code, operands, params: params.finish() })
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
    fn whole_numbers_wrap_in_their_type() {
        let shape = Shape::new(&[3]).unwrap();
        let reduced = |function, data: Data| {
            let input = [Some((Tensor { shape, data }, None))];
            let reduce = Reduce { function, first: 0, last: 0 };
            evaluate(&reduce, &input, &[], Rounding::High).map(|mut outputs| outputs.remove(0).data)
        };
        let bytes = || Data::I8(vec![100, 2, 50]);
        assert_eq!(reduced(Function::Sum, bytes()), Ok(Data::I8(vec![-104])));
        assert_eq!(reduced(Function::Max, bytes()), Ok(Data::I8(vec![100])));
        let truths = || Data::Bool(vec![1, 0, 1]);
        assert_eq!(reduced(Function::Min, truths()), Ok(Data::Bool(vec![0])));
        assert!(reduced(Function::Sum, truths()).is_err());
        let wide = Data::I64(vec![1 << 40, 3, 5]);
        assert_eq!(reduced(Function::Product, wide), Ok(Data::I64(vec![15 << 40])));
    }

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

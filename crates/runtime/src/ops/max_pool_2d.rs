//! Largest element of each window.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | input | `[N, H, W, C]` | int8, int16, f32 | per tensor |
//! | output | `[N, OH, OW, C]` | as the input | the input's |
//!
//! Padding never wins: a window that lies in the padding altogether gives the smallest value.

use super::average_pool_2d::{check, run_pool, run_pool_f32};
use crate::{Op, Run};
use format::DType;

/// int8 in, int8 out.
pub static I8: Op = Op::new(7, "max_pool_2d", |node| check(node, DType::I8), run_i8);

/// int16 in, int16 out.
pub static I16: Op = Op::new(133, "max_pool_2d_i16", |node| check(node, DType::I16), run_i16);

/// Float in, float out.
pub static F32: Op = Op::new(8, "max_pool_2d_f32", |node| check(node, DType::F32), run_f32);

fn run_i8(run: &Run<'_>) {
    run_pool(run, kernels::i8::max_pool_2d, super::limits_i8);
}

fn run_i16(run: &Run<'_>) {
    run_pool(run, kernels::i16::max_pool_2d, super::limits_i16);
}

fn run_f32(run: &Run<'_>) {
    run_pool_f32(run, f32::NEG_INFINITY, f32::max, |largest, _| largest);
}

#[cfg(feature = "host")]
pub use host::MaxPool2d;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Activation, Inferred, Lowered, Operand, Operator, required};
    use crate::ops::Window2d;
    use crate::ops::average_pool_2d::host::{infer_pool, lower_pool};
    use format::fixed::Rounding;
    use std::string::String;
    use std::vec::Vec;

    /// Attributes of a max pool.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct MaxPool2d {
        /// The sliding window.
        pub window: Window2d,
        /// Fused activation.
        pub activation: Activation,
    }

    impl Operator for MaxPool2d {
        fn name(&self) -> &'static str {
            "max_pool_2d"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            infer_pool(&self.window, inputs)
        }

        fn overlap(
            &self,
            index: usize,
            inputs: &[Option<Operand<'_>>],
            output: &Operand<'_>,
        ) -> Option<usize> {
            let input = required(inputs, 0).ok().filter(|_| index == 0)?;
            self.window.overlap(input, output)
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            let codes = [super::I8.code, super::I16.code, super::F32.code];
            let input = required(inputs, 0)?;
            lower_pool(&self.window, input, outputs, self.activation, false, codes)
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::MaxPool2d;
    use crate::host::{Activation, Data, Tensor, evaluate};
    use crate::ops::Window2d;
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    #[test]
    fn the_largest_of_each_window() {
        let shape = Shape::new(&[1, 2, 2, 1]).unwrap();
        let data = Data::F32(vec![-1.0, -2.0, -3.0, -4.0]);
        let window = Window2d { padding: [1, 0, 0, 0], ..Window2d::dense([2, 2]) };
        let pool = MaxPool2d { window, activation: Activation::None };
        let input = [Some((Tensor { shape, data }, None))];
        let outputs = evaluate(&pool, &input, &[], Rounding::High).unwrap();
        assert_eq!(outputs[0].data, Data::F32(vec![-1.0, -1.0]));
    }
}

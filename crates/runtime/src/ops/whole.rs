//! Element-wise operators of two tensors of whole numbers or of truth values, computed in their own
//! type: what does not fit wraps round, and division by zero gives 0.
//!
//! | operand | shape | types |
//! |---|---|---|
//! | a, b | broadcast as in ONNX | signed and unsigned, 8 to 64 bits; bool as 0 and 1 |
//! | output | the broadcast shape | the inputs' |

use super::broadcast::{Places, broadcast};
use crate::{Op, Run};
use core::cell::Cell;
use format::{DType, Node};
use kernels::memory::{In, Plain};

/// Any type of whole numbers.
pub static ANY: Op = Op::new(50, "whole", check, run);

/// Whole numbers of one width. The numbers of the functions are those of [`Function`].
pub(crate) trait Whole: Plain + Default {
    /// `function(a, b)`.
    fn combine(function: u8, a: Self, b: Self) -> Self;
}

/// The number of functions.
pub(crate) const FUNCTIONS: u8 = 14;

macro_rules! whole {
    ($($type:ident)*) => {
        $(impl Whole for $type {
            #[allow(unused_comparisons)]
            fn combine(function: u8, a: $type, b: $type) -> $type {
                match function {
                    0 => a.wrapping_add(b),
                    1 => a.wrapping_sub(b),
                    2 => a.wrapping_mul(b),
                    3 if b == 0 => 0,
                    3 => a.wrapping_div(b),
                    4 => a.min(b),
                    5 => a.max(b),
                    6 => power(a, b),
                    7 | 8 if b == 0 => 0,
                    7 => a.wrapping_rem(b),
                    8 => {
                        let rest = a.wrapping_rem(b);
                        if rest != 0 && (rest < 0) != (b < 0) { rest.wrapping_add(b) } else { rest }
                    }
                    9 => a & b,
                    10 => a | b,
                    11 => a ^ b,
                    // Shifts by the width or more leave nothing.
                    12 => u32::try_from(b).ok().and_then(|b| a.checked_shl(b)).unwrap_or(0),
                    _ => u32::try_from(b).ok().and_then(|b| a.checked_shr(b)).unwrap_or(0),
                }
            }
        })*
    };
}

whole!(i8 u8 i16 u16 i32 u32 i64 u64);

/// `a` to the power of `b`, cut to a whole number.
fn power<T: Number>(a: T, b: T) -> T {
    let (mut result, mut factor) = (T::ONE, a);
    let Some(mut exponent) = b.natural() else {
        // Only 1 and -1 have a reciprocal that is no fraction.
        return match a {
            _ if a == T::ONE => T::ONE,
            _ if a.times(a) == T::ONE && b.is_odd() => a,
            _ if a.times(a) == T::ONE => T::ONE,
            _ => T::default(),
        };
    };
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result.times(factor);
        }
        factor = factor.times(factor);
        exponent >>= 1;
    }
    result
}

/// What powers need of a number.
trait Number: Copy + Default + PartialEq {
    const ONE: Self;
    fn times(self, other: Self) -> Self;
    fn natural(self) -> Option<u64>;
    fn is_odd(self) -> bool;
}

macro_rules! number {
    ($($type:ident)*) => {
        $(impl Number for $type {
            const ONE: $type = 1;
            fn times(self, other: $type) -> $type {
                self.wrapping_mul(other)
            }
            fn natural(self) -> Option<u64> {
                u64::try_from(self).ok()
            }
            fn is_odd(self) -> bool {
                self & 1 == 1
            }
        })*
    };
}

number!(i8 u8 i16 u16 i32 u32 i64 u64);

/// Calls a generic function with the Rust type of whole numbers; truth values are bytes.
macro_rules! with_whole {
    ($dtype:expr, $call:ident ( $($argument:expr),* ), $otherwise:expr) => {
        match $dtype {
            format::DType::I8 => $call::<i8>($($argument),*),
            format::DType::U8 | format::DType::Bool => $call::<u8>($($argument),*),
            format::DType::I16 => $call::<i16>($($argument),*),
            format::DType::U16 => $call::<u16>($($argument),*),
            format::DType::I32 => $call::<i32>($($argument),*),
            format::DType::U32 => $call::<u32>($($argument),*),
            format::DType::I64 => $call::<i64>($($argument),*),
            format::DType::U64 => $call::<u64>($($argument),*),
            _ => $otherwise,
        }
    };
}
pub(crate) use with_whole;

/// Whether a type is one of whole numbers or truth values.
pub(crate) fn is_whole(dtype: DType) -> bool {
    fn yes<T: Whole>() -> bool {
        true
    }
    with_whole!(dtype, yes(), false)
}

/// Whether truth values stay 0 or 1: the smaller, the larger, and the logical functions.
fn keeps_truth(function: u8) -> bool {
    matches!(function, 4 | 5 | 9..=11)
}

fn check(node: &Node<'_>) -> Option<()> {
    let (a, b, output) = (node.input(0)?, node.input(1)?, node.output(0)?);
    let function = node.params().u8();
    let types = [a.dtype, b.dtype] == [output.dtype; 2] && is_whole(output.dtype);
    let known = function < FUNCTIONS && (output.dtype != DType::Bool || keeps_truth(function));
    let shape = broadcast(&a.shape, &b.shape)?;
    (types && known && shape == output.shape).then_some(())
}

fn run(run: &Run<'_>) {
    let (Some(a), Some(b), Some(to)) = (run.node.input(0), run.node.input(1), run.node.output(0))
    else {
        return;
    };
    let function = run.node.params().u8();
    let places = Places::new([&a.shape, &b.shape], to.shape);
    fn each<T: Whole>(run: &Run<'_>, function: u8, places: Places<2>) {
        combine::<T>(run.input(0), run.input(1), run.output(0), function, places);
    }
    with_whole!(to.dtype, each(run, function, places), ());
}

fn combine<T: Whole>(
    a: In<'_, T>,
    b: In<'_, T>,
    output: &[Cell<T>],
    function: u8,
    mut places: Places<2>,
) {
    for cell in output {
        let [x, y] = places.advance();
        cell.set(T::combine(function, a.get(x), b.get(y)));
    }
}

#[cfg(feature = "host")]
pub use host::{Function, WholeNumbers};

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use crate::ops::broadcast;
    use format::fixed::Rounding;
    use format::{DType, ParamsWriter};
    use std::string::String;
    use std::vec::Vec;

    /// Which function of two whole numbers.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[repr(u8)]
    pub enum Function {
        /// `a + b`.
        Add = 0,
        /// `a - b`.
        Sub = 1,
        /// `a * b`.
        Mul = 2,
        /// `a / b`, cut towards zero.
        Div = 3,
        /// The smaller.
        Min = 4,
        /// The larger.
        Max = 5,
        /// `a` to the power of `b`.
        Pow = 6,
        /// What is left of `a / b`, with the sign of `a`.
        Remainder = 7,
        /// What is left of `a / b`, with the sign of `b`.
        Modulo = 8,
        /// Bits that both have.
        And = 9,
        /// Bits that either has.
        Or = 10,
        /// Bits that only one has.
        Xor = 11,
        /// The bits of `a`, `b` places higher.
        ShiftLeft = 12,
        /// The bits of `a`, `b` places lower.
        ShiftRight = 13,
    }

    /// Attributes of an element-wise operator of whole numbers.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct WholeNumbers {
        /// The function.
        pub function: Function,
    }

    impl Operator for WholeNumbers {
        fn name(&self) -> &'static str {
            match self.function {
                Function::Add => "whole_add",
                Function::Sub => "whole_sub",
                Function::Mul => "whole_mul",
                Function::Div => "whole_div",
                Function::Min => "whole_min",
                Function::Max => "whole_max",
                Function::Pow => "whole_pow",
                Function::Remainder => "whole_remainder",
                Function::Modulo => "whole_modulo",
                Function::And => "and",
                Function::Or => "or",
                Function::Xor => "xor",
                Function::ShiftLeft => "shift_left",
                Function::ShiftRight => "shift_right",
            }
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let (a, b) = (required(inputs, 0)?, required(inputs, 1)?);
            if a.dtype != b.dtype || !super::is_whole(a.dtype) {
                return Err(std::format!("there is no {} of {} and {}", self.name(), a.dtype, b.dtype));
            }
            if a.dtype == DType::Bool && !super::keeps_truth(self.function as u8) {
                return Err(std::format!("there is no {} of bool", self.name()));
            }
            let shape = broadcast::infer(&a.shape, &b.shape)?;
            Ok(std::vec![(a.dtype, shape)])
        }

        fn overlap(
            &self,
            index: usize,
            inputs: &[Option<Operand<'_>>],
            output: &Operand<'_>,
        ) -> Option<usize> {
            let input = inputs.get(index)?.as_ref()?;
            // Element by element in ascending order: in place, where nothing is stretched.
            (input.shape == output.shape).then_some(0)
        }

        fn lower(
            &self,
            _inputs: &[Option<Operand<'_>>],
            _outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            let mut params = ParamsWriter::default();
            params.u8(self.function as u8);
            let operands = std::vec![LoweredOperand::Input(0), LoweredOperand::Input(1)];
            Ok(Lowered { code: super::ANY.code, operands, params: params.finish() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::{Function, WholeNumbers};
    use crate::host::{Data, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::string::String;
    use std::vec;

    fn of(function: Function, a: Data, b: Data) -> Result<Data, String> {
        let tensor = |data: Data| {
            let shape = Shape::new(&[data.len() as u32]).unwrap();
            Some((Tensor { shape, data }, None))
        };
        let inputs = [tensor(a), tensor(b)];
        let mut outputs = evaluate(&WholeNumbers { function }, &inputs, &[], Rounding::High)?;
        Ok(outputs.remove(0).data)
    }

    #[test]
    fn results_wrap_in_their_own_type() {
        let bytes = |function| of(function, Data::U8(vec![200, 7]), Data::U8(vec![100, 2])).unwrap();
        assert_eq!(bytes(Function::Add), Data::U8(vec![44, 9]));
        assert_eq!(bytes(Function::Sub), Data::U8(vec![100, 5]));
        assert_eq!(bytes(Function::Mul), Data::U8(vec![32, 14]));
        assert_eq!(bytes(Function::Pow), Data::U8(vec![0, 49]));
        assert_eq!(bytes(Function::ShiftLeft), Data::U8(vec![0, 28]));
        let wide = of(Function::Max, Data::U64(vec![u64::MAX]), Data::U64(vec![1]));
        assert_eq!(wide.unwrap(), Data::U64(vec![u64::MAX]));
    }

    #[test]
    fn division_cuts_and_remainders_have_signs() {
        let of = |function| {
            let (a, b) = (vec![7, -7, 7, -7, 5, i32::MIN], vec![2, 2, -2, -2, 0, -1]);
            of(function, Data::I32(a), Data::I32(b)).unwrap()
        };
        assert_eq!(of(Function::Div), Data::I32(vec![3, -3, -3, 3, 0, i32::MIN]));
        assert_eq!(of(Function::Remainder), Data::I32(vec![1, -1, 1, -1, 0, 0]));
        assert_eq!(of(Function::Modulo), Data::I32(vec![1, 1, -1, -1, 0, 0]));
    }

    #[test]
    fn powers_of_negative_exponents_are_cut() {
        let of = of(Function::Pow, Data::I64(vec![2, 1, -1, -1]), Data::I64(vec![-1, -5, -3, -2]));
        assert_eq!(of.unwrap(), Data::I64(vec![0, 1, -1, 1]));
    }

    #[test]
    fn truth_values_have_logic_but_no_sum() {
        let of = |function| of(function, Data::Bool(vec![1, 1, 0]), Data::Bool(vec![1, 0, 0]));
        assert_eq!(of(Function::And), Ok(Data::Bool(vec![1, 0, 0])));
        assert_eq!(of(Function::Xor), Ok(Data::Bool(vec![0, 1, 0])));
        assert!(of(Function::Add).unwrap_err().contains("of bool"));
    }
}

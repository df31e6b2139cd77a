//! Steps over items of any element type: floats and whole numbers have operators of their own.

use super::call::{Call, Item, Refusal, sizes, to_shape};
use super::constant::{from_i64, to_f32};
use graph::DType;
use runtime::host::{Activation, Tensor};
use runtime::ops::binary::{Binary, Function};
use runtime::ops::cast::Cast;
use runtime::ops::choose::Choose;
use runtime::ops::compare::{Compare, Relation};
use runtime::ops::whole::{Function as Whole, WholeNumbers};

/// What whole numbers call a function; `None` where they have none.
fn whole(function: Function) -> Option<Whole> {
    Some(match function {
        Function::Add => Whole::Add,
        Function::Sub => Whole::Sub,
        Function::Mul => Whole::Mul,
        Function::Div => Whole::Div,
        Function::Min => Whole::Min,
        Function::Max => Whole::Max,
        Function::Pow => Whole::Pow,
        Function::Remainder => Whole::Remainder,
        Function::SquaredDifference => return None,
    })
}

impl Call<'_> {
    /// `function(a, b)`, in floats or in whole numbers.
    pub(super) fn arithmetic(
        &mut self,
        function: Function,
        a: Item,
        b: Item,
    ) -> Result<Item, Refusal> {
        if self.dtype(a) != DType::F32 {
            let known = whole(function).ok_or("whole numbers have no such function")?;
            return self.whole(known, a, b);
        }
        let activation = Activation::None;
        self.push(
            Binary {
                function,
                activation,
            },
            &[a, b],
        )
    }

    /// `function(a, b)` of whole numbers or truth values.
    pub(super) fn whole(&mut self, function: Whole, a: Item, b: Item) -> Result<Item, Refusal> {
        let divides = matches!(function, Whole::Div | Whole::Remainder | Whole::Modulo);
        let is_zero = |bytes: &[u8]| bytes.iter().all(|&byte| byte == 0);
        if let Some(divisor) = self.tensor(b).filter(|_| divides) {
            let width = divisor.data.dtype().bytes();
            if divisor.data.bytes().chunks(width).any(is_zero) {
                return Err("whole numbers are divided by zero".into());
            }
        }
        self.push(WholeNumbers { function }, &[a, b])
    }

    /// Whether `relation` holds between elements.
    pub(super) fn compare(
        &mut self,
        relation: Relation,
        a: Item,
        b: Item,
    ) -> Result<Item, Refusal> {
        self.push(Compare { relation }, &[a, b])
    }

    /// `a` where the condition holds, `b` elsewhere.
    pub(super) fn choose(&mut self, condition: Item, a: Item, b: Item) -> Result<Item, Refusal> {
        self.push(Choose, &[condition, a, b])
    }

    /// The elements in another type.
    pub(super) fn cast(&mut self, x: Item, to: DType) -> Result<Item, Refusal> {
        match self.dtype(x) == to {
            true => Ok(x),
            false => self.push(Cast { to }, &[x]),
        }
    }

    /// A single number of a type that holds it.
    pub(super) fn number(&mut self, dtype: DType, value: i64) -> Result<Item, Refusal> {
        let data = from_i64(dtype, &[value])?;
        let shape = to_shape(&[])?;
        Ok(self.rearranged(self.name.clone(), Tensor { shape, data }))
    }

    /// Operands of old versions of the operator set: the second stands at the attribute `axis` of
    /// the first.
    pub(super) fn aligned(&mut self, a: Item, b: Item) -> Result<Item, Refusal> {
        if self.opset >= 7 || !self.attributes.has("axis") {
            return Ok(b);
        }
        let rank = self.shape(a).rank();
        let axis = self.axis(self.attributes.int("axis", 0)?, rank)?;
        let mut dims = sizes(&self.shape(b));
        if axis + dims.len() > rank {
            return Err(format!("{} at axis {axis} exceeds {rank} axes", self.shape(b)).into());
        }
        dims.resize(rank - axis, 1);
        self.reshape(b, &dims)
    }

    /// The number that a constant operand with one element has.
    pub(super) fn scalar(&self, index: usize, what: &str) -> Result<Option<f32>, Refusal> {
        let Some(tensor) = self.optional_constant(index, what)? else {
            return Ok(None);
        };
        match to_f32(&tensor.data)[..] {
            [value] => Ok(Some(value)),
            _ => Err(format!("its {what} (input {index}) is not a single number").into()),
        }
    }
}

//! Steps from which importers compose what has no operator of its own.

use super::call::{Call, Item, Refusal, sizes, to_shape};
use graph::{DType, Data};
use runtime::host::{Activation, Tensor};
use runtime::ops::binary::{Binary, Function as Of2};
use runtime::ops::concat::Concat;
use runtime::ops::fully_connected::FullyConnected;
use runtime::ops::gather::Gather;
use runtime::ops::mat_mul::MatMul;
use runtime::ops::mean::Mean;
use runtime::ops::reduce::{Function as Fold, Reduce};
use runtime::ops::slice::Slice;
use runtime::ops::unary::{Function as Of1, Unary};

impl Call<'_> {
    /// `function(x)`.
    pub(super) fn unary(&mut self, function: Of1, x: Item) -> Result<Item, Refusal> {
        self.push(Unary { function }, &[x])
    }

    /// `function(a, b)`.
    pub(super) fn binary(&mut self, function: Of2, a: Item, b: Item) -> Result<Item, Refusal> {
        let activation = Activation::None;
        self.push(
            Binary {
                function,
                activation,
            },
            &[a, b],
        )
    }

    /// `function(x, number)`.
    pub(super) fn with_number(
        &mut self,
        function: Of2,
        x: Item,
        number: f32,
    ) -> Result<Item, Refusal> {
        let number = self.floats(&[], vec![number])?;
        self.binary(function, x, number)
    }

    /// A constant of whole numbers, paid for from the budget.
    pub(super) fn positions(&mut self, dims: &[usize], values: Vec<i32>) -> Result<Item, Refusal> {
        let shape = to_shape(dims)?;
        let data = Data::I32(values);
        self.constant(Tensor { shape, data })
    }

    /// What a table picks along an axis; a position outside picks zeros.
    pub(super) fn picked(
        &mut self,
        x: Item,
        axis: usize,
        table: Vec<i32>,
    ) -> Result<Item, Refusal> {
        let table = self.positions(&[table.len()], table)?;
        self.push(Gather { axis }, &[x, table])
    }

    /// `size` elements along an axis.
    pub(super) fn part(
        &mut self,
        x: Item,
        axis: usize,
        start: usize,
        size: usize,
    ) -> Result<Item, Refusal> {
        let mut sizes = sizes(&self.shape(x));
        if start == 0 && sizes.get(axis) == Some(&size) {
            return Ok(x);
        }
        let mut starts = vec![0; sizes.len()];
        let steps = vec![1; sizes.len()];
        match (starts.get_mut(axis), sizes.get_mut(axis)) {
            (Some(first), Some(count)) => (*first, *count) = (start, size),
            _ => return Err(format!("there is no axis {axis}").into()),
        }
        self.push(
            Slice {
                starts,
                steps,
                sizes,
            },
            &[x],
        )
    }

    /// Parts one behind the other along an axis.
    pub(super) fn joined(&mut self, parts: &[Item], axis: usize) -> Result<Item, Refusal> {
        match parts {
            [only] => Ok(*only),
            _ => self.push(Concat { axis }, parts),
        }
    }

    /// A fold over neighbouring axes, which become 1.
    pub(super) fn folded(
        &mut self,
        function: Fold,
        x: Item,
        [first, last]: [usize; 2],
    ) -> Result<Item, Refusal> {
        self.push(
            Reduce {
                function,
                first,
                last,
            },
            &[x],
        )
    }

    /// `x` with mean 0 and variance 1 over neighbouring axes.
    pub(super) fn normal(
        &mut self,
        x: Item,
        [first, last]: [usize; 2],
        epsilon: f32,
    ) -> Result<Item, Refusal> {
        let over = Mean { first, last };
        let mean = self.push(over, &[x])?;
        let centred = self.binary(Of2::Sub, x, mean)?;
        let squares = self.binary(Of2::Mul, centred, centred)?;
        let variance = self.push(over, &[squares])?;
        let raised = self.with_number(Of2::Add, variance, epsilon)?;
        let deviation = self.unary(Of1::Sqrt, raised)?;
        self.binary(Of2::Div, centred, deviation)
    }

    /// The product of two matrices or stacks of them: a layer where the second is one constant.
    pub(super) fn product(&mut self, a: Item, b: Item) -> Result<Item, Refusal> {
        let is_layer = self.tensor(b).is_some()
            && self.tensor(a).is_none()
            && self.shape(b).rank() == 2
            && self.dtype(b) == DType::F32;
        if is_layer {
            let weights = self.transpose(b, vec![1, 0])?;
            return self.push(FullyConnected::default(), &[a, weights]);
        }
        self.push(MatMul, &[a, b])
    }
}

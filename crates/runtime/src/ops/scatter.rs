//! Puts blocks into a copy: `out = data`, then for each `j` in turn
//! `out[indices[j], i] = f(out[indices[j], i], updates[j, i])`, where data are rows of blocks.
//!
//! An index below zero counts from the end; a block for a place outside is left out.
//!
//! | operand | shape | types |
//! |---|---|---|
//! | data | any | any; f32 where numbers are combined |
//! | indices | any | int32, int64 |
//! | updates | a block for each index | the data's |
//! | output | the data's | the data's |

use super::indices::{Indices, is_index};
use crate::{Op, Run};
use format::{DType, Node};

/// Blocks replace what was there.
pub static ANY: Op = Op::new(82, "scatter", |node| check(node, None), replace);

/// Blocks are combined with what was there.
pub static F32: Op =
    Op::new(83, "scatter_combined", |node| check(node, Some(DType::F32)), combine);

fn check(node: &Node<'_>, dtype: Option<DType>) -> Option<()> {
    let mut params = node.params();
    let block = params.u32() as usize;
    let (data, indices) = (node.input(0)?, node.input(1)?);
    let (updates, output) = (node.input(2)?, node.output(0)?);
    let alike = data.dtype == updates.dtype && data.dtype == output.dtype;
    let typed = dtype.is_none_or(|dtype| dtype == data.dtype && function(params.u8()).is_some());
    let whole = block > 0 && data.shape.elements().is_multiple_of(block);
    let sizes = data.shape.elements() == output.shape.elements()
        && indices.shape.elements().checked_mul(block)? == updates.shape.elements();
    (alike && typed && whole && sizes && is_index(&indices)).then_some(())
}

fn replace(run: &Run<'_>) {
    let Some(data) = run.node.input(0) else { return };
    let bytes = run.node.params().u32() as usize * data.dtype.bytes();
    let (input, updates) = (run.input::<u8>(0), run.input::<u8>(2));
    let output = run.output::<u8>(0);
    output.iter().enumerate().for_each(|(i, cell)| cell.set(input.get(i)));
    each_block(run, output.len() / bytes.max(1), |j, at| {
        for i in 0..bytes {
            output[at * bytes + i].set(updates.get(j * bytes + i));
        }
    });
}

fn function(code: u8) -> Option<fn(f32, f32) -> f32> {
    Some(match code {
        1 => |a, b| a + b,
        2 => |a, b| a * b,
        3 => |a, b| if a.is_nan() || b <= a { a } else { b },
        4 => |a, b| if a.is_nan() || b >= a { a } else { b },
        _ => return None,
    })
}

fn combine(run: &Run<'_>) {
    let mut params = run.node.params();
    let block = params.u32() as usize;
    let Some(function) = function(params.u8()) else { return };
    let (input, updates) = (run.input::<f32>(0), run.input::<f32>(2));
    let output = run.output::<f32>(0);
    output.iter().enumerate().for_each(|(i, cell)| cell.set(input.get(i)));
    each_block(run, output.len() / block.max(1), |j, at| {
        for i in 0..block {
            let cell = &output[at * block + i];
            cell.set(function(cell.get(), updates.get(j * block + i)));
        }
    });
}

/// Every block's number and its place among `places`.
fn each_block(run: &Run<'_>, places: usize, mut visit: impl FnMut(usize, usize)) {
    let count = run.node.input(1).map_or(0, |tensor| tensor.shape.elements());
    let indices = Indices::of(run, 1);
    for j in 0..count {
        if let Some(at) = indices.position(j, places) {
            visit(j, at);
        }
    }
}

#[cfg(feature = "host")]
pub use host::{Combination, Scatter};

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::fixed::Rounding;
    use format::{DType, ParamsWriter};
    use std::string::String;
    use std::vec::Vec;

    /// What becomes of the elements that were there.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[repr(u8)]
    pub enum Combination {
        /// They are replaced.
        Replace = 0,
        /// Updates are added.
        Add = 1,
        /// Updates are factors.
        Multiply = 2,
        /// The larger stays.
        Max = 3,
        /// The smaller stays.
        Min = 4,
    }

    /// Attributes of a scatter.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Scatter {
        /// Elements of a block.
        pub block: usize,
        /// What an update does.
        pub combination: Combination,
    }

    impl Operator for Scatter {
        fn name(&self) -> &'static str {
            "scatter"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let (data, indices) = (required(inputs, 0)?, required(inputs, 1)?);
            let updates = required(inputs, 2)?;
            let needed = indices.shape.elements().checked_mul(self.block);
            if needed != Some(updates.shape.elements()) || self.block == 0 {
                let (indices, updates) = (indices.shape, updates.shape);
                return Err(std::format!("{indices} indices do not fit updates of {updates}"));
            }
            Ok(std::vec![(data.dtype, data.shape)])
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            _outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            let dtype = required(inputs, 0)?.dtype;
            if required(inputs, 2)?.dtype != dtype {
                return Err("its updates are of another type than its data".into());
            }
            let code = match (self.combination, dtype) {
                (Combination::Replace, _) => super::ANY.code,
                (_, DType::F32) => super::F32.code,
                _ => return Err(std::format!("{dtype} can be replaced, but not combined")),
            };
            let mut params = ParamsWriter::default();
            params.u32(self.block as u32).u8(self.combination as u8);
            let operands = (0..3).map(LoweredOperand::Input).collect();
            Ok(Lowered { code, operands, params: params.finish() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::{Combination, Scatter};
    use crate::host::{Data, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;
    use std::vec::Vec;

    fn tensor(dims: &[u32], data: Data) -> Option<(Tensor, Option<crate::host::Quantization>)> {
        Some((Tensor { shape: Shape::new(dims).unwrap(), data }, None))
    }

    fn scattered(block: usize, combination: Combination, updates: Vec<f32>) -> Data {
        let data = tensor(&[2, 2], Data::F32(vec![1.0, 2.0, 3.0, 4.0]));
        let indices = tensor(&[2], Data::I32(vec![-1, 0]));
        let updates = tensor(&[updates.len() as u32], Data::F32(updates));
        let scatter = Scatter { block, combination };
        let inputs = [data, indices, updates];
        evaluate(&scatter, &inputs, &[], Rounding::High).unwrap().remove(0).data
    }

    #[test]
    fn blocks_replace_or_join() {
        let rows = scattered(2, Combination::Replace, vec![5.0, 6.0, 7.0, 8.0]);
        assert_eq!(rows, Data::F32(vec![7.0, 8.0, 5.0, 6.0]));
        let updates = || vec![0.5, 10.0];
        let sums = scattered(1, Combination::Add, updates());
        assert_eq!(sums, Data::F32(vec![11.0, 2.0, 3.0, 4.5]));
        let products = scattered(1, Combination::Multiply, updates());
        assert_eq!(products, Data::F32(vec![10.0, 2.0, 3.0, 2.0]));
        let largest = scattered(1, Combination::Max, updates());
        assert_eq!(largest, Data::F32(vec![10.0, 2.0, 3.0, 4.0]));
        let smallest = scattered(1, Combination::Min, updates());
        assert_eq!(smallest, Data::F32(vec![1.0, 2.0, 3.0, 0.5]));
    }
}

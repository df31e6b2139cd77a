//! Counts sequences of tokens: `out[r, column] = f(how often the sequence of the column occurs in row r)`,
//! also with tokens between its own, up to a number of them that is the same everywhere.
//!
//! | operand | shape | types |
//! |---|---|---|
//! | tokens | `[…, L]` | int32, int64 |
//! | sequences | for each: its column, its length, its tokens; constant | int32 |
//! | weights | a factor per column; may be left out | f32 |
//! | output | `[…, columns]` | f32 |

use super::indices::{Indices, is_index};
use crate::{Op, Run};
use format::{DType, Node};

/// Whole numbers in, float out.
pub static F32: Op = Op::new(92, "ngram_counts", check, run);

fn check(node: &Node<'_>) -> Option<()> {
    let (tokens, table, output) = (node.input(0)?, node.input(1)?, node.output(0)?);
    let columns = output.shape.last();
    let weighted = node.input(2).is_none_or(|weights| {
        weights.dtype == DType::F32 && weights.shape.elements() == columns
    });
    let rows = tokens.shape.elements() / tokens.shape.last().max(1);
    let types = is_index(&tokens) && table.dtype == DType::I32 && output.dtype == DType::F32;
    let whole = rows.checked_mul(columns)? == output.shape.elements();
    (types && whole && weighted && tokens.shape.last() > 0 && columns > 0).then_some(())
}

fn run(run: &Run<'_>) {
    let mut params = run.node.params();
    let (mode, most_between) = (params.u8(), params.u16());
    let (Some(from), Some(to)) = (run.node.input(0), run.node.output(0)) else {
        return;
    };
    let (length, columns) = (from.shape.last(), to.shape.last());
    let (table, weights) = (run.input::<i32>(1), run.input::<f32>(2));
    let tokens = Indices::of(run, 0);
    for (row, cells) in run.output::<f32>(0).chunks_exact(columns).enumerate() {
        cells.iter().for_each(|cell| cell.set(0.0));
        let mut at = 0;
        while at + 2 <= table.len() {
            let [column, size] = [table.get(at), table.get(at + 1)].map(|value| value.max(0) as usize);
            let end = at.saturating_add(2).saturating_add(size);
            if size == 0 || end > table.len() {
                break;
            }
            let steps = if size == 1 { 1 } else { usize::from(most_between) + 1 };
            let mut count = 0u32;
            for step in 1..=steps {
                let reach = (size - 1).saturating_mul(step);
                for start in 0..length.saturating_sub(reach) {
                    let is_token = |k: usize| {
                        let token = tokens.get(row * length + start + k * step);
                        token == i64::from(table.get(at + 2 + k))
                    };
                    count += u32::from((0..size).all(is_token));
                }
            }
            if let Some(cell) = cells.get(column) {
                let weight = if weights.is_empty() { 1.0 } else { weights.get(column) };
                cell.set(match (mode, count) {
                    (_, 0) => 0.0,
                    (0, _) => count as f32,
                    (1, _) => weight,
                    _ => count as f32 * weight,
                });
            }
            at = end;
        }
    }
}

#[cfg(feature = "host")]
pub use host::{Mode, Ngrams};

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::fixed::Rounding;
    use format::{DType, ParamsWriter, Shape};
    use std::string::String;
    use std::vec::Vec;

    /// What becomes of a count.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[repr(u8)]
    pub enum Mode {
        /// It stays.
        Count = 0,
        /// The column's weight, if there is any.
        Weight = 1,
        /// It is multiplied with the column's weight.
        Product = 2,
    }

    /// Attributes of counts of sequences.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Ngrams {
        /// How many sequences there are.
        pub columns: usize,
        /// Most tokens between those of a sequence.
        pub most_between: u16,
        /// What becomes of a count.
        pub mode: Mode,
    }

    impl Operator for Ngrams {
        fn name(&self) -> &'static str {
            "ngram_counts"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let tokens = required(inputs, 0)?;
            let mut dims = tokens.shape.dims().to_vec();
            *dims.last_mut().ok_or("a single token is no sequence")? = self.columns as u32;
            Ok(std::vec![(DType::F32, Shape::new(&dims).ok_or("too many dimensions")?)])
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            _outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            let dtype = required(inputs, 0)?.dtype;
            if !matches!(dtype, DType::I32 | DType::I64) {
                return Err(std::format!("tokens of {dtype} are not supported"));
            }
            let mut params = ParamsWriter::default();
            params.u8(self.mode as u8).u16(self.most_between);
            let operands = (0..inputs.len()).map(LoweredOperand::Input).collect();
            Ok(Lowered { code: super::F32.code, operands, params: params.finish() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::{Mode, Ngrams};
    use crate::host::{Data, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    /// The sequences 7 and 7 8.
    #[test]
    fn sequences_are_counted_with_gaps() {
        let tensor = |data: Data| {
            let shape = Shape::new(&[data.len() as u32]).unwrap();
            Some((Tensor { shape, data }, None))
        };
        let inputs = [
            tensor(Data::I64(vec![7, 7, 8, 9])),
            tensor(Data::I32(vec![1, 1, 7, 0, 2, 7, 8])),
            tensor(Data::F32(vec![0.5, 10.0])),
        ];
        let counted = |most_between, mode| {
            let ngrams = Ngrams { columns: 2, most_between, mode };
            evaluate(&ngrams, &inputs, &[], Rounding::High).unwrap().remove(0).data
        };
        assert_eq!(counted(0, Mode::Count), Data::F32(vec![1.0, 2.0]));
        assert_eq!(counted(1, Mode::Product), Data::F32(vec![1.0, 20.0]));
        assert_eq!(counted(1, Mode::Weight), Data::F32(vec![0.5, 10.0]));
    }
}

//! The latest steps of a stream, kept from run to run: what was there moves towards the start, and
//! the new steps come behind it.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | input | any; along the axis the new steps | any | any |
//! | output | the same but for the axis; in the state | the input's | the input's |

use crate::{Op, Run};
use core::cell::Cell;
use format::{Node, Place};
use kernels::memory::{In, Plain};

/// Elements of any size.
pub static ANY: Op = Op::new(120, "history", check, run);

/// The axis.
fn axis(node: &Node<'_>) -> usize {
    usize::from(node.params().u8())
}

fn check(node: &Node<'_>) -> Option<()> {
    let (input, output) = (node.input(0)?, node.output(0)?);
    let (axis, rank) = (axis(node), output.shape.rank());
    let alike = input.dtype == output.dtype && input.shape.rank() == rank;
    let others = (0..rank).all(|a| a == axis || input.shape.dim(a) == output.shape.dim(a));
    let fits = axis < rank && input.shape.dim(axis) <= output.shape.dim(axis);
    (alike && others && fits && output.place == Place::State).then_some(())
}

fn run(run: &Run<'_>) {
    let Some(tensor) = run.node.output(0) else { return };
    let before = tensor.shape.dims().iter().take(axis(&run.node));
    let outer = before.map(|&dim| dim as usize).product::<usize>().max(1);
    let (input, output) = (run.input::<u8>(0), run.output::<u8>(0));
    let is_words = [input.len() / outer, output.len() / outer].map(|bytes| bytes % 4) == [0, 0];
    let (words, word_cells) = (run.input::<u32>(0), run.output::<u32>(0));
    // Empty where the memory is not aligned to words.
    if is_words && !word_cells.is_empty() && !words.is_empty() {
        advance(&words, word_cells, outer);
    } else {
        advance(&input, output, outer);
    }
}

fn advance<T: Plain + Default>(input: &In<'_, T>, output: &[Cell<T>], outer: usize) {
    let (new, all) = (input.len() / outer, output.len() / outer);
    for line in 0..outer {
        let Some(cells) = output.get(line * all..(line + 1) * all) else { return };
        let kept = all - new.min(all);
        for (to, from) in cells.iter().zip(cells.iter().skip(new)) {
            to.set(from.get());
        }
        for (i, cell) in cells.iter().skip(kept).enumerate() {
            cell.set(input.get(line * new + i));
        }
    }
}

#[cfg(feature = "host")]
pub use host::History;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::fixed::Rounding;
    use format::{ParamsWriter, Shape};
    use std::string::String;
    use std::vec::Vec;

    /// Attributes of a history.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct History {
        /// The axis of time.
        pub axis: usize,
        /// How many steps are kept, the new ones included.
        pub steps: usize,
    }

    impl Operator for History {
        fn name(&self) -> &'static str {
            "history"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let input = required(inputs, 0)?;
            let mut dims = input.shape.dims().to_vec();
            match dims.get_mut(self.axis) {
                Some(dim) if *dim as usize <= self.steps => *dim = self.steps as u32,
                _ => {
                    let History { axis, steps } = self;
                    let shape = input.shape;
                    return Err(std::format!("{shape} is no part of {steps} steps of axis {axis}"));
                }
            }
            Ok(std::vec![(input.dtype, Shape::new(&dims).ok_or("too many dimensions")?)])
        }

        fn keeps_state(&self, _output: usize) -> bool {
            true
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            let (input, output) = (required(inputs, 0)?, outputs.first().ok_or("no output")?);
            if input.quantization != output.quantization {
                return Err("steps keep their scale and zero point".into());
            }
            let mut params = ParamsWriter::default();
            params.u8(self.axis as u8);
            let operands = std::vec![LoweredOperand::Input(0)];
            Ok(Lowered { code: super::ANY.code, operands, params: params.finish() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use core::cell::Cell;
    use kernels::memory::In;
    use std::vec::Vec;

    fn advanced(input: &[u8], output: [u8; 6], outer: usize) -> Vec<u8> {
        let cells = output.map(Cell::new);
        super::advance(&In::from_slice(input), &cells, outer);
        cells.iter().map(Cell::get).collect()
    }

    #[test]
    fn what_is_old_moves_to_the_start() {
        assert_eq!(advanced(&[7, 8], [1, 2, 3, 4, 5, 6], 1), [3, 4, 5, 6, 7, 8]);
        assert_eq!(advanced(&[7, 8], [1, 2, 3, 4, 5, 6], 2), [2, 3, 7, 5, 6, 8]);
        assert_eq!(advanced(&[1; 6], [0; 6], 1), [1; 6]);
    }
}

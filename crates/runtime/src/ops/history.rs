//! The latest steps of a stream, kept from run to run: what was there moves towards the start, and
//! the new steps come behind it. Where all steps are new, it is an assignment to what is kept.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | input | any; along the axis the new steps | any | any |
//! | start | the output's; constant, what is there before the first run; may be left out for zeros | the input's | the input's |
//! | output | the same but for the axis; in the state | the input's | the input's |

use crate::{Op, Run};
use core::cell::Cell;
use format::{Node, Place, Tensor};
use kernels::memory::{In, Plain};

/// Elements of any size.
pub static ANY: Op = Op::new(120, "history", check, run);

/// The same with what is there before the first run.
pub static STARTED: Op = Op::new(STARTED_CODE, "history_started", check_started, run);

/// Its code, which a session looks for when it resets.
const STARTED_CODE: u16 = 122;

/// What the state that a node keeps is before the first run, where its file says so: the constant
/// and the place.
pub(crate) fn start<'a>(node: &Node<'a>) -> Option<(&'a [u8], Tensor)> {
    let is_started = node.code() == STARTED_CODE;
    let output = node.output(0).filter(|_| is_started)?;
    Some((node.constant(1), output))
}

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
    let is_all = input.shape == output.shape;
    (alike && others && (fits || is_all) && output.place == Place::State).then_some(())
}

fn check_started(node: &Node<'_>) -> Option<()> {
    let (start, output) = (node.input(1)?, node.output(0)?);
    let alike = start.dtype == output.dtype && start.shape == output.shape;
    (alike && start.place == Place::Constant).then_some(())?;
    check(node)
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
pub(crate) use host::lower;

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
            lower(self.axis, [0, 1], inputs, output)
        }
    }

    /// The node that keeps `operands[0]` of these inputs, from `operands[1]` on where that is there.
    pub(crate) fn lower(
        axis: usize,
        [new, start]: [usize; 2],
        inputs: &[Option<Operand<'_>>],
        output: &Operand<'_>,
    ) -> Result<Lowered, String> {
        let mut params = ParamsWriter::default();
        params.u8(axis as u8);
        let params = params.finish();
        let mut operands = std::vec![LoweredOperand::Input(new)];
        let Some(given) = inputs.get(start).and_then(Option::as_ref) else {
            return Ok(Lowered { code: super::ANY.code, operands, params });
        };
        let alike = given.shape == output.shape && given.dtype == output.dtype;
        let data = given.data.filter(|_| alike);
        let data = data.ok_or("what it starts from is no constant of its shape and type")?;
        let zero = output.quantization.map_or(0, |quantization| quantization.zero_point);
        if data.is_state_at_rest(zero) {
            return Ok(Lowered { code: super::ANY.code, operands, params });
        }
        operands.push(LoweredOperand::Input(start));
        Ok(Lowered { code: super::STARTED.code, operands, params })
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

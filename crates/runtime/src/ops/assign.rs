//! What a variable holds from the end of a run on: whatever reads the variable in the same run gets what
//! it held before, in whatever order nodes stand. A plan has a [`super::history`] for it, of which all
//! steps are new, behind the last reader.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | variable | any; made by a [`super::variable`] | any | any |
//! | value | the variable's | the variable's | the variable's |
//! | start | the variable's; constant, what it holds before the first run; may be left out for zeros | the variable's | the variable's |
//! | output | the variable's, where the variable is | the variable's | the variable's |

#[cfg(feature = "host")]
pub use host::Assign;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, Operand, Operator, required};
    use crate::ops::history;
    use format::fixed::Rounding;
    use std::string::String;
    use std::vec::Vec;

    /// An assignment has no attributes.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Assign;

    impl Operator for Assign {
        fn name(&self) -> &'static str {
            "assign"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let (variable, value) = (required(inputs, 0)?, required(inputs, 1)?);
            if (variable.dtype, variable.shape) != (value.dtype, value.shape) {
                let (held, given) = (variable.shape, value.shape);
                let (kind, other) = (variable.dtype, value.dtype);
                return Err(std::format!("it gives {other} {given} to a variable of {kind} {held}"));
            }
            Ok(std::vec![(variable.dtype, variable.shape)])
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
            let (variable, value) = (required(inputs, 0)?, required(inputs, 1)?);
            let output = outputs.first().ok_or("no output")?;
            let alike = variable.quantization == output.quantization;
            if !alike || value.quantization != output.quantization {
                return Err("a variable keeps its scale and zero point".into());
            }
            history::lower(0, [1, 2], inputs, output)
        }
    }
}

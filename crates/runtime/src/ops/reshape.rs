//! The same elements under other dimensions. It costs nothing: the output is the input's memory,
//! so there is no device half.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | input | any | any | any |
//! | output | `shape`, as many elements | the input's | the input's |

#[cfg(feature = "host")]
pub use host::Reshape;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::Shape;
    use format::fixed::Rounding;
    use std::string::String;
    use std::vec::Vec;

    /// Attributes of a change of dimensions.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Reshape {
        /// The new dimensions.
        pub shape: Shape,
    }

    impl Operator for Reshape {
        fn name(&self) -> &'static str {
            "reshape"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let input = required(inputs, 0)?;
            if input.shape.elements() != self.shape.elements() {
                return Err(std::format!("{} does not reshape to {}", input.shape, self.shape));
            }
            Ok(std::vec![(input.dtype, self.shape)])
        }

        fn lower(
            &self,
            _inputs: &[Option<Operand<'_>>],
            _outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            Ok(Lowered::alias())
        }
    }

    impl Lowered {
        /// No node at all: the output is input 0 under another shape.
        pub fn alias() -> Self {
            let operands = std::vec![LoweredOperand::Input(0)];
            Lowered { code: 0, operands, params: Vec::new() }
        }

        /// Whether this is [`Lowered::alias`].
        pub fn is_alias(&self) -> bool {
            self.code == 0
        }
    }
}

//! What a variable holds when a run begins: state, written by one [`super::assign`]. There is nothing to
//! do for it, so there is no device half: its readers read the state where it is.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | output | `shape`; in the state | `dtype` | any |

#[cfg(feature = "host")]
pub use host::Variable;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, Operand, Operator};
    use format::fixed::Rounding;
    use format::{DType, Shape};
    use std::string::String;
    use std::vec::Vec;

    /// Attributes of a variable.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Variable {
        /// Element type.
        pub dtype: DType,
        /// Dimensions.
        pub shape: Shape,
    }

    impl Operator for Variable {
        fn name(&self) -> &'static str {
            "variable"
        }

        fn infer(&self, _inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            Ok(std::vec![(self.dtype, self.shape)])
        }

        fn keeps_state(&self, _output: usize) -> bool {
            true
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
}

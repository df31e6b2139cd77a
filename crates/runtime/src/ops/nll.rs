//! Negative log-likelihood: `loss[n, d] = -weight[t] in[n, t, d]` with the class `t = target[n, d]`;
//! its sum, or the mean `sum loss / sum weight[t]`, where asked for. Places whose target is to be
//! ignored, or no class, count nothing.
//!
//! | operand | shape | types |
//! |---|---|---|
//! | input | `[N, C, …]`, logarithms of probabilities | f32 |
//! | target | `[N, …]` | int32, int64 |
//! | weight | `[C]`; may be left out | f32 |
//! | output | the target's, or one number | f32 |

use super::indices::{Indices, is_index};
use super::mean::parts;
use crate::{Op, Run};
use format::{DType, Node};

/// Float in, float out.
pub static F32: Op = Op::new(89, "negative_log_likelihood_f32", check, run);

fn check(node: &Node<'_>) -> Option<()> {
    let (input, target, output) = (node.input(0)?, node.input(1)?, node.output(0)?);
    if input.shape.rank() < 2 || !is_index(&target) {
        return None;
    }
    let types = input.dtype == DType::F32 && output.dtype == DType::F32;
    let [samples, classes, places] = parts(&input.shape, 1, 1);
    let weighted = node.input(2).is_none_or(|weight| {
        weight.dtype == DType::F32 && weight.shape.elements() == classes
    });
    let count = samples.checked_mul(places)?;
    let needed = if node.params().u8() == 0 { count } else { 1 };
    let sizes = target.shape.elements() == count && output.shape.elements() == needed;
    (types && weighted && sizes).then_some(())
}

fn run(run: &Run<'_>) {
    let mut params = run.node.params();
    let (reduction, ignores, ignored) = (params.u8(), params.u8() != 0, params.i32());
    let Some(from) = run.node.input(0) else { return };
    let [samples, classes, places] = parts(&from.shape, 1, 1);
    let (input, weights) = (run.input::<f32>(0), run.input::<f32>(2));
    let (target, output) = (Indices::of(run, 1), run.output::<f32>(0));
    let (mut losses, mut total) = (0.0f32, 0.0f32);
    for place in 0..samples * places {
        let class = target.get(place);
        let counts = !(ignores && class == i64::from(ignored));
        let class = usize::try_from(class).ok().filter(|&class| counts && class < classes);
        let (loss, weight) = class.map_or((0.0, 0.0), |class| {
            let weight = if weights.is_empty() { 1.0 } else { weights.get(class) };
            let (n, d) = (place / places, place % places);
            (-weight * input.get((n * classes + class) * places + d), weight)
        });
        (losses, total) = (losses + loss, total + weight);
        if let (0, Some(cell)) = (reduction, output.get(place)) {
            cell.set(loss);
        }
    }
    if let (1.., Some(cell)) = (reduction, output.first()) {
        cell.set(if reduction == 1 { losses } else { losses / total });
    }
}

#[cfg(feature = "host")]
pub use host::{Nll, Reduction};

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::fixed::Rounding;
    use format::{DType, ParamsWriter, Shape};
    use std::string::String;
    use std::vec::Vec;

    /// What becomes of the losses of all places.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[repr(u8)]
    pub enum Reduction {
        /// They stay.
        None = 0,
        /// Their sum.
        Sum = 1,
        /// Their sum by the sum of their weights.
        Mean = 2,
    }

    /// Attributes of a negative log-likelihood.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Nll {
        /// What becomes of the losses.
        pub reduction: Reduction,
        /// The target of places that do not count.
        pub ignored: Option<i32>,
    }

    impl Operator for Nll {
        fn name(&self) -> &'static str {
            "negative_log_likelihood"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let (input, target) = (required(inputs, 0)?, required(inputs, 1)?);
            let dims = input.shape.dims();
            let fits = dims.len() >= 2
                && target.shape.rank() + 1 == dims.len()
                && target.shape.dim(0) == input.shape.dim(0)
                && target.shape.dims()[1..] == dims[2..];
            if !fits {
                return Err(std::format!("targets {} do not fit {}", target.shape, input.shape));
            }
            let weight = inputs.get(2).and_then(Option::as_ref);
            if let Some(weight) = weight
                && weight.shape.elements() != input.shape.dim(1)
            {
                return Err(std::format!("weights {} do not fit {}", weight.shape, input.shape));
            }
            let one = Shape::new(&[]).ok_or("no shape")?;
            let whole = self.reduction == Reduction::None;
            Ok(std::vec![(DType::F32, if whole { target.shape } else { one })])
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            _outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            if required(inputs, 0)?.dtype != DType::F32 {
                return Err("losses are computed in f32 only".into());
            }
            if !matches!(required(inputs, 1)?.dtype, DType::I32 | DType::I64) {
                return Err("targets are int32 or int64".into());
            }
            let mut params = ParamsWriter::default();
            let ignored = self.ignored.unwrap_or(0);
            params.u8(self.reduction as u8).u8(self.ignored.is_some().into()).i32(ignored);
            let operands = (0..inputs.len()).map(LoweredOperand::Input).collect();
            Ok(Lowered { code: super::F32.code, operands, params: params.finish() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::{Nll, Reduction};
    use crate::host::{Data, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;
    use std::vec::Vec;

    fn losses(reduction: Reduction, ignored: Option<i32>, weights: Option<Vec<f32>>) -> Vec<f32> {
        let tensor = |dims: &[u32], data| {
            Some((Tensor { shape: Shape::new(dims).unwrap(), data }, None))
        };
        let mut inputs = vec![
            tensor(&[1, 2, 3], Data::F32(vec![-1.0, -2.0, -3.0, -4.0, -5.0, -6.0])),
            tensor(&[1, 3], Data::I64(vec![0, 1, 1])),
        ];
        inputs.extend(weights.map(|weights| tensor(&[2], Data::F32(weights))));
        let nll = Nll { reduction, ignored };
        let output = evaluate(&nll, &inputs, &[], Rounding::High).unwrap().remove(0);
        output.data.f32().unwrap().to_vec()
    }

    #[test]
    fn losses_are_weighted_and_ignored() {
        assert_eq!(losses(Reduction::None, None, None), [1.0, 5.0, 6.0]);
        assert_eq!(losses(Reduction::Sum, None, None), [12.0]);
        assert_eq!(losses(Reduction::Mean, None, None), [4.0]);
        assert_eq!(losses(Reduction::None, Some(1), None), [1.0, 0.0, 0.0]);
        assert_eq!(losses(Reduction::Mean, Some(0), None), [5.5]);
        assert_eq!(losses(Reduction::Mean, None, Some(vec![1.0, 0.5])), [6.5 / 2.0]);
    }
}

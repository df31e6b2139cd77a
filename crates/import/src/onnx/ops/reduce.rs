//! Reductions over axes: sums, means, products, extremes, norms.

use super::reshape::axes;
use crate::onnx::call::{Call, Item, Refusal, sizes};
use runtime::ops::binary::Function as Of2;
use runtime::ops::mean::Mean;
use runtime::ops::reduce::{Function, Reduce};
use runtime::ops::unary::{Function as Of1, Unary};

pub(super) fn mean(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    reduce(call, 18, |call, x, axes| axes.apply(call, x, None))
}

/// The sum takes its axes as an input since operator set 13, the others since 18.
pub(super) fn sum(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    reduce(call, 13, |call, x, axes| {
        axes.apply(call, x, Some(Function::Sum))
    })
}

pub(super) fn fold(call: &mut Call<'_>, function: Function) -> Result<Vec<Item>, Refusal> {
    reduce(call, 18, |call, x, axes| {
        axes.apply(call, x, Some(function))
    })
}

/// The sum of sizes.
pub(super) fn l1(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    reduce(call, 18, |call, x, axes| {
        call.float(0)?;
        let sizes = call.push(Unary { function: Of1::Abs }, &[x])?;
        axes.apply(call, sizes, Some(Function::Sum))
    })
}

/// The root of the sum of squares.
pub(super) fn l2(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    reduce(call, 18, |call, x, axes| {
        let sum = squares(call, x, axes)?;
        call.push(
            Unary {
                function: Of1::Sqrt,
            },
            &[sum],
        )
    })
}

pub(super) fn sum_square(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    reduce(call, 18, squares)
}

pub(super) fn log_sum(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    reduce(call, 18, |call, x, axes| {
        let sum = axes.apply(call, x, Some(Function::Sum))?;
        call.push(Unary { function: Of1::Log }, &[sum])
    })
}

/// `m + log(sum(exp(x - m)))` with the largest `m`, so that nothing overflows.
pub(super) fn log_sum_exp(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    reduce(call, 18, |call, x, axes| {
        let largest = axes.apply(call, x, Some(Function::Max))?;
        let below = call.arithmetic(Of2::Sub, x, largest)?;
        let powers = call.push(Unary { function: Of1::Exp }, &[below])?;
        let sum = axes.apply(call, powers, Some(Function::Sum))?;
        let logarithm = call.push(Unary { function: Of1::Log }, &[sum])?;
        call.arithmetic(Of2::Add, logarithm, largest)
    })
}

fn squares(call: &mut Call<'_>, x: Item, axes: &Axes) -> Result<Item, Refusal> {
    let squares = call.arithmetic(Of2::Mul, x, x)?;
    axes.apply(call, squares, Some(Function::Sum))
}

/// The axes that go, in ascending order.
struct Axes(Vec<usize>);

impl Axes {
    /// Reduces, with 1 where axes were; without a function, to the mean.
    fn apply(
        &self,
        call: &mut Call<'_>,
        x: Item,
        function: Option<Function>,
    ) -> Result<Item, Refusal> {
        let dims = sizes(&call.shape(x));
        let (Some(&first), Some(&last)) = (self.0.first(), self.0.last()) else {
            return Ok(x);
        };
        let kept = (0..dims.len()).filter(|axis| !self.0.contains(axis));
        let is_whole = last - first + 1 == self.0.len();
        // Axes with others between them are moved to the end.
        let (x, first, last) = match is_whole {
            true => (x, first, last),
            false => {
                let order: Vec<usize> = kept.chain(self.0.iter().copied()).collect();
                let moved = call.transpose(x, order)?;
                (moved, dims.len() - self.0.len(), dims.len() - 1)
            }
        };
        let reduced = match function {
            Some(function) => call.push(
                Reduce {
                    function,
                    first,
                    last,
                },
                &[x],
            )?,
            None => call.push(Mean { first, last }, &[x])?,
        };
        let ones = dims.iter().enumerate();
        let ones = ones.map(|(axis, &size)| if self.0.contains(&axis) { 1 } else { size });
        call.reshape(reduced, &ones.collect::<Vec<_>>())
    }
}

/// Finds out the axes, reduces, and drops them where they are not kept.
fn reduce(
    call: &mut Call<'_>,
    axes_are_input_since: i64,
    apply: impl Fn(&mut Call<'_>, Item, &Axes) -> Result<Item, Refusal>,
) -> Result<Vec<Item>, Refusal> {
    let x = call.required(0)?;
    let dims = sizes(&call.shape(x));
    let given = match axes(call, dims.len(), axes_are_input_since)? {
        Some(axes) if !axes.is_empty() => Some(axes),
        _ => None,
    };
    let does_nothing = given.is_none() && call.attributes.flag("noop_with_empty_axes")?;
    let axes = Axes(match given {
        Some(axes) => axes,
        None if does_nothing => Vec::new(),
        None => (0..dims.len()).collect(),
    });
    let reduced = apply(call, x, &axes)?;
    if call.attributes.int("keepdims", 1)? != 0 {
        return Ok(vec![reduced]);
    }
    let kept = (0..dims.len()).filter(|axis| !axes.0.contains(axis));
    let kept: Vec<usize> = kept.map(|axis| dims[axis]).collect();
    Ok(vec![call.reshape(reduced, &kept)?])
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, int, ints};

    const X: [f32; 8] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];

    fn reduced(operator: &str, axes: &[i64]) -> (String, Vec<f32>) {
        let source = Source::new(13).input(&[2, 2, 2], &X);
        source
            .apply(operator, vec![ints("axes", axes), int("keepdims", 0)])
            .run()
    }

    #[test]
    fn axes_go_wherever_they_are() {
        assert_eq!(
            reduced("ReduceMax", &[1]),
            ("2x2".into(), vec![3.0, 4.0, 7.0, 8.0])
        );
        assert_eq!(reduced("ReduceMin", &[0, 2]), ("2".into(), vec![1.0, 3.0]));
        assert_eq!(
            reduced("ReduceProd", &[-1]),
            ("2x2".into(), vec![2.0, 12.0, 30.0, 56.0])
        );
        assert_eq!(reduced("ReduceMean", &[0, 2]), ("2".into(), vec![3.5, 5.5]));
    }

    #[test]
    fn norms_and_logarithms() {
        assert_eq!(reduced("ReduceL1", &[1, 2]).1, [10.0, 26.0]);
        assert_eq!(reduced("ReduceSumSquare", &[1, 2]).1, [30.0, 174.0]);
        assert!((reduced("ReduceL2", &[1, 2]).1[0] - 30f32.sqrt()).abs() < 1e-5);
        assert!((reduced("ReduceLogSum", &[1, 2]).1[0] - 10f32.ln()).abs() < 1e-5);
        let expected = (3f32.exp() + 4f32.exp()).ln();
        assert!((reduced("ReduceLogSumExp", &[2]).1[1] - expected).abs() < 1e-5);
    }

    #[test]
    fn a_sum_takes_its_axes_as_an_input() {
        let sum = Source::new(13).input(&[2, 2, 2], &X).whole(&[0]);
        assert_eq!(
            sum.apply("ReduceSum", vec![]).run(),
            ("1x2x2".into(), vec![6.0, 8.0, 10.0, 12.0])
        );
        let all = Source::new(18).input(&[2, 2, 2], &X);
        assert_eq!(
            all.apply("ReduceSum", vec![int("keepdims", 0)]).run().1,
            [36.0]
        );
        let none = Source::new(18).input(&[2, 2, 2], &X);
        assert_eq!(
            none.apply("ReduceSum", vec![int("noop_with_empty_axes", 1)])
                .run()
                .1,
            X
        );
    }
}

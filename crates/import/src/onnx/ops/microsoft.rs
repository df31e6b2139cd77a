//! Operators of ONNX Runtime's own domain, as its tool writes them into files of quantized operators
//! (`QuantFormat.QOperator`): standard ones between numbers that are dequantized and quantized again.

use super::quantized::{self, centred, dequantize, per_row, quantize, real_bias, rescaled};
use super::{Import, binary, compare, concat, gemm, pool, reduce, softmax, unary};
use crate::onnx::call::{Call, Item, Refusal};
use runtime::ops::binary::Function as Of2;
use runtime::ops::unary::Function as Of1;

/// What the domain is called.
pub(super) const DOMAIN: &str = "com.microsoft";

/// Sorted by name.
static TABLE: &[(&str, Import)] = &[
    ("DequantizeLinear", dequantize),
    ("QGemm", gemm),
    ("QLinearAdd", |call| {
        between(call, &[0, 3], 6, |call| binary::import(call, Of2::Add))
    }),
    ("QLinearAveragePool", |call| {
        images(call, pool::average_of_integers)
    }),
    ("QLinearConcat", concat),
    ("QLinearGlobalAveragePool", |call| {
        images(call, pool::global_average_of_integers)
    }),
    ("QLinearLeakyRelu", |call| {
        between(call, &[0], 3, unary::leaky_relu)
    }),
    ("QLinearMul", |call| {
        between(call, &[0, 3], 6, |call| binary::import(call, Of2::Mul))
    }),
    ("QLinearReduceMean", |call| {
        between(call, &[0], 3, reduce::mean)
    }),
    ("QLinearSigmoid", |call| {
        between(call, &[0], 3, |call| unary::import(call, Of1::Sigmoid))
    }),
    ("QLinearSoftmax", softmax),
    ("QLinearWhere", choice),
    ("QuantizeLinear", quantize),
];

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|row| row.0)
}

pub(super) fn find(operator: &str) -> Option<Import> {
    let row = TABLE.iter().find(|row| row.0 == operator);
    row.map(|row| row.1)
}

/// The real numbers of operand `index`, behind which its scale and its zero point stand.
fn real(call: &mut Call<'_>, index: usize) -> Result<Item, Refusal> {
    if let Some(real) = quantized::real(call, index, 0)? {
        return Ok(real);
    }
    call.forget_steps()?;
    let x = centred(call, call.required(index)?, call.input(index + 2))?;
    let scale = call.float(index + 1)?;
    call.arithmetic(Of2::Mul, x, scale)
}

/// Applies a standard operator to real numbers; its result is quantized with the scale at `to` and the
/// zero point behind that.
fn applied(
    call: &mut Call<'_>,
    operands: Vec<Item>,
    to: usize,
    operator: impl Fn(&mut Call<'_>) -> Result<Vec<Item>, Refusal>,
) -> Result<Vec<Item>, Refusal> {
    let real = operands.into_iter().map(Some).collect();
    let inputs = std::mem::replace(&mut call.inputs, real);
    let results = operator(call);
    call.inputs = inputs;
    let results = results?;
    let quantized = results.into_iter().map(|item| rescaled(call, item, to));
    quantized.collect()
}

/// As [`applied`], to the operands at these places.
fn between(
    call: &mut Call<'_>,
    from: &[usize],
    to: usize,
    operator: impl Fn(&mut Call<'_>) -> Result<Vec<Item>, Refusal>,
) -> Result<Vec<Item>, Refusal> {
    let operands = from.iter().map(|&index| real(call, index));
    let operands = operands.collect::<Result<_, _>>()?;
    applied(call, operands, to, operator)
}

/// A pool, over images whose channels come first as in the standard.
fn images(call: &mut Call<'_>, pool: Import) -> Result<Vec<Item>, Refusal> {
    if call.attributes.flag("channels_last")? {
        return Err("its channels are last, which only files for one executor have".into());
    }
    between(call, &[0], 3, pool)
}

/// Softmax says itself which version of the standard it follows.
fn softmax(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let opset = std::mem::replace(&mut call.opset, call.attributes.int("opset", 13)?);
    let shares = between(call, &[0], 3, softmax::import);
    call.opset = opset;
    shares
}

/// Scale and zero point of the result come first, then three operands for every part.
fn concat(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let parts: Vec<usize> = (2..call.inputs.len()).step_by(3).collect();
    between(call, &parts, 0, concat::import)
}

fn choice(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let condition = call.required(0)?;
    let operands = vec![condition, real(call, 1)?, real(call, 4)?];
    applied(call, operands, 7, compare::choice)
}

/// The addend is in units of the products; without a scale of the result that stays real.
fn gemm(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let (a, b) = (real(call, 0)?, call.required(3)?);
    let columns = match call.attributes.flag("transB")? {
        true => 0,
        false => 1,
    };
    if let Some(b) = quantized::real(call, 3, columns)? {
        return product(call, a, b);
    }
    // With its axes turned, the channels of B are its rows.
    let parameter = |call: &mut Call<'_>, item| match call.attributes.flag("transB")? {
        true => per_row(call, item, b),
        false => Ok(item),
    };
    call.forget_steps()?;
    let scale_of_b = call.float(4)?;
    let scale = parameter(call, scale_of_b)?;
    let zero_point = match call.input(5) {
        Some(zero_point) => Some(parameter(call, zero_point)?),
        None => None,
    };
    let centred_b = centred(call, b, zero_point)?;
    let real_b = call.arithmetic(Of2::Mul, centred_b, scale)?;
    product(call, a, real_b)
}

/// The product of real matrices and the addend.
fn product(call: &mut Call<'_>, a: Item, b: Item) -> Result<Vec<Item>, Refusal> {
    let mut operands = vec![a, b];
    if let Some(addend) = call.input(6) {
        let (scale_of_a, scale_of_b) = (call.float(1)?, call.float(4)?);
        let units = call.arithmetic(Of2::Mul, scale_of_a, scale_of_b)?;
        let alpha = call.floats(&[], vec![call.attributes.float("alpha", 1.0)?])?;
        let units = call.arithmetic(Of2::Mul, units, alpha)?;
        operands.push(real_bias(call, addend, units)?);
    }
    if call.input(7).is_some() {
        return applied(call, operands, 7, gemm::import);
    }
    call.inputs = operands.into_iter().map(Some).collect();
    gemm::import(call)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{Source, float, int, ints};
    use rten_onnx::onnx::AttributeProto;

    #[test]
    fn the_table_is_sorted() {
        assert!(TABLE.is_sorted_by(|a, b| a.0 < b.0));
    }

    /// Operands of integers, behind each of which its scale and its zero point stand.
    fn quantized(
        source: Source,
        dims: &[i64],
        values: &[i64],
        (scale, zero): (f32, i64),
    ) -> Source {
        let source = source.whole_of(dims, values).constant(&[], &[scale]);
        source.whole_of(&[], &[zero])
    }

    fn scaled(source: Source, (scale, zero): (f32, i64)) -> Source {
        source.constant(&[], &[scale]).whole_of(&[], &[zero])
    }

    /// What an operator of the domain makes of all operands.
    fn answer(source: Source, operator: &str, attributes: Vec<AttributeProto>) -> Vec<f32> {
        let names: Vec<String> = (0..source.operand_count())
            .map(|i| format!("x{i}"))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let source = source.node(operator, &names, "q", attributes);
        let source = source.edit(|graph| graph.node[0].domain = Some(DOMAIN.into()));
        let source = source.node("Cast", &["q"], "y", vec![int("to", 1)]);
        source.output("y").run().1
    }

    /// 1 and 3 in halves from 1.
    fn pair(source: Source) -> Source {
        quantized(source, &[1, 2], &[3, 7], (0.5, 1))
    }

    #[test]
    fn functions_of_two() {
        let operands = || {
            scaled(
                quantized(pair(Source::new(13)), &[1, 2], &[4, 2], (2.0, 0)),
                (0.25, 3),
            )
        };
        assert_eq!(answer(operands(), "QLinearAdd", vec![]), [39.0, 31.0]);
        assert_eq!(answer(operands(), "QLinearMul", vec![]), [35.0, 51.0]);
    }

    #[test]
    fn functions_of_one() {
        let operands = || {
            scaled(
                quantized(Source::new(13), &[1, 2], &[1, -7], (0.5, 1)),
                (0.25, 3),
            )
        };
        let slope = vec![float("alpha", 0.5)];
        assert_eq!(answer(operands(), "QLinearLeakyRelu", slope), [3.0, -5.0]);
        // Half and 1 / (1 + e^4), which is 0.018.
        assert_eq!(answer(operands(), "QLinearSigmoid", vec![]), [5.0, 3.0]);
        let mean = vec![ints("axes", &[1])];
        assert_eq!(answer(operands(), "QLinearReduceMean", mean), [-5.0]);
    }

    #[test]
    fn softmax_says_its_version() {
        // Shares of four equal numbers, by rows or all together.
        let operands = || {
            scaled(
                quantized(Source::new(13), &[1, 2, 2], &[5; 4], (1.0, 0)),
                (0.125, 0),
            )
        };
        let by = |opset| vec![int("axis", 1), int("opset", opset)];
        assert_eq!(answer(operands(), "QLinearSoftmax", by(13)), [4.0; 4]);
        assert_eq!(answer(operands(), "QLinearSoftmax", by(12)), [2.0; 4]);
    }

    #[test]
    fn pools() {
        let operands = || {
            scaled(
                quantized(Source::new(13), &[1, 1, 1, 4], &[1, 3, 5, 9], (0.5, 1)),
                (0.5, 0),
            )
        };
        let window = || vec![ints("kernel_shape", &[1, 2]), ints("strides", &[1, 2])];
        assert_eq!(
            answer(operands(), "QLinearAveragePool", window()),
            [1.0, 6.0]
        );
        assert_eq!(
            answer(operands(), "QLinearGlobalAveragePool", vec![]),
            [4.0]
        );
        let names = ["x0", "x1", "x2", "x3", "x4"];
        let last = operands().node(
            "QLinearGlobalAveragePool",
            &names,
            "y",
            vec![int("channels_last", 1)],
        );
        let last = last
            .edit(|graph| graph.node[0].domain = Some(DOMAIN.into()))
            .output("y");
        assert!(
            last.refusal().contains("channels are last"),
            "{}",
            last.refusal()
        );
    }

    #[test]
    fn parts_with_scales_of_their_own_join() {
        let source = scaled(Source::new(13), (1.0, 10));
        let source = quantized(pair(source), &[1, 1], &[2], (4.0, 0));
        let joined = answer(source, "QLinearConcat", vec![int("axis", 1)]);
        assert_eq!(joined, [11.0, 13.0, 18.0]);
    }

    #[test]
    fn a_condition_chooses_real_numbers() {
        let source = Source::new(13).whole_of(&[2], &[1, 0]);
        let source = scaled(quantized(pair(source), &[], &[5], (2.0, 0)), (1.0, 0));
        let source = source.node("Cast", &["x0"], "c", vec![int("to", 9)]);
        let names = ["c", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8"];
        let source = source.node("QLinearWhere", &names, "q", vec![]);
        let source = source.edit(|graph| graph.node[1].domain = Some(DOMAIN.into()));
        let source = source.node("Cast", &["q"], "y", vec![int("to", 1)]);
        assert_eq!(source.output("y").run().1, [1.0, 10.0]);
    }

    /// `[1, 3] B + C` with a scale for each column of B, that stands turned or not.
    #[test]
    fn matrices_have_a_scale_for_each_column() {
        let source = |turned: bool, to: Option<(f32, i64)>| {
            let b: [i64; 6] = if turned {
                [1, 2, 3, 4, 5, 6]
            } else {
                [1, 3, 5, 2, 4, 6]
            };
            let dims = if turned { [3, 2] } else { [2, 3] };
            let source = pair(Source::new(13)).whole_of(&dims, &b);
            let source = source
                .constant(&[3], &[1.0, 2.0, 4.0])
                .whole_of(&[3], &[0, 0, 1]);
            let source = source.whole_of(&[3], &[2, 1, 0]);
            let source = match to {
                Some(to) => scaled(source, to),
                None => source,
            };
            answer(source, "QGemm", vec![int("transB", i64::from(turned))])
        };
        // 7 + 1, 2 * 15 + 1, 4 * (4 + 3 * 5)
        for turned in [false, true] {
            assert_eq!(source(turned, None), [8.0, 31.0, 76.0]);
            assert_eq!(source(turned, Some((2.0, 1))), [5.0, 17.0, 39.0]);
        }
    }

    #[test]
    fn what_is_missing_has_a_remedy() {
        let refusal = |operator: &str| {
            let source = Source::new(13).input(&[1], &[1.0]).apply(operator, vec![]);
            let source = source.edit(|graph| graph.node[0].domain = Some(DOMAIN.into()));
            source.refusal()
        };
        assert!(refusal("QLinearReduceWhat").contains("QuantFormat.QDQ"));
        assert!(refusal("FusedConv").contains("standard ONNX operators only"));
    }
}

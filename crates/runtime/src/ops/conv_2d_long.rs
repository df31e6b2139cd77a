//! Convolutions of int16 with int8 weights whose biases are of 64 bits, as TensorFlow Lite has them:
//! sums of 64 bits times a multiplier of 15, halves up, with no limit to what a sum may reach.

use super::window;
use crate::Run;
use format::{DType, Node};
use kernels::{Conv2dLong, Geometry};

/// Products in one sum: 2^20 of them stay far below 2^47, where the arithmetic of 64 bits ends.
const MOST_PRODUCTS: usize = 1 << 20;

fn geometry(node: &Node<'_>, params: &mut format::Params<'_>) -> Option<Geometry> {
    let moving = window::decode(params);
    let groups = usize::from(params.u16());
    window::geometry(node, moving, groups)
}

/// Whether operands and parameters fit.
pub(super) fn check(node: &Node<'_>) -> Option<()> {
    let geometry = geometry(node, &mut node.params())?;
    window::check(node, &geometry)?;
    let (input, weights, output) = (node.input(0)?, node.input(1)?, node.output(0)?);
    let channels = node.input(2)?;
    let [inputs, outputs] = [geometry.input[2], geometry.output[2]];
    let divides = inputs % geometry.groups == 0 && outputs % geometry.groups == 0;
    let types = [input.dtype, weights.dtype, channels.dtype, output.dtype];
    let typed = types == [DType::I16, DType::I8, DType::I32, DType::I16];
    let held = weights.shape.elements() == outputs.checked_mul(geometry.taps())?
        && channels.shape.elements() == outputs.checked_mul(4)?;
    let fits = divides && typed && held && outputs > 0 && inputs > 0;
    (fits && geometry.taps() <= MOST_PRODUCTS).then_some(())
}

/// Computes the output.
pub(super) fn run(run: &Run<'_>) {
    let mut params = run.node.params();
    let Some(geometry) = geometry(&run.node, &mut params) else {
        return;
    };
    let limits = super::limits_i16(&mut params);
    let (input, output) = (run.input::<i16>(0), run.output::<i16>(0));
    let [from, to] = [geometry.input, geometry.output].map(|[a, b, c]| a * b * c);
    for (image, output) in output.chunks(to.max(1)).enumerate() {
        kernels::i16::conv_2d_long(&Conv2dLong {
            geometry,
            input: input.part(image * from, from),
            output,
            weights: run.constant(1),
            channels: run.constant(2),
            limits,
        });
    }
}

#[cfg(feature = "host")]
pub(crate) use host::lower;

#[cfg(feature = "host")]
mod host {
    use crate::host::{
        Activation, Data, Lowered, LoweredOperand, Operand, activation_limits, required,
    };
    use format::fixed::{quantize_multiplier, reduced_multiplier};
    use format::{DType, ParamsWriter, Shape};
    use kernels::memory::as_bytes;
    use std::string::String;
    use std::vec::Vec;

    /// Lowers a convolution, given its encoded geometry, whose biases are int64.
    pub(crate) fn lower(
        mut params: ParamsWriter,
        inputs: &[Option<Operand<'_>>],
        output: &Operand<'_>,
        activation: Activation,
    ) -> Result<Lowered, String> {
        let (input, weights, bias) = (
            required(inputs, 0)?,
            required(inputs, 1)?,
            required(inputs, 2)?,
        );
        let [(from, zero), (to, output_zero)] = [input.affine()?, output.affine()?];
        if zero != 0 || output_zero != 0 {
            return Err("int16 tensors have the zero point 0".into());
        }
        let values = weights.data.ok_or("the weights must be constant")?.i8()?;
        let Some(Data::I64(biases)) = bias.data else {
            return Err("the biases must be constant and int64".into());
        };
        let outputs = weights.shape.dim(0);
        if biases.len() != outputs || values.len() / outputs.max(1) > super::MOST_PRODUCTS {
            return Err(std::format!(
                "{} biases do not fit weights {}",
                biases.len(),
                weights.shape
            ));
        }
        let scales = weights
            .quantization
            .ok_or("the weights are not quantized")?;
        let mut records = Vec::new();
        for (channel, &bias) in biases.iter().enumerate() {
            if bias.unsigned_abs() >= 1 << 46 {
                return Err(std::format!(
                    "bias {channel} needs more than 47 bits: {bias}"
                ));
            }
            let factor = f64::from(from) * f64::from(scales.scale(channel)) / f64::from(to);
            let [multiplier, right] = reduced_multiplier(quantize_multiplier(factor))
                .ok_or_else(|| std::format!("sums of channel {channel} grow by {factor}"))?;
            records.extend([bias as i32, (bias >> 32) as i32, multiplier, right]);
        }
        let [low, high] = activation_limits(activation, output)?;
        params.i16(low).i16(high);
        let constant = |dtype, shape, bytes| LoweredOperand::Constant {
            dtype,
            shape,
            bytes,
        };
        let shape = Shape::new(&[outputs as u32, 4]).ok_or("too many dimensions")?;
        let operands = std::vec![
            LoweredOperand::Input(0),
            constant(DType::I8, weights.shape, as_bytes(values).to_vec()),
            constant(
                DType::I32,
                shape,
                records.iter().flat_map(|word| word.to_le_bytes()).collect()
            ),
        ];
        Ok(Lowered {
            code: crate::ops::conv_2d::LONG_I16.code,
            operands,
            params: params.finish(),
        })
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use crate::host::{Activation, Data, Quantization, Tensor, evaluate};
    use crate::ops::fully_connected::FullyConnected;
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    /// 3,000 x 0.001 x 100 x 0.5 = 150 for each of 1,000 inputs, and a bias of -150,000 + 2.
    #[test]
    fn biases_may_exceed_32_bits() {
        let tensor = |dims: &[u32], data| Tensor {
            shape: Shape::new(dims).unwrap(),
            data,
        };
        let q = |scale| Some(Quantization::per_tensor(scale, 0));
        let inputs = [
            Some((tensor(&[1, 1000], Data::I16(vec![3000; 1000])), q(0.001))),
            Some((tensor(&[1, 1000], Data::I8(vec![100; 1000])), q(0.5))),
            Some((tensor(&[1], Data::I64(vec![-300_000_000 + 4_000])), None)),
        ];
        let layer = FullyConnected {
            activation: Activation::None,
        };
        let outputs = evaluate(&layer, &inputs, &[q(0.001)], Rounding::Double).unwrap();
        assert_eq!(outputs[0].data, Data::I16(vec![2_000]));
    }
}

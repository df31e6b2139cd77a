//! Fully connected layer: `out[n, o] = activation(bias[o] + sum over i of in[n, i] * weight[o, i])`.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | input | `[N, I]` (leading dimensions are flattened into N) | int8, f32 | per tensor |
//! | weights | `[O, I]` | int8, f32 | per output, symmetric |
//! | bias | `[O]` | f32, int32 | |
//! | output | `[N, O]` | as the input | per tensor |
//!
//! On the device it is a 1 x 1 convolution: see [`super::conv_2d`]. `N` images of one pixel.

#[cfg(feature = "host")]
pub use host::FullyConnected;

#[cfg(feature = "host")]
mod host {
    use crate::host::{Activation, Inferred, Lowered, Operand, Operator, required};
    use crate::ops::Window2d;
    use crate::ops::conv_2d::host::{Layout, lower_with};
    use format::fixed::Rounding;
    use format::{ParamsWriter, Shape};
    use std::string::String;
    use std::vec::Vec;

    /// Attributes of a fully connected layer.
    #[derive(Clone, Copy, Debug, Default, PartialEq)]
    pub struct FullyConnected {
        /// Fused activation.
        pub activation: Activation,
    }

    impl Operator for FullyConnected {
        fn name(&self) -> &'static str {
            "fully_connected"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let (input, weights) = (required(inputs, 0)?, required(inputs, 1)?);
            if weights.shape.rank() != 2 || input.shape.rank() == 0 {
                return Err("needs an input [N, I] and weights [O, I]".into());
            }
            if input.shape.last() != weights.shape.dim(1) {
                return Err(std::format!(
                    "weights {} do not fit an input of {}",
                    weights.shape,
                    input.shape
                ));
            }
            let mut dims = input.shape.dims().to_vec();
            if let Some(last) = dims.last_mut() {
                *last = weights.shape.dim(0) as u32;
            }
            Ok(std::vec![(input.dtype, Shape::new(&dims).ok_or("too many dimensions")?)])
        }

        fn macs(&self, inputs: &[Option<Operand<'_>>], outputs: &[Operand<'_>]) -> u64 {
            let taps = inputs.first().and_then(Option::as_ref).map_or(0, |x| x.shape.last());
            outputs.first().map_or(0, |o| o.shape.elements() as u64 * taps as u64)
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            rounding: Rounding,
        ) -> Result<Lowered, String> {
            let mut params = ParamsWriter::default();
            Window2d::dense([1, 1]).encode(&mut params);
            params.u16(1);
            let layout = Layout::OutputsFirst;
            lower_with(params, inputs, outputs, self.activation, layout, rounding)
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::FullyConnected;
    use crate::host::{Data, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    #[test]
    fn two_rows_by_two_outputs() {
        let tensor = |dims: &[u32], values: &[f32]| {
            let shape = Shape::new(dims).unwrap();
            Some((Tensor { shape, data: Data::F32(values.to_vec()) }, None))
        };
        let inputs = [
            tensor(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            tensor(&[2, 3], &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0]),
            tensor(&[2], &[0.0, 0.5]),
        ];
        let outputs = evaluate(&FullyConnected::default(), &inputs, &[], Rounding::High).unwrap();
        assert_eq!(outputs[0].data, Data::F32(vec![1.0, 6.5, 4.0, 15.5]));
    }
}

//! Pools, and the padding that they share with convolutions.

use crate::tflite::call::{Call, Refusal};
use crate::tflite::schema::Element;
use graph::Shape;
use runtime::ops::Window2d;
use runtime::ops::average_pool_2d::{AveragePool2d, Halves};
use runtime::ops::max_pool_2d::MaxPool2d;

/// Rows and columns of zeros for the padding `SAME` (0) or `VALID` (1): the odd one goes after.
pub(super) fn padding(window: &Window2d, input: &Shape, code: i8) -> Result<[usize; 4], Refusal> {
    let mut padding = [0; 4];
    match code {
        0 => {}
        1 => return Ok(padding),
        code => return Err(format!("its padding {code} is not known").into()),
    }
    for axis in 0..2 {
        let (size, stride) = (input.dim(axis + 1), window.stride[axis].max(1));
        let reach = window.kernel[axis].saturating_sub(1);
        let reach = reach
            .saturating_mul(window.dilation[axis])
            .saturating_add(1);
        let last = size.div_ceil(stride).saturating_sub(1) * stride;
        let total = last.saturating_add(reach).saturating_sub(size);
        padding[axis] = total / 2;
        padding[axis + 2] = total - total / 2;
    }
    Ok(padding)
}

pub(super) fn window(call: &mut Call<'_, '_>) -> Result<Window2d, Refusal> {
    let input = call.input(0)?;
    let shape = call.shape(input);
    if shape.rank() != 4 {
        return Err("needs an input [N, H, W, C]".into());
    }
    let mut window = Window2d::dense([call.option_size(4, 1)?, call.option_size(3, 1)?]);
    window.stride = [call.option_size(2, 1)?, call.option_size(1, 1)?];
    window.padding = padding(&window, &shape, call.option_i8(0)?)?;
    Ok(window)
}

pub(super) fn average(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let pool = AveragePool2d {
        window: window(call)?,
        count_include_pad: false,
        // Means of unsigned bytes are never below zero, and round as such.
        halves: match call.output()?.element {
            Element::U8 => Halves::Up,
            _ => Halves::Away,
        },
        activation: call.activation(5)?,
    };
    let input = call.input(0)?;
    // Integers keep their input's scale; what the file declares then differs by a rounding at most.
    let quantization = call.shared_quantization(input)?;
    let value = call.push(pool, &[input], quantization)?;
    call.deliver(value)
}

pub(super) fn max(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let pool = MaxPool2d {
        window: window(call)?,
        activation: call.activation(5)?,
    };
    let input = call.input(0)?;
    let quantization = call.shared_quantization(input)?;
    let value = call.push(pool, &[input], quantization)?;
    call.deliver(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_odd_row_goes_after() {
        let shape = Shape::new(&[1, 49, 10, 1]).unwrap();
        let window = Window2d {
            stride: [2, 2],
            ..Window2d::dense([10, 4])
        };
        assert_eq!(padding(&window, &shape, 0), Ok([4, 1, 5, 1]));
        assert_eq!(padding(&window, &shape, 1), Ok([0; 4]));
        assert!(padding(&window, &shape, 2).is_err());
    }
}

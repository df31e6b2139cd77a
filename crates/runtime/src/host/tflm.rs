//! The fixed-point functions of TensorFlow Lite Micro for int8, one input at a time: what the
//! tables of models that follow it are made of.

use crate::ops::l2_normalize::inverse_root;
use crate::ops::softmax::{
    exp_of_negative, one_over_one_plus, saturating_shift_left, two_over_one_plus,
};
use crate::ops::unary::Function;
use format::fixed::{
    quantize, quantize_multiplier, requantize_double, rounding_divide_by_power_of_two as divide,
};

/// Scale and zero point.
type Affine = (f32, i32);

/// The output of a function for an int8 input.
pub(crate) fn tflm_unary(function: Function, from: Affine, to: Affine, input: i8) -> i8 {
    let steps = i32::from(input) - from.1;
    let value = match function {
        Function::Sigmoid => sigmoid(steps, from.0),
        Function::Tanh => tanh(steps, from.0),
        Function::HardSwish => hard_swish(steps, from.0, to),
        Function::Relu => rescaled(steps, f64::from(from.0 / to.0), to.1).max(to.1),
        Function::LeakyRelu(slope) => {
            let factor = if steps < 0 {
                from.0 * slope / to.0
            } else {
                from.0 / to.0
            };
            leaky(steps, factor, to.1)
        }
        Function::InverseSqrt => inverse_sqrt(steps, (from.0, to)),
        Function::Abs if from.0 == to.0 => steps.abs() + to.1,
        // The one ratio that is not of single precision there.
        Function::Abs => rescaled(steps.abs(), f64::from(from.0) / f64::from(to.0), to.1),
        // Limits that are applied to the integers as they are.
        Function::Clip(low, high) if from == to => {
            let bound = |real: f32| quantize(real, from.0, from.1, -128, 127);
            i32::from(input).clamp(bound(low), bound(high).max(bound(low)))
        }
        _ => {
            let real = from.0 * steps as f32;
            let scaled = function.apply(real) * (1.0 / to.0);
            quantize(scaled, 1.0, to.1, -128, 127)
        }
    };
    value.clamp(-128, 127) as i8
}

fn rescaled(steps: i32, factor: f64, zero_point: i32) -> i32 {
    let (multiplier, shift) = quantize_multiplier(factor);
    requantize_double(steps, multiplier, shift).saturating_add(zero_point)
}

/// A factor that may be negative.
fn leaky(steps: i32, factor: f32, zero_point: i32) -> i32 {
    let (multiplier, shift) = quantize_multiplier(f64::from(factor.abs()));
    let multiplier = if factor < 0.0 {
        -multiplier
    } else {
        multiplier
    };
    requantize_double(steps, multiplier, shift).saturating_add(zero_point)
}

/// One by the root of an integer, times what the scales make of it. What is not positive has no root there;
/// zero gives the largest output.
fn inverse_sqrt(steps: i32, (from, to): (f32, Affine)) -> i32 {
    const PLACES: i32 = 20;
    if steps <= 0 {
        return 127;
    }
    let (root, shift) = inverse_root(steps);
    let scaled = requantize_double(1, root, shift + PLACES);
    let (multiplier, shift) = quantize_multiplier(f64::from(1.0 / (from.sqrt() * to.0)));
    requantize_double(scaled, multiplier, shift - PLACES).saturating_add(to.1)
}

/// An input in Q4.27, or which end of the function it lies beyond.
enum Place {
    Below,
    Inside(i32),
    Above,
}

fn place(steps: i32, scale: f32) -> Place {
    let (multiplier, shift) = quantize_multiplier(f64::from(scale) * f64::from(1u32 << 27));
    let radius = (15.0 * f64::from(1u32 << 27) / 2f64.powi(shift)).floor();
    match f64::from(steps) {
        x if x <= -radius => Place::Below,
        x if x >= radius => Place::Above,
        _ => Place::Inside(requantize_double(steps, multiplier, shift)),
    }
}

/// `1 / (1 + exp(-x))` in steps of 1/256 from -128.
fn sigmoid(steps: i32, scale: f32) -> i32 {
    let x = match place(steps, scale) {
        Place::Below => return -128,
        Place::Above => return 127,
        Place::Inside(x) => x,
    };
    let of_positive = one_over_one_plus(exp_of_negative::<4>(-x.abs()));
    let value = match x {
        0 => 1 << 30,
        1.. => of_positive,
        _ => i32::MAX - of_positive,
    };
    divide(value, 23) - 128
}

/// Hyperbolic tangent in steps of 1/128 from 0.
fn tanh(steps: i32, scale: f32) -> i32 {
    let x = match place(steps, scale) {
        Place::Below => return -128,
        Place::Above => return 127,
        Place::Inside(x) => x,
    };
    // (1 - e) / (1 + e) = 2 / (1 + e) - 1 for e = exp(-2 |x|): the same bits, read as Q5.26.
    let quotient = two_over_one_plus(exp_of_negative::<5>(-x.abs()));
    let magnitude = saturating_shift_left(quotient.wrapping_sub(1 << 29), 2);
    let value = match x {
        0 => 0,
        1.. => magnitude,
        _ => -magnitude,
    };
    divide(value, 24)
}

/// `x * min(max(x + 3, 0), 6) / 6` in 16 bits.
fn hard_swish(steps: i32, scale: f32, to: Affine) -> i32 {
    let fine_scale = (1.0 / 128.0) * scale;
    let (output_factor, output_shift) = half_multiplier(fine_scale / to.0);
    let (relu_factor, relu_shift) = half_multiplier(fine_scale / (3.0 / 32_768.0));
    let fine = saturate(steps * 128);
    let scaled = doubling_high_half(fine, output_factor);
    let mut share = fine;
    if relu_shift > 0 {
        share = saturate(share << (relu_shift - 1).min(16));
    }
    share = doubling_high_half(share, relu_factor);
    share = match relu_shift {
        1.. => saturate(share << 1),
        0 => share,
        _ => divide(share, (-relu_shift).min(31)),
    };
    // From [-1, 1] to [0, 1].
    share = (share + (1 << 15)) >> 1;
    let product = saturate(share * scaled / (1 << 15));
    divide(product, (-output_shift).clamp(0, 31)) + to.1
}

/// A multiplier of 15 bits and its power of two.
fn half_multiplier(factor: f32) -> (i32, i32) {
    let (multiplier, shift) = quantize_multiplier(f64::from(factor));
    match multiplier >= i32::MAX - (1 << 15) {
        true => (32_767, shift),
        false => ((multiplier + (1 << 15)) >> 16, shift),
    }
}

fn saturate(value: i32) -> i32 {
    value.clamp(-32_768, 32_767)
}

/// `round(a * b / 2^15)` of 16-bit numbers.
fn doubling_high_half(a: i32, b: i32) -> i32 {
    if a == -32_768 && b == -32_768 {
        return 32_767;
    }
    let product = a * b;
    let nudge = if product >= 0 { 1 << 14 } else { 1 - (1 << 14) };
    (product + nudge) / (1 << 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fixed point is off by a step at most.
    #[test]
    fn functions_are_close_to_the_real_ones() {
        let functions = [
            (Function::Sigmoid, (1.0 / 256.0, -128)),
            (Function::Tanh, (1.0 / 128.0, 0)),
            (Function::HardSwish, (0.05, -120)),
            (Function::Relu, (0.03, -128)),
            (Function::LeakyRelu(0.2), (0.04, -80)),
            (Function::Abs, (0.02, -128)),
        ];
        for (function, to) in functions {
            for input in i8::MIN..=i8::MAX {
                let real = (f32::from(input) - 10.0) * 0.05;
                let expected = quantize(function.apply(real), to.0, to.1, -128, 127);
                let got = i32::from(tflm_unary(function, (0.05, 10), to, input));
                assert!(
                    (got - expected).abs() <= 1,
                    "{function:?} of {real}: {got}, {expected}"
                );
            }
        }
    }
}

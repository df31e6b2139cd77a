//! Sums of two tensors, four elements at a time: an element of each is one multiplication.

use super::dsp::{
    limit_bytes, multiply_add, pack_lower, pack_upper, saturate_byte, widen_even, widen_odd,
};
use super::finish::packed;
use crate::{AddI8, scalar};

/// See [`crate::i8::add`].
pub(crate) fn add(operands: &AddI8<'_>) {
    let [first, second] = operands.inputs;
    let count = operands.output.len();
    let [a, b] = operands.factors.map(i16::try_from);
    let (Ok(a), Ok(b), true) = (a, b, first.len().min(second.len()) >= count) else {
        return scalar::i8::add(operands);
    };
    let factors = pack_lower(a as u32, b as u32);
    let [low, high] = operands.limits.map(|limit| packed(limit.into()));
    let output: *mut i8 = operands.output.as_ptr().cast_mut().cast();
    let whole = count / 4 * 4;
    for at in (0..whole).step_by(4) {
        // SAFETY: `at + 4 <= count`, and inputs and output have as many elements.
        let [a, b] = [first, second]
            .map(|input| unsafe { input.as_ptr().add(at).cast::<u32>().read_unaligned() });
        let finish = |pair: u32| {
            let sum = multiply_add(pair, factors, operands.offset);
            saturate_byte(sum >> (operands.shift & 31))
        };
        let half = |a: u32, b: u32| {
            let (lower, upper) = (finish(pack_lower(a, b)), finish(pack_upper(b, a)));
            pack_lower(lower, upper) & 0x00FF_00FF
        };
        let even = half(widen_even(a), widen_even(b));
        let odd = half(widen_odd(a), widen_odd(b));
        let bytes = limit_bytes(even | odd << 8, low, high);
        // SAFETY: as above.
        unsafe { output.add(at).cast::<u32>().write_unaligned(bytes) };
    }
    scalar::i8::add(&operands.behind(whole));
}

//! Stores weights of convolutions in half the bytes where nothing is lost by it.

use half::f16;
use kernels::memory::as_bytes;
use runtime::host::{Lowered, LoweredOperand};
use runtime::ops::conv_2d;

/// Where a convolution's weights are.
const WEIGHTS: usize = 1;

/// The node with int4 or half-precision weights, where each of them is such a number; else as it was.
pub(crate) fn narrowed(mut lowered: Lowered) -> Lowered {
    let narrow = match lowered.code {
        code if code == conv_2d::I8.code => {
            (&conv_2d::NARROW_I8, format::DType::I4, packed as Pack)
        }
        code if code == conv_2d::F32.code => {
            (&conv_2d::NARROW_F32, format::DType::F16, halved as Pack)
        }
        _ => return lowered,
    };
    let (op, narrower, pack) = narrow;
    if let Some(LoweredOperand::Constant { dtype, bytes, .. }) = lowered.operands.get_mut(WEIGHTS)
        && let Some(fewer) = pack(bytes)
    {
        (*dtype, *bytes) = (narrower, fewer);
        lowered.code = op.code;
    }
    lowered
}

/// The bytes of narrower elements, where they hold the same numbers.
type Pack = fn(&[u8]) -> Option<Vec<u8>>;

/// Two int8 within -8..=7 a byte, the first in its lower half.
fn packed(bytes: &[u8]) -> Option<Vec<u8>> {
    let fits = |&byte: &u8| (-8..=7).contains(&(byte as i8));
    let pair = |pair: &[u8]| pair[0] & 15 | pair.get(1).map_or(0, |second| second << 4);
    bytes
        .iter()
        .all(fits)
        .then(|| bytes.chunks(2).map(pair).collect())
}

fn halved(bytes: &[u8]) -> Option<Vec<u8>> {
    let (words, _) = bytes.as_chunks::<4>();
    let half = |word: &[u8; 4]| {
        let value = f32::from_le_bytes(*word);
        let half = f16::from_f32(value);
        (half.to_f32().to_bits() == value.to_bits()).then_some(half.to_bits())
    };
    let halves: Option<Vec<u16>> = words.iter().map(half).collect();
    halves.map(|halves| as_bytes(&halves).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_packed_only_where_all_are_small() {
        assert_eq!(packed(&[1, 0xff, 7]), Some(vec![0xf1, 0x07]));
        assert_eq!(packed(&[1, 8]), None);
        assert_eq!(packed(&[0xf7]), None);
    }

    #[test]
    fn floats_are_halved_only_where_nothing_is_lost() {
        let bytes = |values: &[f32]| as_bytes(values).to_vec();
        assert_eq!(halved(&bytes(&[1.0, -0.5])), Some(vec![0, 0x3c, 0, 0xb8]));
        assert_eq!(halved(&bytes(&[1.0, 0.1])), None);
        assert_eq!(halved(&bytes(&[1e9])), None);
    }
}

//! CRC-32 (IEEE 802.3, reflected polynomial 0xEDB88320) of a model's bytes.

/// CRC-32 (IEEE 802.3): by tables and SIMD, on machines with memory to spare.
#[cfg(feature = "fast-checksum")]
pub fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// CRC-32 (IEEE 802.3): by half bytes and 64 bytes of table, so that a microcontroller pays
/// little flash.
#[cfg(any(test, not(feature = "fast-checksum")))]
pub(crate) fn crc32_small(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 16] = {
        let mut table = [0u32; 16];
        let mut i = 0;
        while i < 16 {
            let mut value = i as u32;
            let mut bit = 0;
            while bit < 4 {
                value = (value >> 1) ^ (0xEDB8_8320 * (value & 1));
                bit += 1;
            }
            table[i] = value;
            i += 1;
        }
        table
    };
    let mut crc = !0u32;
    for &byte in bytes {
        crc = (crc >> 4) ^ TABLE[((crc ^ u32::from(byte)) & 15) as usize];
        crc = (crc >> 4) ^ TABLE[((crc ^ (u32::from(byte) >> 4)) & 15) as usize];
    }
    !crc
}

/// CRC-32 (IEEE 802.3): see [`crc32_small`].
#[cfg(not(feature = "fast-checksum"))]
pub fn crc32(bytes: &[u8]) -> u32 {
    crc32_small(bytes)
}

#[cfg(test)]
mod tests {
    #[test]
    fn check_value_of_the_catalogue() {
        assert_eq!(super::crc32_small(b"123456789"), 0xCBF4_3926);
        assert_eq!(super::crc32(b"123456789"), 0xCBF4_3926);
    }
}

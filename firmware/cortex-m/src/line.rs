//! A short text, built without the formatting code of `core`, which is larger than some models.

/// A text of up to 160 bytes; what goes beyond is left out.
#[derive(Clone, Debug)]
pub struct Line {
    bytes: [u8; 160],
    length: usize,
}

impl Line {
    /// An empty text.
    pub const fn new() -> Self {
        Line {
            bytes: [0; 160],
            length: 0,
        }
    }

    /// Adds a text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        for &byte in text.as_bytes() {
            if let Some(place) = self.bytes.get_mut(self.length) {
                *place = byte;
                self.length += 1;
            }
        }
        self
    }

    /// Adds a number in base 2 to 16.
    pub fn number(&mut self, value: u32, base: u32) -> &mut Self {
        let (base, mut divisor) = (base.clamp(2, 16), 1u32);
        while value / divisor.max(1) >= base {
            divisor *= base;
        }
        while divisor > 0 {
            let digit = (value / divisor % base) as usize;
            self.text("0123456789abcdef".get(digit..digit + 1).unwrap_or("?"));
            divisor /= base;
        }
        self
    }

    /// The bytes of the text.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&[])
    }
}

impl Default for Line {
    fn default() -> Self {
        Self::new()
    }
}

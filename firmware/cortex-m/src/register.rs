//! One 32-bit register of a peripheral.

/// A register at a fixed address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Register(*mut u32);

impl Register {
    /// # Safety
    ///
    /// `address` is that of a 32-bit register that may be read and written at any time.
    pub(crate) const unsafe fn at(address: usize) -> Self {
        Register(address as *mut u32)
    }

    #[inline(always)]
    pub(crate) fn read(self) -> u32 {
        // SAFETY: `at` was promised a register that may be read at any time.
        unsafe { self.0.read_volatile() }
    }

    #[inline(always)]
    pub(crate) fn write(self, value: u32) {
        // SAFETY: `at` was promised a register that may be written at any time.
        unsafe { self.0.write_volatile(value) }
    }
}

//! The end of a program that went wrong: a message to the debugger, and a failed exit.
//!
//! Under an emulator with semihosting its standard error shows the message and it exits with 1.
//! Without a debugger the processor stops.

use crate::semihosting::{self, Exit};
use core::ffi::CStr;
use core::panic::PanicInfo;
use cortex_m_rt::{ExceptionFrame, exception};

/// A short text, built without the formatting code of `core`, which is larger than some models.
struct Line {
    bytes: [u8; 160],
    length: usize,
}

impl Line {
    const fn new() -> Self {
        Line {
            bytes: [0; 160],
            length: 0,
        }
    }

    fn text(&mut self, text: &str) -> &mut Self {
        for &byte in text.as_bytes() {
            // The last byte stays 0: it ends the text for the debugger.
            if self.length + 1 < self.bytes.len()
                && let Some(place) = self.bytes.get_mut(self.length)
            {
                *place = byte;
                self.length += 1;
            }
        }
        self
    }

    fn number(&mut self, value: u32, base: u32) -> &mut Self {
        let mut divisor = 1;
        while value / divisor >= base {
            divisor *= base;
        }
        while divisor > 0 {
            let digit = value / divisor % base;
            let shown = [char::from_digit(digit, base).unwrap_or('?') as u8];
            self.text(core::str::from_utf8(&shown).unwrap_or("?"));
            divisor /= base;
        }
        self
    }
}

fn stop(line: &mut Line) -> ! {
    line.text("\n");
    if let Ok(text) = CStr::from_bytes_until_nul(&line.bytes) {
        semihosting::print(text);
    }
    semihosting::exit(Exit::Failed)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let mut line = Line::new();
    line.text("firmware panic");
    if let Some(location) = info.location() {
        line.text(" at ")
            .text(location.file())
            .text(":")
            .number(location.line(), 10);
    }
    stop(&mut line)
}

// SAFETY: the handler reads the frame that the processor has stacked, and never returns.
#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    let mut line = Line::new();
    line.text("firmware hard fault at 0x")
        .number(frame.pc(), 16);
    line.text(", called from 0x").number(frame.lr(), 16);
    stop(&mut line)
}

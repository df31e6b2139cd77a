//! Requests to a debugger or an emulator, and a link over its standard input and output.
//!
//! An emulator hands a UART one byte at a time, some 100 microseconds each; semihosting moves
//! a block at once.

use crate::Line;
use core::ffi::CStr;

const SYS_OPEN: u32 = 0x01;
const SYS_WRITEC: u32 = 0x03;
const SYS_WRITE: u32 = 0x05;
const SYS_READ: u32 = 0x06;
const SYS_EXIT: u32 = 0x18;
/// Modes of `SYS_OPEN`: those of C's "rb" and "wb".
const READ: u32 = 1;
const WRITE: u32 = 5;

/// How a program ends.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(crate) enum Exit {
    /// The emulator's status is 0.
    Done = 0x2_0026,
    /// The emulator's status is 1.
    Failed = 0x2_0023,
}

/// Shows a text on the debugger's standard error.
pub fn print(line: &Line) {
    for byte in line.bytes() {
        let address: *const u8 = byte;
        // SAFETY: SYS_WRITEC reads the byte at the address.
        unsafe { cortex_m::asm::semihosting_syscall(SYS_WRITEC, address as u32) };
    }
}

/// Ends the program; without a debugger the processor stops.
pub(crate) fn exit(how: Exit) -> ! {
    // SAFETY: SYS_EXIT takes a number. It does not return under a debugger.
    unsafe { cortex_m::asm::semihosting_syscall(SYS_EXIT, how as u32) };
    loop {
        cortex_m::asm::wfi();
    }
}

fn open(path: &CStr, mode: u32) -> Option<u32> {
    let arguments = [path.as_ptr() as u32, mode, path.count_bytes() as u32];
    // SAFETY: SYS_OPEN reads three words: a text that ends with zero, a mode, its length.
    let handle = unsafe { cortex_m::asm::semihosting_syscall(SYS_OPEN, arguments.as_ptr() as u32) };
    (handle != u32::MAX).then_some(handle)
}

/// A link over the debugger's standard input and output.
#[derive(Debug)]
pub struct Debugger {
    input: u32,
    output: u32,
    buffer: [u8; 256],
    next: usize,
    length: usize,
}

impl Debugger {
    /// Opens it; `None` when the debugger lends no files. Only for a processor under a debugger.
    pub fn open() -> Option<Self> {
        let (input, output) = (open(c"/dev/stdin", READ)?, open(c"/dev/stdout", WRITE)?);
        Some(Debugger {
            input,
            output,
            buffer: [0; 256],
            next: 0,
            length: 0,
        })
    }

    /// The next byte of its standard input; `None` when there will be no more.
    #[inline]
    pub fn receive(&mut self) -> Option<u8> {
        if self.next == self.length {
            self.fill();
        }
        let byte = self.buffer.get(self.next..self.length)?.first().copied();
        self.next += 1;
        byte
    }

    /// Waits for input; afterwards the buffer is empty only when there will be no more.
    #[inline(never)]
    fn fill(&mut self) {
        let arguments = [
            self.input,
            self.buffer.as_mut_ptr() as u32,
            self.buffer.len() as u32,
        ];
        // SAFETY: SYS_READ reads three words, an open file, memory, its length, and writes no
        // more than that memory, which is borrowed mutably here.
        let missing =
            unsafe { cortex_m::asm::semihosting_syscall(SYS_READ, arguments.as_ptr() as u32) };
        self.length = self.buffer.len().saturating_sub(missing as usize);
        self.next = 0;
    }

    /// Writes to its standard output.
    pub fn send(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let arguments = [self.output, bytes.as_ptr() as u32, bytes.len() as u32];
            // SAFETY: SYS_WRITE reads three words, an open file, memory, its length, and no more
            // than that memory, which is borrowed here.
            let missing =
                unsafe { cortex_m::asm::semihosting_syscall(SYS_WRITE, arguments.as_ptr() as u32) };
            let written = bytes.len().saturating_sub(missing as usize);
            if written == 0 {
                // The host has gone.
                exit(Exit::Done);
            }
            bytes = bytes.get(written..).unwrap_or(&[]);
        }
    }
}

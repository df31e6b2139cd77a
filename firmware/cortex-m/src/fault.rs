//! The end of a program that went wrong: a message to the debugger, and a failed exit.
//!
//! Under an emulator with semihosting its standard error shows the message and it exits with 1.
//! Without a debugger the processor stops.

use crate::Line;
use crate::semihosting::{self, Exit};
use core::panic::PanicInfo;
use cortex_m_rt::{ExceptionFrame, exception};

fn stop(line: &mut Line) -> ! {
    semihosting::print(line.text("\n"));
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

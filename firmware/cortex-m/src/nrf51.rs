//! Boards with Nordic's nRF51: its UART, and its timer 0, since its Cortex-M0 has no SysTick.

use crate::memory::stack_used_bytes;
use crate::register::Register;
use crate::semihosting::Debugger;
use firmware::Board;

const ENABLE_UART: u32 = 4;
const BAUD_115200: u32 = 0x01D7_E000;
const TIMER_ADDRESS: usize = 0x4000_8000;
const WIDTH_32_BITS: u32 = 3;

/// The board.
#[derive(Debug)]
pub struct Device {
    received: Register,
    receive_ready: Register,
    send: Register,
    sent: Register,
    capture: Register,
    captured: Register,
    last: u32,
    wraps: u32,
    stack_bytes: usize,
    debugger: Option<Debugger>,
}

impl Device {
    /// Starts the UART and the timer.
    ///
    /// # Safety
    ///
    /// `uart_address` is that of an nRF51 UART. It and timer 0 are used by nobody else.
    pub unsafe fn new(uart_address: usize, stack_bytes: usize) -> Self {
        // SAFETY: each offset below is a register of the UART, by Nordic's reference manual.
        let uart = |offset| unsafe { Register::at(uart_address + offset) };
        // SAFETY: each offset below is a register of timer 0, by the same manual.
        let timer = |offset| unsafe { Register::at(TIMER_ADDRESS + offset) };
        let [start_receiving, start_sending] = [uart(0x000), uart(0x008)];
        // The micro:bit's wires to its USB interface.
        let [pin_sending, pin_receiving] = [uart(0x50C), uart(0x514)];
        pin_sending.write(24);
        pin_receiving.write(25);
        uart(0x524).write(BAUD_115200);
        uart(0x500).write(ENABLE_UART);
        start_receiving.write(1);
        start_sending.write(1);
        timer(0x508).write(WIDTH_32_BITS);
        // No division of the 16 MHz clock.
        timer(0x510).write(0);
        timer(0x000).write(1);
        Device {
            received: uart(0x518),
            receive_ready: uart(0x108),
            send: uart(0x51C),
            sent: uart(0x11C),
            capture: timer(0x040),
            captured: timer(0x540),
            last: 0,
            wraps: 0,
            stack_bytes,
            debugger: None,
        }
    }
}

impl Board for Device {
    #[inline]
    fn receive(&mut self) -> Option<u8> {
        if let Some(debugger) = &mut self.debugger {
            return debugger.receive();
        }
        while self.receive_ready.read() == 0 {}
        self.receive_ready.write(0);
        Some(self.received.read() as u8)
    }

    fn send(&mut self, bytes: &[u8]) {
        if let Some(debugger) = &mut self.debugger {
            return debugger.send(bytes);
        }
        for &byte in bytes {
            self.sent.write(0);
            self.send.write(u32::from(byte));
            while self.sent.read() == 0 {}
        }
    }

    /// Right as long as it is called at least every 268 seconds, when the timer wraps.
    fn ticks(&mut self) -> u64 {
        self.capture.write(1);
        let now = self.captured.read();
        if now < self.last {
            self.wraps += 1;
        }
        self.last = now;
        u64::from(self.wraps) << 32 | u64::from(now)
    }

    fn switch_to_debugger(&mut self) {
        self.debugger = Debugger::open();
    }

    fn stack_used_bytes(&mut self) -> u32 {
        stack_used_bytes(self.stack_bytes)
    }
}

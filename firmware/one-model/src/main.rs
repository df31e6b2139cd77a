//! One model on one board: reads an input from the debugger, runs the model, writes the output.
//!
//! The model is the package `model`, which `modelopt export --to rust` has written; put another in
//! its place and this program runs that one. It prints the class, which is the place of the
//! largest output, and the executed instructions as an emulator with `-icount shift=0` counts them:
//!
//! ```sh
//! modelopt export digits.mopt --to rust -o model --runtime ../../../crates/runtime
//! cargo build --release --target thumbv7em-none-eabi
//! qemu-system-arm -machine mps2-an386 -nodefaults -display none -icount shift=0 \
//!     -semihosting-config enable=on,target=native \
//!     -kernel target/thumbv7em-none-eabi/release/one-model < digit.bin > scores.bin
//! ```
//!
//! For Cortex-M55 it is `--target thumbv8m.main-none-eabihf --features helium` and
//! `-machine mps3-an547`.
#![no_std]
#![no_main]

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use firmware_cortex_m::{Debugger, Line, end, print};
use model::Model;
use runtime::program::{as_bytes, as_bytes_mut};

/// Ticks of the counter a second.
const CLOCK_HZ: u32 = if cfg!(feature = "helium") {
    32_000_000
} else {
    25_000_000
};
/// Quarters of emulated instructions, of which there are a billion a second, per tick.
const QUARTERS_PER_TICK: u32 = 4_000_000_000 / CLOCK_HZ;
/// The counter counts down 24 bits, which are 671 million instructions.
const RELOAD: u32 = 0xFF_FFFF;

#[cortex_m_rt::entry]
fn main() -> ! {
    // The attribute `entry` hands it out once.
    static mut MODEL: Model = Model::new();
    let (Some(mut debugger), Some(mut core)) = (Debugger::open(), cortex_m::Peripherals::take())
    else {
        end()
    };
    core.SYST.set_clock_source(SystClkSource::Core);
    core.SYST.set_reload(RELOAD);
    core.SYST.clear_current();
    core.SYST.enable_counter();

    // How many numbers of which type these are is up to the model.
    let mut input = [Default::default(); _];
    let mut output = [Default::default(); _];
    for byte in as_bytes_mut(&mut input) {
        *byte = debugger.receive().unwrap_or(0);
    }
    let start = SYST::get_current();
    MODEL.run(&input, &mut output);
    let ticks = start - SYST::get_current();
    debugger.send(as_bytes(&output));

    let (mut class, mut largest) = (0, None);
    for (index, score) in output.into_iter().enumerate() {
        if largest.is_none_or(|largest| score > largest) {
            (class, largest) = (index, Some(score));
        }
    }
    let mut line = Line::new();
    match model::LABELS.get(class) {
        Some(label) => line.text("class ").text(label),
        None => line.text("class ").number(class as u32, 10),
    };
    let instructions = ticks * QUARTERS_PER_TICK / 4;
    line.text(", ").number(instructions, 10);
    print(line.text(" instructions\n"));
    end()
}

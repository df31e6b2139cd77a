//! The interface to JavaScript. Arguments and results are 32-bit integers: handles, indices,
//! lengths, addresses, and codes.
//!
//! A code is 0 or tells what is wrong: below [`NO_SUCH_MODEL`] it is that of [`format::Reason`].
//! Behind a code, the message is at [`text_address`], and below it in a second line the operator
//! that it means, where it means one.
// An exported function needs its plain name, and asking for that is the only "unsafe" here:
// no other item of the program has one of these names.
#![allow(
    unsafe_code,
    reason = "attributes that give exported functions their names"
)]

use crate::aligned::AlignedBytes;
use crate::describe::describe;
use crate::loaded::{Form, Loaded};
use format::{Error, Reason};
use runtime::{Model, ops};
use std::cell::RefCell;

/// The handle is not of a loaded model: it has been released, or never was one.
pub const NO_SUCH_MODEL: u32 = 100;

/// What a handle stands for.
enum Slot {
    /// Nothing, to be used again.
    Free,
    /// A file that is being written.
    Receiving(AlignedBytes),
    /// A model.
    Ready(Box<Loaded>),
}

#[derive(Default)]
struct State {
    slots: Vec<Slot>,
    /// The last message or description.
    text: Vec<u8>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

impl State {
    fn slot(&mut self, handle: u32) -> Option<&mut Slot> {
        self.slots.get_mut((handle as usize).checked_sub(1)?)
    }

    fn fail(&mut self, error: Error, explanation: String) -> u32 {
        self.text = explanation.into_bytes();
        u32::from(error.code())
    }
}

/// Calls `work` with a model and turns its result into a code.
fn with_model(handle: u32, work: impl FnOnce(&mut Loaded) -> Result<(), Error>) -> u32 {
    STATE.with_borrow_mut(|state| {
        let Some(Slot::Ready(loaded)) = state.slot(handle) else {
            return NO_SUCH_MODEL;
        };
        match work(loaded) {
            Ok(()) => 0,
            Err(error) => state.fail(error, error.to_string()),
        }
    })
}

/// The error's own words, and the operator that it means.
fn explain(error: Error, file: &[u8]) -> String {
    let node = match (error.reason, Model::resume(file)) {
        (Reason::Operand | Reason::UnknownOperator, Ok(model)) => {
            model.nodes().find(|node| node.index == error.at as usize)
        }
        _ => None,
    };
    let Some(node) = node else {
        return error.to_string();
    };
    match ops::ALL.iter().find(|op| op.code == node.code()) {
        Some(op) => format!("{error}\n{}", op.name),
        None => format!("{error}\ncode {}", node.code()),
    }
}

/// Makes room for a file of `bytes` bytes and returns its handle, 0 when there is no memory.
#[unsafe(no_mangle)]
pub extern "C" fn reserve(bytes: u32) -> u32 {
    STATE.with_borrow_mut(|state| {
        let Some(file) = AlignedBytes::zeroed(bytes as usize) else {
            return 0;
        };
        let slot = Slot::Receiving(file);
        match state
            .slots
            .iter_mut()
            .position(|slot| matches!(slot, Slot::Free))
        {
            Some(index) => {
                state.slots[index] = slot;
                index as u32 + 1
            }
            None => {
                state.slots.push(slot);
                state.slots.len() as u32
            }
        }
    })
}

/// Where to write the file, 0 when the handle is not of a reserved file.
#[unsafe(no_mangle)]
pub extern "C" fn file_address(handle: u32) -> u32 {
    STATE.with_borrow_mut(|state| match state.slot(handle) {
        Some(Slot::Receiving(file)) => file.address(),
        _ => 0,
    })
}

/// Checks the file that has been written and makes the model ready to run. When it is refused,
/// the handle is released.
#[unsafe(no_mangle)]
pub extern "C" fn load(handle: u32) -> u32 {
    STATE.with_borrow_mut(|state| {
        let Some(slot) = state.slot(handle) else {
            return NO_SUCH_MODEL;
        };
        let Slot::Receiving(file) = std::mem::replace(slot, Slot::Free) else {
            return NO_SUCH_MODEL;
        };
        match Loaded::new(file) {
            Ok(loaded) => {
                *slot = Slot::Ready(Box::new(loaded));
                0
            }
            Err((error, file)) => state.fail(error, explain(error, file.bytes())),
        }
    })
}

/// Puts the model's description at [`text_address`]: see `describe.rs`.
#[unsafe(no_mangle)]
pub extern "C" fn describe_model(handle: u32) -> u32 {
    let mut description = Vec::new();
    let code = with_model(handle, |loaded| {
        description = describe(loaded)?;
        Ok(())
    });
    if code == 0 {
        STATE.with_borrow_mut(|state| state.text = description);
    }
    code
}

/// Where elements of inputs and outputs are handed over, 0 when there is no such model.
#[unsafe(no_mangle)]
pub extern "C" fn exchange_address(handle: u32) -> u32 {
    let mut address = 0;
    with_model(handle, |loaded| {
        address = loaded.exchange_address();
        Ok(())
    });
    address
}

/// 0 stands for single precision numbers, anything else for elements as they are stored.
fn form(stored: u32) -> Form {
    if stored == 0 {
        Form::Real
    } else {
        Form::Stored
    }
}

/// Takes input `index` from the exchange memory.
#[unsafe(no_mangle)]
pub extern "C" fn set_input(handle: u32, index: u32, stored: u32) -> u32 {
    with_model(handle, |loaded| {
        loaded.set_input(index as usize, form(stored))
    })
}

/// Runs the model once. Inputs must be set before each run.
#[unsafe(no_mangle)]
pub extern "C" fn run(handle: u32) -> u32 {
    with_model(handle, Loaded::run)
}

/// Puts output `index` into the exchange memory.
#[unsafe(no_mangle)]
pub extern "C" fn get_output(handle: u32, index: u32, stored: u32) -> u32 {
    with_model(handle, |loaded| {
        loaded.get_output(index as usize, form(stored))
    })
}

/// Forgets the state that is kept between runs.
#[unsafe(no_mangle)]
pub extern "C" fn reset(handle: u32) -> u32 {
    with_model(handle, Loaded::reset)
}

/// Gives all memory of a model back. Releasing twice does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn release(handle: u32) {
    STATE.with_borrow_mut(|state| {
        if let Some(slot) = state.slot(handle) {
            *slot = Slot::Free;
        }
    });
}

/// Where the last message or description is.
#[unsafe(no_mangle)]
pub extern "C" fn text_address() -> u32 {
    STATE.with_borrow(|state| state.text.as_ptr().expose_provenance() as u32)
}

/// Bytes of the last message or description.
#[unsafe(no_mangle)]
pub extern "C" fn text_bytes() -> u32 {
    STATE.with_borrow(|state| state.text.len() as u32)
}

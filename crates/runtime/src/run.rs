//! What an operator is on the device, and what it sees while it runs.

use core::cell::Cell;
use format::{Node, Place, Tensor};
use kernels::memory::{In, Plain, cells_as, slice_as};
#[cfg(feature = "host")]
use kernels::threads::Layer;
use kernels::{Architecture, Binding};

/// The device half of an operator.
#[derive(Clone, Copy, Debug)]
pub struct Op {
    /// The number in the file. Never reused.
    pub code: u16,
    /// The name in tables and profiles.
    pub name: &'static str,
    /// `Some` when the node's operands and parameters fit. Called once; afterwards `run` cannot
    /// fail.
    pub check: fn(&Node<'_>) -> Option<()>,
    /// Bytes of working memory on an architecture.
    pub scratch_bytes: fn(&Node<'_>, Architecture) -> usize,
    /// Bytes of weights packed for an architecture; 0 where the file's are used in place.
    pub prepared_bytes: fn(&Node<'_>, Architecture) -> usize,
    /// Packs them for this machine.
    pub prepare: fn(&Node<'_>, &mut [u8]),
    /// Computes the outputs.
    pub run: fn(&Run<'_>),
    /// What `run` computes, where that is one layer that threads may divide.
    #[cfg(feature = "host")]
    pub layer: for<'a> fn(&Run<'a>) -> Option<Layer<'a>>,
}

impl Op {
    /// An operator without scratch memory and packed weights.
    pub const fn new(
        code: u16,
        name: &'static str,
        check: fn(&Node<'_>) -> Option<()>,
        run: fn(&Run<'_>),
    ) -> Self {
        Op {
            code,
            name,
            check,
            scratch_bytes: |_, _| 0,
            prepared_bytes: |_, _| 0,
            prepare: |_, _| (),
            run,
            #[cfg(feature = "host")]
            layer: |_| None,
        }
    }
}

/// One node about to run, with its memory.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The node.
    pub node: Node<'a>,
    pub(crate) arena: &'a [Cell<u8>],
    pub(crate) binding: Binding<'a>,
}

impl<'a> Run<'a> {
    fn cells(&self, tensor: &Tensor) -> &'a [Cell<u8>] {
        self.span(tensor.offset, tensor.bytes())
    }

    /// A part of the arena; empty where it has none.
    pub(crate) fn span(&self, offset: usize, bytes: usize) -> &'a [Cell<u8>] {
        let end = offset.saturating_add(bytes);
        self.arena.get(offset..end).unwrap_or(&[])
    }

    /// Input operand `index`; empty where it is absent.
    pub fn input<T: Plain>(&self, index: usize) -> In<'a, T> {
        match self.node.input(index) {
            Some(tensor) => self.view(&tensor),
            None => In::from_slice(&[]),
        }
    }

    /// The elements of an input operand that was decoded before.
    pub(crate) fn view<T: Plain>(&self, tensor: &Tensor) -> In<'a, T> {
        match tensor.place {
            Place::Constant => {
                let bytes = self.node.model().constant(tensor);
                In::from_slice(slice_as(bytes).unwrap_or(&[]))
            }
            _ => In::from_cells(self.cells_of(tensor)),
        }
    }

    /// Constant input operand `index`; empty where it is absent or not constant.
    pub fn constant<T: Plain>(&self, index: usize) -> &'a [T] {
        slice_as(self.node.constant(index)).unwrap_or(&[])
    }

    /// Output operand `index`.
    pub fn output<T: Plain>(&self, index: usize) -> &'a [Cell<T>] {
        match self.node.output(index) {
            Some(tensor) => self.cells_of(&tensor),
            None => &[],
        }
    }

    /// The elements of an output operand that was decoded before.
    pub(crate) fn cells_of<T: Plain>(&self, tensor: &Tensor) -> &'a [Cell<T>] {
        cells_as(self.cells(tensor)).unwrap_or(&[])
    }

    /// Scratch memory and packed weights.
    pub fn binding(&self) -> Binding<'a> {
        self.binding
    }
}

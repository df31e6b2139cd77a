//! What register-tile architectures share: how convolutions are cut and staged, how weights are
//! packed, and the loops over rows and chunks of pixels. Their own are the loops inside.
//!
//! Convolutions move over rows of input that are staged in scratch memory: padded on both
//! sides, so that a window is a few runs of contiguous elements and no tap is a special case.
//! Weights are packed once into blocks of outputs, and a register tile holds the sums of a few
//! pixels for one block.

/// Runs a body for the constants 0 to 11 that are below a constant. A loop that the compiler does
/// not unroll would index the sums of a tile, and so keep them in memory all the time.
macro_rules! unrolled {
    ($m:ident in 0..$count:ident $body:block) => {
        $crate::tiled::unrolled!($m $count $body; 0 1 2 3 4 5 6 7 8 9 10 11)
    };
    ($m:ident $count:ident $body:block; $($constant:literal)*) => {
        $({
            let $m: usize = $constant;
            if $m < $count $body
        })*
    };
}
pub(crate) use unrolled;

pub(crate) mod f32;
pub(crate) mod i8;
pub(crate) mod plan;
pub(crate) mod squares;

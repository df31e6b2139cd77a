//! Windows of 3 x 3 by the minimal algorithm F(2 x 2, 3 x 3) in integers, exactly: Winograd,
//! "Arithmetic Complexity of Computations", 1980; Lavin and Gray, "Fast Algorithms for
//! Convolutional Neural Networks", 2016. See `tiled::f32::squares` for the float one.
//!
//! A square of 4 x 4 inputs becomes 16 numbers of every channel, of no more than 4 * 128. Windows
//! become 16 numbers as well, four times what they are in the papers, so that they are whole: of
//! no more than 9 * 128. Their products' sums become four times the sums of 2 x 2 outputs, with 16
//! multiplications where windows take 36. Sums wrap round on the way; what they end with fits.

use core::ops::{Add, Sub};

/// Output pixels of a square's side.
pub(crate) const SIDE: usize = 2;

/// Input pixels of a square's side.
pub(crate) const REACH: usize = SIDE + 2;

/// Numbers of a square in every channel.
pub(crate) const PRODUCTS: usize = REACH * REACH;

/// `(2 G) g` for a row or a column of a window, with the rows of `G` for the points 0, 1, -1 and infinity.
pub(crate) fn line_of_window<N>([a, b, c]: [N; 3]) -> [N; REACH]
where
    N: Copy + Add<Output = N> + Sub<Output = N>,
{
    [a + a, a + b + c, a - b + c, c + c]
}

/// The numbers of a window: `(2 G) g (2 G)'`.
pub(crate) fn numbers_of_window(window: [i8; 9]) -> [i16; PRODUCTS] {
    let four = line_of_window::<i16>;
    let at = |row: usize, column: usize| i16::from(window[3 * row + column]);
    let columns = [0, 1, 2].map(|column| four([at(0, column), at(1, column), at(2, column)]));
    let mut numbers = [0; PRODUCTS];
    for (i, line) in numbers.chunks_exact_mut(REACH).enumerate() {
        line.copy_from_slice(&four([columns[0][i], columns[1][i], columns[2][i]]));
    }
    numbers
}

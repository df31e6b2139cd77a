//! What squares of float and of integer convolutions share: see `f32::squares` and `x86::i8::squares`.

use crate::Geometry;

/// The `REACH` by `REACH` pixels of an image under the square at a row and a column of squares, whose
/// outputs are `REACH - 2` by `REACH - 2`; `padding` stands for those that are not in the image.
pub(crate) fn pixels<T, const REACH: usize, const COUNT: usize>(
    geometry: &Geometry,
    input: *const T,
    square: [usize; 2],
    padding: *const T,
) -> [*const T; COUNT] {
    let [rows, columns, channels] = geometry.input;
    // A pixel before the image wraps round to far behind it.
    let [top, left] =
        [0, 1].map(|axis| ((REACH - 2) * square[axis]).wrapping_sub(geometry.window.padding[axis]));
    if top.saturating_add(REACH) <= rows && left.saturating_add(REACH) <= columns {
        let first = input.wrapping_add((top * columns + left) * channels);
        let at = |i: usize| (i / REACH * columns + i % REACH) * channels;
        return core::array::from_fn(|i| first.wrapping_add(at(i)));
    }
    core::array::from_fn(|i| {
        let (row, column) = (top.wrapping_add(i / REACH), left.wrapping_add(i % REACH));
        match row < rows && column < columns {
            true => input.wrapping_add((row * columns + column) * channels),
            false => padding,
        }
    })
}

//! Where the steps of taps of a pixel are.

use crate::tiled::plan::Runs;

/// The most steps whose starts are listed.
pub(crate) const STARTS_MAX: usize = 64;

/// Where the steps of taps of a pixel are, from its place in a row on.
#[derive(Clone, Copy)]
pub(crate) enum Starts<'a, I> {
    /// Listed: loops over runs of a few steps would spend their time on starting.
    Each(&'a [*const I]),
    Runs(Runs),
}

impl<'a, I> Starts<'a, I> {
    /// For steps of so many taps; runs of at least `run_steps_min` steps are not listed.
    pub(crate) fn of(
        taps: usize,
        runs: Runs,
        rows: &[*const I],
        run_steps_min: usize,
        starts: &'a mut [*const I; STARTS_MAX],
    ) -> Self {
        let steps = runs.length.div_ceil(taps);
        let count = rows.len() * runs.per_row * steps;
        if steps >= run_steps_min || count > STARTS_MAX {
            return Starts::Runs(runs);
        }
        let each = rows.iter().flat_map(|row| {
            (0..runs.per_row)
                .flat_map(move |run| (0..steps).map(move |step| run * runs.apart + taps * step))
                .map(move |at| row.wrapping_add(at))
        });
        starts
            .iter_mut()
            .zip(each)
            .for_each(|(to, start)| *to = start);
        Starts::Each(&starts[..count])
    }
}

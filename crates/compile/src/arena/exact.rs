//! Branch and bound: proves a placement to be the smallest, or finds a smaller one.
//!
//! In some placement of the least memory no buffer can move down. Its buffers in the order of
//! their offsets are what is searched: the next one lies as low as those below it allow, not below
//! the last one, and not above a place where another would have fitted entirely. A branch ends
//! where the bytes that one step of the plan still needs do not fit below the best placement.

use super::{Buffer, Conflict, Placement, Problem, aligned};

/// Problems of more buffers are left to the search by orders.
const BUFFERS: usize = 128;

/// The fewest bytes that any placement takes, rounded up to the alignment: buffers that are alive
/// at one step lie apart, but for what an input and an output may share.
pub(super) fn floor(problem: &Problem<'_>) -> usize {
    let all = |alive: &Vec<usize>| together(problem, alive, |_| true);
    alive(problem.buffers).iter().map(all).max().unwrap_or(0)
}

/// The smaller of the best placement known and the best that `limit` branches lead to.
pub(super) fn improve(problem: &Problem<'_>, best: Placement, limit: usize) -> Placement {
    let count = problem.buffers.len();
    if count > BUFFERS {
        return best;
    }
    let mut search = Search {
        problem,
        alive: alive(problem.buffers),
        best,
        offsets: vec![None; count],
        lowest: vec![0; count],
        left: limit,
    };
    search.place_next(0, 0);
    search.best
}

/// The buffers that matter at each step where one starts to.
fn alive(buffers: &[Buffer]) -> Vec<Vec<usize>> {
    let mut steps: Vec<usize> = buffers.iter().map(|b| *b.life.start()).collect();
    steps.sort_unstable();
    steps.dedup();
    let at = |step: usize| {
        let is_alive = move |&index: &usize| buffers[index].life.contains(&step);
        (0..buffers.len()).filter(is_alive).collect()
    };
    steps.into_iter().map(at).collect()
}

/// The fewest bytes of those buffers that `counts`, of some that are alive at one step.
fn together(problem: &Problem<'_>, alive: &[usize], counts: impl Fn(usize) -> bool) -> usize {
    let counted = |&&index: &&usize| counts(index);
    let own = |index: usize| {
        let conflicts = problem.conflicts[index].iter();
        let before = conflicts.filter(|c| c.other < index && counts(c.other));
        let shared: usize = before.map(|c| shared_bytes(problem, index, c)).sum();
        problem.size(index).saturating_sub(shared)
    };
    // The union of buffers grows with each by at least what it does not share with those before.
    alive.iter().filter(counted).map(|&index| own(index)).sum()
}

/// The most bytes that a buffer and one that it conflicts with can have in common.
fn shared_bytes(problem: &Problem<'_>, index: usize, conflict: &Conflict) -> usize {
    let common = |input: usize, output: usize, distance: Option<usize>| {
        let behind = distance.map(|d| problem.size(output).saturating_sub(d));
        behind.map_or(0, |bytes| bytes.min(problem.size(input)))
    };
    let as_input = common(index, conflict.other, conflict.behind);
    as_input.max(common(conflict.other, index, conflict.before))
}

struct Search<'a> {
    problem: &'a Problem<'a>,
    /// The buffers that are alive at each step where one starts to be.
    alive: Vec<Vec<usize>>,
    best: Placement,
    offsets: Vec<Option<usize>>,
    /// Where those below allow a buffer that has no offset yet.
    lowest: Vec<usize>,
    /// Branches that may still be entered.
    left: usize,
}

impl Search<'_> {
    /// Tries every buffer that may come next after one at offset `last`; `top` is the end of all.
    fn place_next(&mut self, last: usize, top: usize) {
        if self.left == 0 || aligned(self.best.bytes) <= self.problem.floor {
            return;
        }
        self.left -= 1;
        if self.cannot_improve(last, top) {
            return;
        }
        if self.offsets.iter().all(Option::is_some) {
            let offsets = self.offsets.iter().copied().flatten().collect();
            self.best = Placement {
                offsets,
                bytes: top,
            };
            return;
        }
        for index in self.candidates(last) {
            let offset = self.lowest[index];
            let before = self.lowest.clone();
            self.offsets[index] = Some(offset);
            self.raise(index, offset);
            let end = offset + self.problem.buffers[index].bytes;
            self.place_next(offset, top.max(end));
            self.offsets[index] = None;
            self.lowest = before;
        }
    }

    /// Whether this is as large as the best placement, or some step still needs more than that leaves.
    fn cannot_improve(&self, last: usize, top: usize) -> bool {
        let best = aligned(self.best.bytes);
        if aligned(top) >= best {
            return true;
        }
        let is_open = |index: usize| self.offsets[index].is_none();
        self.alive.iter().any(|alive| {
            let open = alive.iter().filter(|&&index| is_open(index));
            let lowest = open.map(|&index| self.lowest[index]).min();
            lowest.is_some_and(|lowest| {
                last.max(lowest) + together(self.problem, alive, is_open) >= best
            })
        })
    }

    /// Those that may be next, the largest of the lowest first.
    fn candidates(&self, last: usize) -> Vec<usize> {
        let size = |index: usize| self.problem.size(index);
        let open = || (0..self.offsets.len()).filter(|&index| self.offsets[index].is_none());
        let end = open().map(|index| self.lowest[index] + size(index)).min();
        let end = end.unwrap_or(0);
        let fits = |&index: &usize| {
            let lowest = self.lowest[index];
            last <= lowest && (lowest < end || size(index) == 0)
        };
        let mut candidates: Vec<usize> = open().filter(fits).collect();
        candidates.sort_by_key(|&index| (self.lowest[index], std::cmp::Reverse(size(index))));
        candidates
    }

    /// Buffers that have no offset yet must respect one that now has.
    fn raise(&mut self, placed: usize, offset: usize) {
        for conflict in &self.problem.conflicts[placed] {
            let apart = self.problem.size(placed);
            // The one above is an input that may start behind this output's start.
            let distance = conflict.before.map_or(apart, |d| d.min(apart));
            let lowest = &mut self.lowest[conflict.other];
            *lowest = (*lowest).max(offset + distance);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Sharing, place, verify};
    use super::*;
    use proptest::prelude::*;

    fn buffer(bytes: usize, life: std::ops::RangeInclusive<usize>) -> Buffer {
        Buffer { bytes, life }
    }

    /// As many orders as a model gets end at 528 bytes.
    #[test]
    fn finds_what_exchanges_of_two_do_not() {
        let buffers = [
            buffer(184, 0..=2),
            buffer(152, 3..=4),
            buffer(184, 2..=5),
            buffer(280, 0..=0),
            buffer(192, 0..=2),
            buffer(168, 3..=5),
        ];
        let sharing = |input, output| Sharing {
            input,
            output,
            distance: 16,
        };
        let sharings = [sharing(0, 2), sharing(3, 0)];
        let problem = Problem::new(&buffers, &sharings, 300);
        let by_orders = problem.by_orders();
        assert_eq!(by_orders.bytes, 528);
        let placement = place(&buffers, &sharings, 300);
        assert!(verify(&buffers, &sharings, &placement));
        assert_eq!(placement.bytes, 504);
        // Without branches it is what it was.
        assert_eq!(improve(&problem, by_orders.clone(), 0), by_orders);
    }

    #[test]
    fn what_is_alive_together_is_the_floor() {
        let buffers = [buffer(100, 0..=1), buffer(60, 1..=2), buffer(50, 1..=1)];
        let floor = |sharings: &[Sharing]| Problem::new(&buffers, sharings, 1).floor;
        assert_eq!(floor(&[]), 104 + 64 + 56);
        // Of the output's 64 bytes at most 48 are also the input's, which starts 16 behind.
        let sharing = Sharing {
            input: 0,
            output: 1,
            distance: 10,
        };
        assert_eq!(floor(&[sharing]), 104 + 16 + 56);
    }

    /// The least of first-fit placements in every order, which is the least of all placements.
    fn least(problem: &Problem<'_>, order: &mut [usize], from: usize) -> usize {
        if from == order.len() {
            return problem.first_fit(order).bytes;
        }
        let mut bytes = usize::MAX;
        for next in from..order.len() {
            order.swap(from, next);
            bytes = bytes.min(least(problem, order, from + 1));
            order.swap(from, next);
        }
        bytes
    }

    proptest! {
        #[test]
        fn no_order_is_better(
            parts in prop::collection::vec((0usize..40, 0usize..5, 0usize..3, 0usize..12), 2..7)
        ) {
            let parts = parts.iter();
            let buffers: Vec<Buffer> = parts.clone()
                .map(|&(words, start, length, _)| buffer(words * 8, start..=start + length))
                .collect();
            let mut sharings = Vec::new();
            for (input, (a, part)) in buffers.iter().zip(parts).enumerate() {
                for (output, b) in buffers.iter().enumerate() {
                    if input != output && a.life.end() == b.life.start() && a.life != b.life {
                        sharings.push(Sharing { input, output, distance: part.3 * 8 });
                    }
                }
            }
            // One order, so that the branches have something to find.
            let problem = Problem::new(&buffers, &sharings, 0);
            let order: Vec<usize> = (0..buffers.len()).collect();
            let placement = improve(&problem, problem.first_fit(&order), usize::MAX);
            prop_assert!(verify(&buffers, &sharings, &placement));
            prop_assert!(placement.bytes >= problem.floor);
            prop_assert_eq!(placement.bytes, least(&problem, &mut order.clone(), 0));
        }
    }
}

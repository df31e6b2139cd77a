//! Places buffers of known size and lifetime in as little memory as possible.
//!
//! Two buffers that live at the same time must not share bytes, with one exception: an operator
//! that reads its input row by row may write its output over rows that it has read. The rule is
//! a distance: the input must start at least so many bytes behind the output's start
//! (`kernels`, "The row contract").
//!
//! The search is a first-fit placement repeated over many orders: by size, by time, and by
//! random exchanges that are kept when they do not make things worse. Where that takes more than
//! some step of the plan needs, [`exact`] looks for less. [`verify`] judges the result with none
//! of the search's code.

mod exact;

use std::ops::RangeInclusive;

/// Every offset is a multiple of this.
pub const OFFSET_ALIGNMENT: usize = 8;

/// A region of the arena to be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Size in bytes.
    pub bytes: usize,
    /// The steps of the plan during which the content matters.
    pub life: RangeInclusive<usize>,
}

/// An input that may share memory with an output: `offset(input) >= offset(output) + distance`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// Index of the buffer that is read.
    pub input: usize,
    /// Index of the buffer that is written meanwhile.
    pub output: usize,
    /// Bytes between their starts.
    pub distance: usize,
}

/// Where every buffer starts, and how much memory that takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Byte offsets in the order of the buffers.
    pub offsets: Vec<usize>,
    /// Bytes of the arena.
    pub bytes: usize,
}

fn meet(a: &Buffer, b: &Buffer) -> bool {
    a.life.start() <= b.life.end() && b.life.start() <= a.life.end()
}

/// What a buffer must respect about another one.
struct Conflict {
    other: usize,
    /// This buffer is the input, the other the output: may start so far behind it.
    behind: Option<usize>,
    /// This buffer is the output, the other the input: may start so far before it.
    before: Option<usize>,
}

struct Problem<'a> {
    buffers: &'a [Buffer],
    conflicts: Vec<Vec<Conflict>>,
    /// No placement takes less.
    floor: usize,
    rounds: usize,
}

/// Branches of the exact search per order that the other one tries.
const BRANCHES_PER_ORDER: usize = 1_000;

/// Places all buffers. `effort` is the number of orders tried; it limits the exact search too, by
/// branches and not by time, so that results are the same on every machine.
pub fn place(buffers: &[Buffer], sharings: &[Sharing], effort: usize) -> Placement {
    let problem = Problem::new(buffers, sharings, effort);
    let best = problem.by_orders();
    exact::improve(&problem, best, effort * BRANCHES_PER_ORDER)
}

fn aligned(bytes: usize) -> usize {
    bytes.next_multiple_of(OFFSET_ALIGNMENT)
}

impl<'a> Problem<'a> {
    fn new(buffers: &'a [Buffer], sharings: &[Sharing], rounds: usize) -> Self {
        let distance = |input: usize, output: usize| {
            let fits = |s: &&Sharing| s.input == input && s.output == output;
            sharings.iter().find(fits).map(|s| aligned(s.distance))
        };
        let conflicts: Vec<Vec<Conflict>> = (0..buffers.len())
            .map(|a| {
                let others = (0..buffers.len()).filter(|&b| b != a);
                others
                    .filter(|&b| meet(&buffers[a], &buffers[b]))
                    .map(|b| Conflict {
                        other: b,
                        behind: distance(a, b),
                        before: distance(b, a),
                    })
                    .collect()
            })
            .collect();
        let mut problem = Problem {
            buffers,
            conflicts,
            floor: 0,
            rounds,
        };
        problem.floor = exact::floor(&problem);
        problem
    }

    /// Bytes up to the place where another buffer may start.
    fn size(&self, index: usize) -> usize {
        aligned(self.buffers[index].bytes)
    }

    /// The best of some orders and of what exchanges make of them.
    fn by_orders(&self) -> Placement {
        let count = self.buffers.len();
        let mut by_size: Vec<usize> = (0..count).collect();
        by_size.sort_by_key(|&i| {
            let buffer = &self.buffers[i];
            (std::cmp::Reverse(buffer.bytes), *buffer.life.start())
        });
        let by_time: Vec<usize> = (0..count).collect();
        let backwards: Vec<usize> = (0..count).rev().collect();
        let tried = [by_size, by_time, backwards].map(|order| self.improve(order));
        tried
            .into_iter()
            .min_by_key(|placement| placement.bytes)
            .unwrap_or_default()
    }

    /// Hill climbing over exchanges of two buffers in the order.
    fn improve(&self, mut order: Vec<usize>) -> Placement {
        let mut best = self.first_fit(&order);
        let mut random = 0x9E37_79B9_7F4A_7C15u64;
        let mut draw = |limit: usize| {
            // xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift
            // generators, scrambled", 2016.
            random ^= random >> 12;
            random ^= random << 25;
            random ^= random >> 27;
            (random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit
        };
        if order.len() < 2 {
            return best;
        }
        for _ in 0..self.rounds {
            if aligned(best.bytes) <= self.floor {
                break;
            }
            let (a, b) = (draw(order.len()), draw(order.len()));
            order.swap(a, b);
            let placement = self.first_fit(&order);
            if placement.bytes <= best.bytes {
                best = placement;
            } else {
                order.swap(a, b);
            }
        }
        best
    }

    /// Each buffer in turn at the lowest offset that its placed neighbours allow.
    fn first_fit(&self, order: &[usize]) -> Placement {
        let mut offsets: Vec<Option<usize>> = vec![None; self.buffers.len()];
        let mut bytes = 0;
        for &index in order {
            let size = self.buffers[index].bytes;
            let offset = self.lowest(index, &offsets);
            offsets[index] = Some(offset);
            bytes = bytes.max(offset + size);
        }
        Placement {
            offsets: offsets.into_iter().flatten().collect(),
            bytes,
        }
    }

    fn lowest(&self, index: usize, offsets: &[Option<usize>]) -> usize {
        let size = self.buffers[index].bytes;
        let placed = || {
            let conflicts = self.conflicts[index].iter();
            conflicts.filter_map(|conflict| Some((conflict, offsets[conflict.other]?)))
        };
        let allowed = |offset: usize| {
            placed().all(|(conflict, other)| {
                let apart =
                    offset >= other + self.buffers[conflict.other].bytes || offset + size <= other;
                let behind = conflict.behind.is_some_and(|d| offset >= other + d);
                let before = conflict.before.is_some_and(|d| offset + d <= other);
                apart || behind || before
            })
        };
        let mut candidates = vec![0];
        for (conflict, other) in placed() {
            let end = other + self.buffers[conflict.other].bytes;
            candidates.push(end.next_multiple_of(OFFSET_ALIGNMENT));
            candidates.extend(conflict.behind.map(|d| other + d));
            candidates.extend(conflict.before.and_then(|d| other.checked_sub(d)));
        }
        candidates.sort_unstable();
        let fitting = candidates.into_iter().find(|&offset| allowed(offset));
        // The end of the last neighbour always fits.
        fitting.unwrap_or(0)
    }
}

/// Whether a placement respects every lifetime and every sharing rule. Written apart from the
/// search, pair by pair.
pub fn verify(buffers: &[Buffer], sharings: &[Sharing], placement: &Placement) -> bool {
    let offsets = &placement.offsets;
    let inside = |i: usize| offsets[i] + buffers[i].bytes <= placement.bytes;
    let aligned = |i: usize| offsets[i].is_multiple_of(OFFSET_ALIGNMENT);
    let pair = |a: usize, b: usize| {
        let apart = offsets[a] + buffers[a].bytes <= offsets[b]
            || offsets[b] + buffers[b].bytes <= offsets[a];
        let shares = |input: usize, output: usize| {
            sharings.iter().any(|sharing| {
                (sharing.input, sharing.output) == (input, output)
                    && offsets[input] >= offsets[output] + sharing.distance
            })
        };
        apart || !meet(&buffers[a], &buffers[b]) || shares(a, b) || shares(b, a)
    };
    offsets.len() == buffers.len()
        && (0..buffers.len()).all(|i| inside(i) && aligned(i))
        && (0..buffers.len()).all(|a| (0..a).all(|b| pair(a, b)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_chain_in_place_takes_one_buffer_and_its_distances() {
        let buffers: Vec<Buffer> = (0..3)
            .map(|i| Buffer {
                bytes: 800,
                life: i..=i + 1,
            })
            .collect();
        let sharings: Vec<Sharing> = (0..2)
            .map(|i| Sharing {
                input: i,
                output: i + 1,
                distance: 96,
            })
            .collect();
        let placement = place(&buffers, &sharings, 100);
        assert!(verify(&buffers, &sharings, &placement));
        assert_eq!(placement.bytes, 800 + 2 * 96);
        assert_eq!(place(&buffers, &[], 100).bytes, 1600);
    }

    proptest! {
        #[test]
        fn placements_are_always_valid(
            parts in prop::collection::vec((0usize..500, 0usize..12, 0usize..4, 0usize..600), 0..14)
        ) {
            let buffers: Vec<Buffer> = parts
                .iter()
                .map(|&(bytes, start, length, _)| Buffer { bytes, life: start..=start + length })
                .collect();
            let mut sharings = Vec::new();
            for (input, a) in buffers.iter().enumerate() {
                for (output, b) in buffers.iter().enumerate() {
                    if input != output && a.life.end() == b.life.start() && a.life != b.life {
                        sharings.push(Sharing { input, output, distance: parts[input].3 });
                    }
                }
            }
            let placement = place(&buffers, &sharings, 20);
            prop_assert!(verify(&buffers, &sharings, &placement));
        }
    }
}

//! Threads that stay, and take parts of a job from a counter.
//!
//! A layer takes microseconds, and waking a thread takes tens of them. So threads that have nothing
//! to do look for the next job for a millisecond before they sleep: within a run, and between runs
//! that follow each other, handing over a job costs less than a microsecond. The caller never waits
//! for a thread that has not begun: it computes the parts that nobody has taken.

use core::cell::{Cell, UnsafeCell};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::any::Any;
use std::boxed::Box;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::vec::Vec;

/// How long a thread looks for the next job before it sleeps.
const LOOK: Duration = Duration::from_millis(1);

/// Multiplications below which a part is not worth a thread: about a microsecond.
const PART_MULTIPLICATIONS_MIN: usize = 1 << 16;

/// Looks between two at the clock, and waits before the processor is offered to others.
const LOOKS: u32 = 128;

/// What threads' own memory starts at a multiple of: a line of the cache.
const LINE_BYTES: usize = 64;

/// What computes a part, given its number and memory of the thread's own; `None` on the calling
/// thread.
pub type Body<'a> = dyn Fn(usize, Option<&[Cell<u8>]>) + Sync + 'a;

/// How far a job is: 16 bits each of its parts, of those that are taken, and of those that the threads
/// have finished.
#[derive(Clone, Copy)]
struct Progress(u64);

impl Progress {
    const ONE_TAKEN: u64 = 1;
    const ONE_FINISHED: u64 = 1 << 16;

    /// A job whose first part is its caller's.
    fn start(parts: u16) -> Self {
        Progress(u64::from(parts) << 32 | u64::from(parts.min(1)))
    }

    fn taken(self) -> u16 {
        self.0 as u16
    }

    fn finished(self) -> u16 {
        (self.0 >> 16) as u16
    }

    fn has_parts(self) -> bool {
        self.taken() < (self.0 >> 32) as u16
    }
}

/// What the caller and the threads share. All that a thread needs to begin is on one line of the cache,
/// neighbours that are fetched along included: it comes from another processor.
#[repr(align(128))]
struct Shared {
    /// See [`Progress`].
    progress: AtomicU64,
    /// What computes the parts that `progress` tells of.
    body: UnsafeCell<Option<*const Body<'static>>>,
    /// Threads that sleep, or are about to.
    asleep: AtomicU32,
    stops: AtomicBool,
    /// What a thread panicked with.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `body` is written by one caller at a time (`ThreadPool::busy`), while there are no parts to
// take and none that are not finished. Threads read it after they have taken a part, which comes after
// the caller has stored `progress`, and before they count the part as finished. What it points to is
// `Sync`.
unsafe impl Sync for Shared {}

// SAFETY: as above: the pointer belongs to no thread.
unsafe impl Send for Shared {}

impl Shared {
    fn progress(&self, ordering: Ordering) -> Progress {
        Progress(self.progress.load(ordering))
    }

    /// Takes a part of the job, where one is left.
    fn take(&self) -> Option<usize> {
        let mut progress = self.progress(Ordering::Relaxed);
        while progress.has_parts() {
            // Whoever succeeds sees the body that was stored before.
            let next = self.progress.compare_exchange_weak(
                progress.0,
                progress.0 + Progress::ONE_TAKEN,
                Ordering::Acquire,
                Ordering::Relaxed,
            );
            match next {
                Ok(_) => return Some(progress.taken().into()),
                Err(now) => progress = Progress(now),
            }
        }
        None
    }

    /// Whether there is something to do, in one order with `asleep`.
    fn calls(&self) -> bool {
        self.progress(Ordering::SeqCst).has_parts() || self.stops.load(Ordering::SeqCst)
    }

    /// What a thread does from its start to its end.
    fn work(&self, scratch_bytes: usize) {
        let mut memory = std::vec![0u8; scratch_bytes + LINE_BYTES];
        let start = memory.as_ptr().align_offset(LINE_BYTES).min(LINE_BYTES);
        let own = memory.get_mut(start..start + scratch_bytes);
        let scratch = Cell::from_mut(own.unwrap_or_default()).as_slice_of_cells();
        while !self.stops.load(Ordering::Relaxed) {
            match self.take() {
                Some(part) => self.compute(part, scratch),
                None => self.wait(),
            }
        }
    }

    /// Computes a part that was taken.
    fn compute(&self, part: usize, scratch: &[Cell<u8>]) {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: the part was taken, so the caller is in `ThreadPool::run`, which stored this
            // pointer to its own body before there were parts to take, and which does not end,
            // not even by a panic, before this part is counted as finished.
            if let Some(body) = unsafe { (*self.body.get()).map(|body| &*body) } {
                body(part, Some(scratch));
            }
        }));
        if let (Err(cause), Ok(mut panic)) = (outcome, self.panic.lock()) {
            *panic = Some(cause);
        }
        self.progress
            .fetch_add(Progress::ONE_FINISHED, Ordering::Release);
    }

    /// Looks for a job for a while, then sleeps until there is one.
    fn wait(&self) {
        let start = Instant::now();
        while start.elapsed() < LOOK {
            for _ in 0..LOOKS {
                if self.calls() {
                    return;
                }
                core::hint::spin_loop();
            }
        }
        // The caller stores a job and then looks who sleeps; here it is the other way around. In
        // one order of all four, at least one of the two sees the other.
        self.asleep.fetch_add(1, Ordering::SeqCst);
        if !self.calls() {
            thread::park();
        }
        self.asleep.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Threads that help whoever has them. They sleep while there is nothing to do.
pub struct ThreadPool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    scratch_bytes: usize,
    part_multiplications_min: usize,
    /// Whether somebody is in `run`.
    busy: AtomicBool,
}

impl core::fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ThreadPool")
            .field("threads", &self.threads())
            .field("scratch_bytes", &self.scratch_bytes)
            .finish()
    }
}

impl ThreadPool {
    /// `threads` threads, of which the caller is one. Each of the others has scratch memory of its
    /// own: as many bytes as the largest of the layers that they will compute needs, of which a part
    /// needs no more than the whole. With less they compute parts by plain loops.
    ///
    /// # Errors
    ///
    /// The system has no more threads to give.
    pub fn new(threads: usize, scratch_bytes: usize) -> io::Result<Self> {
        let shared = Shared {
            progress: AtomicU64::new(0),
            body: UnsafeCell::new(None),
            asleep: AtomicU32::new(0),
            stops: AtomicBool::new(false),
            panic: Mutex::new(None),
        };
        let mut pool = ThreadPool {
            shared: Arc::new(shared),
            threads: Vec::new(),
            scratch_bytes,
            part_multiplications_min: PART_MULTIPLICATIONS_MIN,
            busy: AtomicBool::new(false),
        };
        for index in 1..threads {
            let shared = pool.shared.clone();
            let builder = thread::Builder::new().name(std::format!("modelopt {index}"));
            // Where this fails, dropping the pool ends those that there are.
            let thread = builder.spawn(move || shared.work(scratch_bytes))?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// How many threads compute, the calling one included.
    pub fn threads(&self) -> usize {
        self.threads.len() + 1
    }

    /// The same threads for layers however small, to test them.
    #[cfg(any(test, feature = "self-test"))]
    pub(crate) fn for_all_layers(mut self) -> Self {
        self.part_multiplications_min = 1;
        self
    }

    /// Multiplications that a part has at least.
    pub(super) fn part_multiplications_min(&self) -> usize {
        self.part_multiplications_min
    }

    /// Computes parts 0 to `parts` with `body`, each once, and returns when all are done. It is given a
    /// part's number and memory of the thread's own, `None` on the calling thread. `false` where the
    /// threads are busy with another caller's job: then nothing is done.
    pub fn run(&self, parts: u16, body: &Body<'_>) -> bool {
        if self.busy.swap(true, Ordering::Acquire) {
            return false;
        }
        let mut turn = Turn {
            pool: self,
            parts,
            own: parts.min(1),
        };
        let shared = &*self.shared;
        // What is pointed to lives shorter than the type says: `compute` tells why that is enough.
        // SAFETY: both are pointers to the same.
        let forever: *const Body<'static> = unsafe { core::mem::transmute(&raw const *body) };
        // SAFETY: `Shared` says who else reads it, and when: nobody now.
        unsafe { *shared.body.get() = Some(forever) };
        let progress = Progress::start(parts);
        shared.progress.store(progress.0, Ordering::SeqCst);
        self.wake();
        if parts > 0 {
            body(0, None);
        }
        while let Some(part) = shared.take() {
            turn.own += 1;
            body(part, None);
        }
        drop(turn);
        let panic = shared.panic.lock().ok().and_then(|mut panic| panic.take());
        if let Some(cause) = panic {
            resume_unwind(cause);
        }
        true
    }

    fn wake(&self) {
        if self.shared.asleep.load(Ordering::SeqCst) > 0 {
            self.threads
                .iter()
                .for_each(|thread| thread.thread().unpark());
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shared.stops.store(true, Ordering::SeqCst);
        self.wake();
        for thread in self.threads.drain(..) {
            // Panics in `body` are caught: there is nothing to tell.
            let _ = thread.join();
        }
    }
}

/// A caller's turn, which lasts until every part is done, whatever happens.
struct Turn<'a> {
    pool: &'a ThreadPool,
    parts: u16,
    /// Parts that the caller took.
    own: u16,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let shared = &*self.pool.shared;
        // After a panic of the caller some parts may be left: nobody shall begin them.
        while shared.take().is_some() {
            self.own += 1;
        }
        let mut looks = 0u32;
        while shared.progress(Ordering::Acquire).finished() != self.parts - self.own {
            core::hint::spin_loop();
            looks += 1;
            if looks.is_multiple_of(16 * LOOKS) {
                thread::yield_now();
            }
        }
        self.pool.busy.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn every_part_is_computed_once() {
        for threads in 1..=4 {
            let pool = ThreadPool::new(threads, 100).unwrap();
            assert_eq!(pool.threads(), threads);
            for parts in [0u16, 1, 2, 3, 17] {
                let counts: [AtomicUsize; 17] = Default::default();
                let done = pool.run(parts, &|part, scratch| {
                    counts[part].fetch_add(1, Ordering::Relaxed);
                    let scratch = scratch.unwrap_or(&[]);
                    scratch.iter().for_each(|cell| cell.set(part as u8));
                    assert!(scratch.is_empty() || scratch.len() == 100);
                });
                assert!(done);
                let counts = counts.map(AtomicUsize::into_inner);
                let expected: [usize; 17] = core::array::from_fn(|i| usize::from(i < parts.into()));
                assert_eq!(counts, expected);
            }
        }
    }

    /// Threads fall asleep in between.
    #[test]
    fn threads_wake_up() {
        let pool = ThreadPool::new(2, 0).unwrap();
        for _ in 0..3 {
            while pool.shared.asleep.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            let helped = AtomicBool::new(false);
            // The caller stays in its part until a thread has taken another.
            pool.run(2, &|_, scratch| match scratch {
                Some(_) => helped.store(true, Ordering::SeqCst),
                None => {
                    while !helped.load(Ordering::SeqCst) {
                        thread::yield_now();
                    }
                }
            });
        }
    }

    #[test]
    fn callers_that_come_at_once_do_not_wait() {
        let pool = ThreadPool::new(2, 0).unwrap();
        let inner = AtomicUsize::new(0);
        pool.run(1, &|_, _| {
            let done = pool.run(1, &|_, _| ());
            inner.store(usize::from(done) + 1, Ordering::Relaxed);
        });
        assert_eq!(inner.into_inner(), 1);
    }

    #[test]
    fn panics_reach_the_caller_after_all_parts() {
        let pool = ThreadPool::new(2, 0).unwrap();
        for on_caller in [true, false] {
            let others = AtomicUsize::new(0);
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                pool.run(2, &|_, scratch| {
                    // Each computes one part, whoever comes first.
                    others.fetch_add(1, Ordering::SeqCst);
                    while others.load(Ordering::SeqCst) < 2 {
                        thread::yield_now();
                    }
                    if scratch.is_none() == on_caller {
                        resume_unwind(Box::new(7));
                    }
                })
            }));
            assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&7));
            assert!(pool.run(1, &|_, _| ()));
        }
    }
}

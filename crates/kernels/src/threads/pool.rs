//! Threads that stay. Each has a part of every step of a job, and takes of what is left from a counter.
//!
//! A layer takes microseconds, and waking a thread takes tens of them. So threads that have nothing
//! to do look for the next step for a millisecond before they sleep: within a run, and between runs
//! that follow each other, handing over a step costs less than a microsecond. The caller does not wait
//! for a thread that has not begun: it computes that thread's part itself.
//!
//! What takes time is a line of the cache on its way from one processor to another, a tenth of a
//! microsecond on a server. So what one side writes and the other looks at is on lines of its own, and
//! from one step of a job to the next there is one such way: the caller tells that it has done its part
//! of a step while the others tell that of theirs, and nobody is called again.

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

/// How long a thread looks for the next step before it sleeps.
const LOOK: Duration = Duration::from_millis(1);

/// Looks that follow each other at once, some microseconds of them: a processor may take as long for its
/// instruction to wait as a line takes to come.
const LOOKS_AT_ONCE: u32 = 1 << 12;

/// Looks between two at the clock, and waits before the processor is offered to others.
const LOOKS: u32 = 128;

/// Multiplications below which a part is not worth a thread: about a microsecond.
const PART_MULTIPLICATIONS_MIN: usize = 1 << 16;

/// What threads' own memory starts at a multiple of: a line of the cache.
const LINE_BYTES: usize = 64;

/// The most parts of a step.
pub(super) const PARTS_MAX: usize = (1 << PARTS_BITS) - 1;

const PARTS_BITS: u32 = 12;

/// What computes a part, given its number and memory of the thread's own; `None` on the calling
/// thread.
pub type Body<'a> = dyn Fn(usize, Option<&[Cell<u8>]>) + Sync + 'a;

/// The same for a job of several steps: given a step's number, then a part's.
pub(super) type StepBody<'a> = dyn Fn(usize, usize, Option<&[Cell<u8>]>) + Sync + 'a;

/// A step: its number, how many parts the step before it in its job has, 0 for a first one, and how many
/// it has itself. Later ones are greater. 2^40 of them are those of a month.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Step(u64);

impl Step {
    /// Tells threads to end.
    const STOP: Step = Step(u64::MAX);

    fn after(last: Step, previous_parts: usize, parts: usize) -> Self {
        let number = last.number() + 1;
        Step(((number << PARTS_BITS) | previous_parts as u64) << PARTS_BITS | parts as u64)
    }

    fn number(self) -> u64 {
        self.0 >> (2 * PARTS_BITS)
    }

    fn previous_parts(self) -> usize {
        (self.0 >> PARTS_BITS) as usize & PARTS_MAX
    }

    fn parts(self) -> usize {
        self.0 as usize & PARTS_MAX
    }
}

/// What the caller writes and threads look at: a line, with its neighbour that is fetched along.
#[repr(align(128))]
struct Call {
    /// The caller has done its part of every step before this one.
    step: AtomicU64,
    job: UnsafeCell<Option<Job>>,
}

/// What computes a job's parts, and the number of its first step.
#[derive(Clone, Copy)]
struct Job {
    body: *const StepBody<'static>,
    first: u64,
}

/// A number on a line of its own, and on its neighbour that is fetched along.
#[repr(align(128))]
struct Line(AtomicU64);

/// What belongs to a thread.
struct Slot {
    /// The last step of which the thread's own part was taken. The caller looks at it only where the
    /// thread may not come.
    claim: Line,
    /// The last step of which the thread has no part any more. Others look at it.
    finished: Line,
}

impl Slot {
    fn new() -> Self {
        Slot {
            claim: Line(AtomicU64::new(0)),
            finished: Line(AtomicU64::new(0)),
        }
    }

    /// Takes the thread's part of a step, for the thread itself or for the caller. A step is not over
    /// before this has succeeded once for each thread that has a part of it.
    fn take(&self, number: u64) -> bool {
        let claim = &self.claim.0;
        let last = claim.load(Ordering::Relaxed);
        last < number
            && claim
                .compare_exchange(last, number, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
    }

    fn finish(&self, number: u64) {
        self.finished.0.store(number, Ordering::Release);
    }

    fn has_finished(&self, number: u64) -> bool {
        self.finished.0.load(Ordering::Acquire) >= number
    }

    /// Waits until the thread has finished, or takes its part where the thread has not begun after a
    /// while: then the caller has to compute it, and to call [`Slot::finish`].
    fn wait_or_take(&self, number: u64) -> bool {
        let mut looks = 0u32;
        while !self.has_finished(number) {
            looks = looks.wrapping_add(1);
            if looks < LOOKS_AT_ONCE {
                continue;
            }
            if self.take(number) {
                return true;
            }
            pause(looks);
        }
        false
    }
}

/// Lets others have the processor, or a part of it.
fn pause(looks: u32) {
    core::hint::spin_loop();
    if looks.is_multiple_of(16 * LOOKS) {
        thread::yield_now();
    }
}

/// What the caller and the threads share.
struct Shared {
    call: Call,
    /// One for every thread but the caller.
    slots: Vec<Slot>,
    /// The next part of those that are no thread's own.
    further: AtomicU64,
    /// Threads that sleep, or are about to.
    asleep: AtomicU32,
    has_panicked: AtomicBool,
    /// What a thread panicked with.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `Call::job` is written by one caller at a time (`ThreadPool::busy`), while no part of a step is
// taken and not finished. Threads read it after they have taken a part of a step that was stored behind
// it, and before they say that they have finished. What its body points to is `Sync`.
unsafe impl Sync for Shared {}

// SAFETY: as above: the pointer belongs to no thread.
unsafe impl Send for Shared {}

impl Shared {
    fn step(&self) -> Step {
        Step(self.call.step.load(Ordering::Acquire))
    }

    /// Threads that have a part of their own of a step with so many.
    fn slots(&self, parts: usize) -> &[Slot] {
        let threads = parts.saturating_sub(1).min(self.slots.len());
        self.slots.get(..threads).unwrap_or(&[])
    }

    /// Whether a step with so many parts has some that are no thread's own.
    fn has_further(&self, parts: usize) -> bool {
        parts > self.slots.len() + 1
    }

    /// Takes a part that is no thread's own of a step that is not over, where one is left.
    fn take_further(&self, step: Step) -> Option<usize> {
        if !self.has_further(step.parts()) {
            return None;
        }
        let part = self.further.fetch_add(1, Ordering::Relaxed);
        usize::try_from(part)
            .ok()
            .filter(|&part| part < step.parts())
    }

    /// What thread number `index` does from its start to its end.
    fn work(&self, index: usize, scratch_bytes: usize) {
        let Some(slot) = self.slots.get(index - 1) else {
            return;
        };
        let mut memory = std::vec![0u8; scratch_bytes + LINE_BYTES];
        let start = memory.as_ptr().align_offset(LINE_BYTES).min(LINE_BYTES);
        let own = memory.get_mut(start..start + scratch_bytes);
        let scratch = Cell::from_mut(own.unwrap_or_default()).as_slice_of_cells();
        let mut step = Step(0);
        loop {
            step = self.next(step);
            if step == Step::STOP {
                return;
            }
            let number = step.number();
            // It may have come late for the step before, which is not over while this succeeds.
            if index < step.previous_parts() && slot.take(number - 1) {
                self.compute(number - 1, index, scratch);
                slot.finish(number - 1);
            }
            for other in self.slots(step.previous_parts()) {
                let mut looks = 0u32;
                while !other.has_finished(number - 1) {
                    looks = looks.wrapping_add(1);
                    if looks >= LOOKS_AT_ONCE {
                        pause(looks);
                    }
                }
            }
            if index < step.parts() && slot.take(number) {
                self.compute(number, index, scratch);
                while let Some(part) = self.take_further(step) {
                    self.compute(number, part, scratch);
                }
                slot.finish(number);
            }
        }
    }

    /// Computes a part of a step of which the thread has taken its own.
    fn compute(&self, number: u64, part: usize, scratch: &[Cell<u8>]) {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: the thread took its part, so the caller is in `ThreadPool::run_steps`, which stored
            // a pointer to its own body before the job's first step, and which does not end, not even
            // by a panic, before the thread has finished.
            let job = unsafe { (*self.call.job.get()).map(|job| (&*job.body, job.first)) };
            if let Some((body, first)) = job {
                body((number - first) as usize, part, Some(scratch));
            }
        }));
        if let (Err(cause), Ok(mut panic)) = (outcome, self.panic.lock()) {
            *panic = Some(cause);
            self.has_panicked.store(true, Ordering::Relaxed);
        }
    }

    /// Looks for a step behind the last one for a while, then sleeps until there is one.
    fn next(&self, last: Step) -> Step {
        // A look at the clock takes as long as a line's way: there is none before many looks for a step.
        for _ in 0..LOOKS_AT_ONCE {
            let step = self.step();
            if step != last {
                return step;
            }
        }
        let mut start = Instant::now();
        let mut looks = 0u32;
        loop {
            let step = self.step();
            if step != last {
                return step;
            }
            core::hint::spin_loop();
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(LOOKS) && start.elapsed() >= LOOK {
                // A caller that does not see it in time does without this thread once.
                self.asleep.fetch_add(1, Ordering::SeqCst);
                if self.step() == last {
                    thread::park();
                }
                self.asleep.fetch_sub(1, Ordering::SeqCst);
                start = Instant::now();
            }
        }
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
            call: Call {
                step: AtomicU64::new(0),
                job: UnsafeCell::new(None),
            },
            slots: (1..threads).map(|_| Slot::new()).collect(),
            further: AtomicU64::new(0),
            asleep: AtomicU32::new(0),
            has_panicked: AtomicBool::new(false),
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
            let thread = builder.spawn(move || shared.work(index, scratch_bytes))?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// How many threads compute, the calling one included.
    pub fn threads(&self) -> usize {
        self.threads.len() + 1
    }

    /// Bytes of scratch memory that each thread has of its own.
    pub(super) fn scratch_bytes(&self) -> usize {
        self.scratch_bytes
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
    /// threads are busy with another caller's job, or there are too many parts: then nothing is done.
    pub fn run(&self, parts: u16, body: &Body<'_>) -> bool {
        let parts = usize::from(parts);
        parts <= PARTS_MAX && self.run_steps(&[parts], &|_, part, scratch| body(part, scratch))
    }

    /// As [`ThreadPool::run`], with so many parts of one step after another, up to [`PARTS_MAX`] each. All
    /// of a step is done before anything of the next one.
    pub(super) fn run_steps(&self, parts: &[usize], body: &StepBody<'_>) -> bool {
        if self.busy.swap(true, Ordering::Acquire) {
            return false;
        }
        let shared = &*self.shared;
        let mut turn = Turn {
            pool: self,
            step: shared.step(),
            taken: None,
        };
        // What is pointed to lives shorter than the type says: `compute` tells why that is enough.
        // SAFETY: both are pointers to the same.
        let forever: *const StepBody<'static> = unsafe { core::mem::transmute(&raw const *body) };
        // SAFETY: `Shared` says who else reads it, and when: nobody now.
        unsafe {
            *shared.call.job.get() = Some(Job {
                body: forever,
                first: turn.step.number() + 1,
            });
        }
        let mut previous = 0;
        for (index, &count) in parts.iter().enumerate() {
            if index == 0 || shared.has_further(previous.max(count)) {
                turn.go_on(previous, count);
            }
            let step = turn.step;
            if count > 0 {
                body(index, 0, None);
                // A thread may have fallen asleep when it was told.
                self.wake();
            }
            // Where each part is somebody's, nobody has to be waited for before that is told.
            if let Some(&next) = parts.get(index + 1)
                && !shared.has_further(count.max(next))
            {
                turn.go_on(count, next);
            }
            while let Some(part) = shared.take_further(step) {
                body(index, part, None);
            }
            for (thread, slot) in shared.slots(count).iter().enumerate() {
                if slot.wait_or_take(step.number()) {
                    turn.taken = Some((thread, step.number()));
                    body(index, thread + 1, None);
                    slot.finish(step.number());
                    turn.taken = None;
                }
            }
            previous = count;
        }
        let panic = self.take_panic();
        drop(turn);
        if let Some(cause) = panic {
            resume_unwind(cause);
        }
        true
    }

    /// What a thread panicked with.
    fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        if !self.shared.has_panicked.load(Ordering::Relaxed) {
            return None;
        }
        self.shared.has_panicked.store(false, Ordering::Relaxed);
        self.shared.panic.lock().ok()?.take()
    }

    fn wake(&self) {
        if self.shared.asleep.load(Ordering::Relaxed) > 0 {
            self.threads
                .iter()
                .for_each(|thread| thread.thread().unpark());
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        let stop = Step::STOP;
        self.shared.call.step.store(stop.0, Ordering::Release);
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            // Panics in `body` are caught: there is nothing to tell.
            let _ = thread.join();
        }
    }
}

/// A caller's turn, which lasts until every part is done, whatever happens.
struct Turn<'a> {
    pool: &'a ThreadPool,
    /// The step that was told last.
    step: Step,
    /// The thread whose part of which step the caller computes.
    taken: Option<(usize, u64)>,
}

impl Turn<'_> {
    /// Tells the threads of a step with so many parts, and that the caller has done its part of the one
    /// before.
    fn go_on(&mut self, previous: usize, parts: usize) {
        let shared = &self.pool.shared;
        self.step = Step::after(self.step, previous, parts);
        if shared.has_further(parts) {
            let first = shared.slots.len() as u64 + 1;
            shared.further.store(first, Ordering::Relaxed);
        }
        shared.call.step.store(self.step.0, Ordering::Release);
        self.pool.wake();
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let (shared, step) = (&self.pool.shared, self.step);
        // After a panic of the caller some parts may be left: nobody shall begin them.
        while shared.take_further(step).is_some() {}
        let numbers = [step.number().saturating_sub(1), step.number()];
        for (count, number) in [step.previous_parts(), step.parts()]
            .into_iter()
            .zip(numbers)
        {
            for (thread, slot) in shared.slots(count).iter().enumerate() {
                if self.taken == Some((thread, number)) || slot.wait_or_take(number) {
                    slot.finish(number);
                }
            }
        }
        self.pool.busy.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;

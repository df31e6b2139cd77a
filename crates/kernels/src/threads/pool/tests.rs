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

/// Steps with a part for the caller alone, for some threads, for all, and with more than that. Each
/// part counts those of the steps before it.
#[test]
fn all_of_a_step_is_done_before_the_next() {
    let parts = [3, 1, 2, 2, 17, 1, 4, 9, 3, 3, 3, 1];
    let rounds = if cfg!(miri) { 5 } else { 300 };
    for threads in 1..=4 {
        let pool = ThreadPool::new(threads, 0).unwrap();
        for _ in 0..rounds {
            let done = AtomicUsize::new(0);
            let early = AtomicUsize::new(0);
            assert!(pool.run_steps(&parts, &|step, part, _| {
                assert!(part < parts[step]);
                let before: usize = parts[..step].iter().sum();
                let is_early = done.load(Ordering::SeqCst) < before;
                early.fetch_add(usize::from(is_early), Ordering::SeqCst);
                done.fetch_add(1, Ordering::SeqCst);
            }));
            assert_eq!(done.into_inner(), parts.iter().sum());
            assert_eq!(early.into_inner(), 0);
        }
    }
}

#[test]
fn a_panic_between_steps_leaves_nothing_behind() {
    let pool = ThreadPool::new(3, 0).unwrap();
    for on_step in 0..4 {
        let last = AtomicUsize::new(0);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            pool.run_steps(&[3, 3, 1, 3], &|step, part, _| {
                last.fetch_max(step, Ordering::SeqCst);
                if (step, part) == (on_step, 0) {
                    resume_unwind(Box::new(7));
                }
            })
        }));
        assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&7));
        // The caller had not done its part.
        assert_eq!(last.into_inner(), on_step);
        let counts: [AtomicUsize; 3] = Default::default();
        assert!(pool.run(3, &|part, _| {
            counts[part].fetch_add(1, Ordering::SeqCst);
        }));
        assert_eq!(counts.map(AtomicUsize::into_inner), [1; 3]);
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

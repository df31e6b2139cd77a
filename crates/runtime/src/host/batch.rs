//! Several samples at a time: every thread computes a share of them in memory of its own.

use super::Runner;
use crate::{Error, Session};
use core::cell::Cell;
use format::meta::Meta;
use kernels::threads::ThreadPool;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

/// A model with memory for as many samples at a time as there are threads.
#[derive(Debug)]
pub struct Batch {
    /// One for each thread.
    lanes: Vec<Mutex<Runner>>,
    meta: Meta,
    pool: Option<ThreadPool>,
}

/// What is locked holds together after every panic: a session's memory is all that there is.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Batch {
    /// Checks a model and makes it ready: [`Batch::of`].
    pub fn new(file: &[u8], threads: usize) -> Result<Self, Error> {
        Batch::of(Runner::new(file)?, threads)
    }

    /// A model on so many threads, the calling one included; on fewer where the system has not that
    /// many to give, and on one where the model keeps state, which takes one sample after the other.
    /// 0 is 1.
    pub fn of(first: Runner, threads: usize) -> Result<Self, Error> {
        let meta = first.meta().clone();
        let keeps_state = first.model()?.state_bytes() > 0;
        let wanted = if keeps_state { 1 } else { threads.max(1) };
        let pool = match wanted {
            1 => None,
            _ => ThreadPool::new(wanted, 0).ok(),
        };
        let mut lanes = Vec::new();
        for _ in 1..pool.as_ref().map_or(1, ThreadPool::threads) {
            lanes.push(Mutex::new(Runner::new(first.file())?));
        }
        lanes.push(Mutex::new(first));
        Ok(Batch { lanes, meta, pool })
    }

    /// How many threads compute.
    pub fn threads(&self) -> usize {
        self.lanes.len()
    }

    /// Names, layouts, labels and the manifest.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// What `work` makes of samples 0 to `samples` in order. It is called once for each, with a session
    /// of the thread that the sample falls to, and is to set the inputs, run, and read the outputs. The
    /// answers are those of one thread, to the bit.
    pub fn run<R: Send>(
        &self,
        samples: usize,
        work: impl Fn(&mut Session<'_>, usize) -> R + Sync,
    ) -> Result<Vec<R>, Error> {
        let parts = self.threads().min(samples).max(1);
        let shares: Vec<_> = (0..parts).map(|_| Mutex::new(Ok(Vec::new()))).collect();
        let compute = |part: usize, _: Option<&[Cell<u8>]>| {
            let share = samples * part / parts..samples * (part + 1) / parts;
            let mut runner = locked(&self.lanes[part]);
            let answers = runner.session().map(|mut session| {
                let answers = share.map(|sample| work(&mut session, sample));
                answers.collect::<Vec<R>>()
            });
            *locked(&shares[part]) = answers;
        };
        let divided = match (&self.pool, u16::try_from(parts)) {
            (Some(pool), Ok(parts @ 2..)) => pool.run(parts, &compute),
            _ => false,
        };
        if !divided {
            (0..parts).for_each(|part| compute(part, None));
        }
        let mut answers = Vec::with_capacity(samples);
        for share in shares {
            answers.extend(share.into_inner().unwrap_or_else(PoisonError::into_inner)?);
        }
        Ok(answers)
    }
}

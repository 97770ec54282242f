//! Privacy: finds personal data, hides it before the first durable byte, and keeps the keys that bring it back.
//!
//! A new mask is one file in `mask/` and one line in [`mask::all`]; a new kind of personal data is one line in
//! `detect/kinds.rs`.

pub mod detect;
mod ff1;
pub mod functions;
pub mod he;
pub mod keys;
pub mod mask;
mod multi;
pub mod sign;
pub mod subject;
#[cfg(test)]
mod stopwatch {
    /// Seconds this thread was on a core: what else the machine does is left out (Linux, proc_pid_schedstat).
    pub fn core_seconds(work: impl FnOnce()) -> f64 {
        let on_core = || -> f64 {
            let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
            stat.split(' ').next().unwrap().parse().unwrap()
        };
        let before = on_core();
        work();
        (on_core() - before) / 1e9
    }
}

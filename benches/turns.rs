//! What comparisons that take turns in one process share.

use anyhow::{Context, Result};

pub fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// Seconds that this thread was on a core (Linux, proc_pid_schedstat): what else the machine does is left out.
pub fn core_seconds(work: &dyn Fn()) -> Result<f64> {
    let on_core = || -> Result<f64> {
        let stat =
            std::fs::read_to_string("/proc/thread-self/schedstat").context("the thread's time is read from Linux")?;
        Ok(stat.split(' ').next().unwrap_or_default().parse()?)
    };
    let before = on_core()?;
    work();
    Ok((on_core()? - before) / 1e9)
}

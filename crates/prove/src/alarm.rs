//! Alarm: waits to the microsecond, where the runtime's own timers know milliseconds only.

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// A kernel timer (timerfd), or the runtime's where there is none to be had.
#[derive(Debug)]
pub struct Alarm(Option<AsyncFd<OwnedFd>>);

impl Alarm {
    /// Inside a runtime.
    #[must_use]
    pub fn new() -> Self {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).ok();
        #[allow(
            deprecated,
            reason = "the other constructor is unsafe, for descriptors that are not owned; this one is"
        )]
        let timer = timer.and_then(|timer| AsyncFd::new(timer).ok());
        Self(timer)
    }

    /// Waits so long.
    pub async fn after(&mut self, pause: Duration) {
        let waited = match &self.0 {
            Some(timer) => wait(timer, pause).await.is_some(),
            None => false,
        };
        if !waited {
            tokio::time::sleep(pause).await;
        }
    }
}

impl Default for Alarm {
    fn default() -> Self {
        Self::new()
    }
}

/// `None`: this timer cannot be used.
async fn wait(timer: &AsyncFd<OwnedFd>, pause: Duration) -> Option<()> {
    // All zero would disarm it.
    let pause = pause.max(Duration::from_nanos(1));
    let once = Itimerspec {
        it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
        it_value: Timespec {
            tv_sec: i64::try_from(pause.as_secs()).ok()?,
            tv_nsec: i64::from(pause.subsec_nanos()),
        },
    };
    timerfd_settime(timer, TimerfdTimerFlags::empty(), &once).ok()?;
    let mut rang = timer.readable().await.ok()?;
    let read = rang.try_io(|timer| Ok(rustix::io::read(timer, &mut [0_u8; 8])?));
    // Not expired after all: an old readiness, so wait once more, for the timer is still set.
    if read.is_err() {
        let mut rang = timer.readable().await.ok()?;
        rang.try_io(|timer| Ok(rustix::io::read(timer, &mut [0_u8; 8])?)).ok()?.ok()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[tokio::test]
    async fn an_alarm_never_rings_early() {
        let mut alarm = Alarm::new();
        for us in [0, 100, 2_000, 300] {
            let began = Instant::now();
            alarm.after(Duration::from_micros(us)).await;
            assert!(began.elapsed() >= Duration::from_micros(us), "{us} us");
        }
    }
}

//! Patience: a limit to how long something may take, without a timer per request.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// One timer that is used for request after request.
///
/// It is set to the end of some earlier request's patience. Hardly any request lives to see it; the one that does sets it
/// to the end of its own. So a request costs a look at the timer, not an entry in the timer wheel.
#[derive(Debug)]
pub struct Patience {
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// No timer yet.
    #[must_use]
    pub fn new() -> Self {
        Self { timer: None }
    }

    /// Waits for `work`, `limit` at most from now; `None`: it took longer, and was dropped.
    pub async fn within<T>(&mut self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let until = Instant::now() + limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if timer.deadline() > until {
            timer.as_mut().reset(until);
        }
        poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(Some(done));
            }
            while timer.as_mut().poll(context).is_ready() {
                if Instant::now() >= until {
                    return Poll::Ready(None);
                }
                timer.as_mut().reset(until);
            }
            Poll::Pending
        })
        .await
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[tokio::test(start_paused = true)]
    async fn each_wait_has_its_own_end_although_the_timer_is_one() {
        let mut patience = Patience::new();
        let second = Duration::from_secs(1);
        assert_eq!(patience.within(second * 10, async { 7 }).await, Some(7));
        for limit in [second * 2, second * 20, second] {
            let began = Instant::now();
            assert_eq!(patience.within(limit, pending::<()>()).await, None);
            assert_eq!(began.elapsed().as_secs(), limit.as_secs());
        }
    }
}

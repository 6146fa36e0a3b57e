//! How a service begins and ends: signals, and what systemd wants to hear. Outside systemd the notices go nowhere.

use sd_notify::NotifyState;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// Tells every part of a service that it is to end. Clones share one state, and it never goes back.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<watch::Sender<bool>>);

impl Shutdown {
    /// One that nothing triggers but [`trigger`](Self::trigger).
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// One that SIGTERM and SIGINT trigger. Needs a tokio runtime.
    pub fn on_signals() -> io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = Self::new();
        let triggered = shutdown.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => tracing::info!("ending, because of SIGTERM"),
                _ = interrupt.recv() => tracing::info!("ending, because of SIGINT"),
            }
            triggered.trigger();
        });
        Ok(shutdown)
    }

    /// Asks for the end.
    pub fn trigger(&self) {
        if !self.0.send_replace(true) {
            notify_stopping();
        }
    }

    /// Returns once the end was asked for.
    pub async fn wait(&self) {
        let mut state = self.0.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = state.wait_for(|ends| *ends).await;
    }

    /// Whether the end was asked for.
    pub fn is_triggered(&self) -> bool {
        *self.0.borrow()
    }
}

/// Counts who is inside, so that the end can wait for them.
#[derive(Clone, Debug, Default)]
pub struct Guests(Arc<watch::Sender<usize>>);

/// Somebody who is inside until this is dropped.
#[derive(Debug)]
pub struct Guest(Arc<watch::Sender<usize>>);

impl Guests {
    /// One more.
    pub fn enter(&self) -> Guest {
        self.0.send_modify(|inside| *inside += 1);
        Guest(Arc::clone(&self.0))
    }

    /// Returns when nobody is inside.
    pub async fn gone(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|inside| *inside == 0).await;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.send_modify(|inside| *inside -= 1);
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

/// Tells systemd that the service is ready, and what `systemctl status` shows of it.
pub fn notify_ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Tells systemd that the service is not ready yet and gets on with it: within `extension` it will say so again.
pub fn notify_starting(status: &str, extension: Duration) {
    let extension = u32::try_from(extension.as_micros()).unwrap_or(u32::MAX);
    notify(&[
        NotifyState::Status(status),
        NotifyState::ExtendTimeoutUsec(extension),
    ]);
}

/// Has systemd hear this process even when the service's unit is gone: a watchdog goes on then, too, and would end
/// a service that it does not hear.
pub fn keep_being_heard() {
    // Not `main`: what is no change of the unit's own setting is forgotten with the unit.
    notify(&[NotifyState::Custom("NOTIFYACCESS=exec")]);
}

/// Tells systemd that the service reads its files again; [`notify_reloaded`] ends that.
pub fn notify_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => {
            tracing::warn!(%error, "systemd was not notified of the reload: the time cannot be read");
        }
    }
}

/// Tells systemd that what is new is in force.
pub fn notify_reloaded() {
    notify(&[NotifyState::Ready]);
}

/// Changes what `systemctl status` shows.
pub fn notify_status(status: &str) {
    notify(&[NotifyState::Status(status)]);
}

/// Tells systemd that the service is ending.
pub fn notify_stopping() {
    notify(&[NotifyState::Stopping]);
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd could not be notified");
    }
}

/// Serves, and feeds systemd's watchdog, if it set one, twice as often as it asks. The very task that serves
/// feeds it, and only after the other threads of the runtime did something, too: whatever hangs is not fed.
pub async fn watched<F: Future>(service: F) -> F::Output {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return service.await;
    };
    let mut ticks = tokio::time::interval((limit / 2).max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut service = pin!(service);
    loop {
        let turn = async {
            ticks.tick().await;
            tokio::spawn(async {}).await
        };
        tokio::select! {
            output = &mut service => return output,
            _ = turn => notify(&[NotifyState::Watchdog]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everyone_who_waits_hears_of_the_end_once_it_is_asked_for() {
        let shutdown = Shutdown::new();
        let waiting = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.wait().await }
        });
        assert!(!shutdown.is_triggered());
        shutdown.trigger();
        waiting.await.unwrap();
        shutdown.wait().await;
        assert!(shutdown.is_triggered());
    }
}

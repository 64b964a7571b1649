//! How long this process has computed.

use std::time::Duration;

/// The processor time of this process so far, user and system, exact to well below a microsecond; 0 where the system
/// does not tell.
#[must_use]
pub fn time() -> Duration {
    #[cfg(unix)]
    {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::try_from(now).unwrap_or_default()
    }
    #[cfg(not(unix))]
    Duration::ZERO
}

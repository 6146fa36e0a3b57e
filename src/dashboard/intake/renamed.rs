//! Hosts that have another name now.

use crate::dashboard::core::Core;
use crate::dashboard::fleet::Renamed;
use std::sync::Arc;

/// Ends the runs that go on under another name of their host: nobody will tell how they end under the old one.
pub(crate) async fn lose_renamed(core: &Arc<Core>) {
    for Renamed {
        former,
        run_id,
        now,
    } in core.fleet.renamed()
    {
        let slot = core.slot(&former);
        // A connection under the old name holds it: a new one, which keeps that name, or the last one, which is still
        // putting its lines away. Then the next look decides.
        let Ok(mut runs) = slot.try_lock() else {
            continue;
        };
        tracing::warn!(host = %former, %now, run = %run_id, "host renamed: its run continues under the new name");
        let why = format!("this host is now named {now}: the run continues there");
        runs.lose(core, &run_id, &why).await;
    }
}

//! The socket in the data folder, for the command line on the same machine. Only the folder's owner and root can
//! open it, and they are admins.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tokio::net::UnixListener;

/// Its name in the data folder.
pub const SOCKET: &str = "control";

/// Opens it; without it the dashboard works as well.
pub(in crate::dashboard) fn bind(data_dir: &Path) -> Option<UnixListener> {
    match try_bind(data_dir) {
        Ok(listener) => Some(listener),
        Err(error) => {
            tracing::warn!(%error, "no socket for the command line: `switchyard admin` does not work");
            None
        }
    }
}

fn try_bind(data_dir: &Path) -> io::Result<UnixListener> {
    remove(data_dir);
    // Nobody can connect between its making and its closing to others: it gets its name last.
    let (made, path) = (data_dir.join("control.new"), data_dir.join(SOCKET));
    let _ = std::fs::remove_file(&made);
    let listener = UnixListener::bind(&made)?;
    std::fs::set_permissions(&made, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&made, &path)?;
    Ok(listener)
}

/// Removes what an earlier dashboard left; the folder is ours alone.
pub(super) fn remove(data_dir: &Path) {
    let _ = std::fs::remove_file(data_dir.join(SOCKET));
}

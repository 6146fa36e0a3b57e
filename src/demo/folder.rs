//! The folder that holds everything of a demo, and is gone with it.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A folder of our own; dropping it removes it.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes one for temporary files, which nobody else may enter.
    pub(super) fn create() -> io::Result<Self> {
        let random = crate::protocol::nonce().map_err(io::Error::other)?;
        let path = std::env::temp_dir().join(format!("switchyard-demo-{}", &random[..12]));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let removed = fs::remove_dir_all(&self.0).or_else(|_| {
            // A nix store is full of folders in which nobody may write.
            make_writable(&self.0)?;
            fs::remove_dir_all(&self.0)
        });
        if let Err(error) = removed {
            tracing::warn!(
                %error,
                folder = %self.0.display(),
                "folder of the demo could not be removed; remove it yourself"
            );
        }
    }
}

fn make_writable(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_writable(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_everything_in_it() {
        let folder = Folder::create().unwrap();
        let path = folder.path().to_owned();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o700
        );
        let store = path.join("store/x/y");
        fs::create_dir_all(&store).unwrap();
        fs::write(store.join("file"), "x").unwrap();
        for folder in [&store, &path.join("store/x")] {
            fs::set_permissions(folder, Permissions::from_mode(0o555)).unwrap();
        }
        drop(folder);
        assert!(!path.exists());
    }
}

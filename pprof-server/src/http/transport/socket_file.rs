//! The file of a Unix socket is made for its owner alone, and removed by the server that made it.
//!
//! `listener` calls this. A socket is made with whatever the umask leaves open, and closing it afterwards would
//! leave a moment in between. So it is made in a folder of its own that only its owner may enter, closed there,
//! and moved to its place.
//!
//! Path: *read path*.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The number of folders that killed processes may have left beside a socket.
const MAX_LEFT: usize = 100;
/// The mode of the file: only the owner may connect.
const MODE: u32 = 0o600;

/// Keeps a socket's file. When this is dropped, the file is removed, unless another has been put in its place.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Identifies the file by the device and the file number.
    identity: (u64, u64),
}

/// Listens on a new socket at `path`. One that nobody listens on any more, left by a process that was killed, is
/// replaced; anything else at `path` is left alone.
pub(crate) fn listen(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    // The program may change its folder before the file is removed.
    let path = &*std::path::absolute(path)?;
    refuse_if_taken(path)?;
    let folder = Folder::create(path)?;
    let inside = folder.0.join("s");
    let listener = UnixListener::bind(&inside)?;
    fs::set_permissions(&inside, fs::Permissions::from_mode(MODE))?;
    let identity = identity(&inside)?;
    fs::rename(&inside, path)?;
    Ok((listener, SocketFile { path: path.to_owned(), identity }))
}

fn refuse_if_taken(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket"))
        }
        Ok(_) => match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        },
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A folder beside the socket, so that moving the socket is one step. When this is dropped, the folder is removed with what is
/// in it.
struct Folder(PathBuf);

impl Folder {
    /// Makes the folder. One that a killed process left is passed by: in a container, where each start is process 1, it has the
    /// same name.
    fn create(beside: &Path) -> io::Result<Folder> {
        let numbered = |number: usize| {
            let mut path = beside.as_os_str().to_owned();
            path.push(format!(".{}.{number}", std::process::id()));
            PathBuf::from(path)
        };
        let is_left = |path: &PathBuf| fs::symlink_metadata(path).is_ok();
        let path = (0..MAX_LEFT).map(numbered).find(|path| !is_left(path)).unwrap_or_else(|| numbered(0));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        let folder = Folder(path);
        // We must enter it, whatever the umask has taken away.
        fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o700))?;
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> Folder {
        Folder::create(&std::env::temp_dir().join(name)).unwrap()
    }

    #[test]
    fn a_socket_is_its_owners_and_goes_with_its_server() {
        let folder = folder("pprof-own");
        let path = folder.0.join("pprof.sock");
        let (listener, file) = listen(&path).unwrap();
        let found = fs::metadata(&path).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "nothing else is left there");
        assert!(UnixStream::connect(&path).is_ok());
        // A second one would take the first one's clients.
        assert_eq!(listen(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop((listener, file));
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_socket_is_replaced_and_other_files_are_not() {
        let folder = folder("pprof-stale");
        let path = folder.0.join("pprof.sock");
        // As a killed process leaves it: the file without a listener.
        drop(UnixListener::bind(&path).unwrap());
        let (_listener, file) = listen(&path).unwrap();
        assert!(UnixStream::connect(&path).is_ok());

        // A process of the same number was killed while it made its socket.
        fs::create_dir(folder.0.join(format!("pprof.sock.{}.0", std::process::id()))).unwrap();
        drop(UnixListener::bind(folder.0.join("left.sock")).unwrap());
        fs::rename(folder.0.join("left.sock"), &path).unwrap();
        drop(file);
        let (_listener, file) = listen(&path).unwrap();

        // The file was replaced meanwhile, so it is not ours to remove.
        fs::remove_file(&path).unwrap();
        fs::write(&path, "somebody's").unwrap();
        drop(file);
        assert_eq!(listen(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "somebody's");
        assert!(listen(&folder.0.join("missing/pprof.sock")).is_err());
    }
}

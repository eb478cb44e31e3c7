//! Names, paths and locks of files.
//!
//! Whoever changes a file holds the lock of its folder: one in this process, and one on
//! the file `lock`, for other processes. Reading needs none, because files are only
//! ever replaced as a whole.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use xxhash_rust::xxh3::xxh3_128;

/// Folders: as many as two hexadecimal digits tell apart.
const FOLDERS: usize = 256;
/// The end of a name under which a file is written.
const UNFINISHED: &str = ".tmp";
/// Tells people what the folder is.
const README: &str = "README";
const ABOUT: &str = "A cache of Larder: one file per entry. It may be removed as a whole.\n";
/// After this long an unfinished file is nobody's.
const ABANDONED: Duration = Duration::from_hours(1);

/// The name of a file: the hash of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name(u128);

impl Name {
    pub(crate) fn of(key: &str) -> Self {
        Self(xxh3_128(key.as_bytes()))
    }

    fn parse(text: &str) -> Option<Self> {
        let is_one = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = is_one.then(|| u128::from_str_radix(text, 16));
        Some(Self(number?.ok()?))
    }

    /// The number of its folder.
    pub(crate) fn folder(self) -> u8 {
        self.0.to_be_bytes()[0]
    }
}

/// The folder of a cache with its 256 folders.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    /// Opened when first needed.
    locks: Vec<Mutex<Option<File>>>,
    written: AtomicU64,
}

/// The lock of one folder, until it is dropped.
pub(crate) struct Locked<'a>(MutexGuard<'a, Option<File>>);

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        if let Some(file) = &*self.0 {
            // Closing it would do the same; there is nothing to be done if this fails.
            let _ = file.unlock();
        }
    }
}

impl Folder {
    /// Makes the folder if it is missing, and finds out whether it can be written to.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        fs::write(root.join(README), ABOUT)?;
        Ok(Self {
            root: root.to_owned(),
            locks: (0..FOLDERS).map(|_| Mutex::default()).collect(),
            written: AtomicU64::new(0),
        })
    }

    fn place(&self, folder: u8) -> PathBuf {
        self.root.join(format!("{folder:02x}"))
    }

    fn path(&self, name: Name) -> PathBuf {
        self.place(name.folder()).join(format!("{:032x}", name.0))
    }

    /// Waits for the lock of a name's folder.
    pub(crate) fn lock(&self, name: Name) -> io::Result<Locked<'_>> {
        let number = name.folder();
        let mut lock = self.locks[usize::from(number)].lock();
        let file = match &mut *lock {
            Some(file) => file,
            none => {
                fs::create_dir_all(self.place(number))?;
                none.insert(File::create(self.place(number).join("lock"))?)
            }
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => file.lock()?,
            Err(TryLockError::Error(error)) => return Err(error),
        }
        Ok(Locked(lock))
    }

    /// The bytes of a file, if it is there.
    pub(crate) fn read(&self, name: Name) -> io::Result<Option<Bytes>> {
        match fs::read(self.path(name)) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts a file in the place of another, or of none.
    pub(crate) fn write(&self, name: Name, bytes: &[u8], _lock: &Locked<'_>) -> io::Result<()> {
        let path = self.path(name);
        // Ordering: relaxed, it only has to be another number each time.
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let unfinished =
            path.with_extension(format!("{}-{number}{UNFINISHED}", std::process::id()));
        let written = File::create(&unfinished)
            .and_then(|mut file| file.write_all(bytes))
            .and_then(|()| fs::rename(&unfinished, &path));
        if written.is_err() {
            // It would be swept later; the first error is the one to tell.
            let _ = fs::remove_file(&unfinished);
        }
        written
    }

    /// Removes a file; whether it was there.
    pub(crate) fn remove(&self, name: Name, _lock: &Locked<'_>) -> io::Result<bool> {
        match fs::remove_file(self.path(name)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The files in one of the folders, with their sizes; removes what somebody began
    /// to write and left.
    pub(crate) fn list(&self, folder: u8, now: SystemTime) -> io::Result<Vec<(Name, u64)>> {
        let mut names = Vec::new();
        let files = match fs::read_dir(self.place(folder)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(names),
            files => files?,
        };
        for file in files {
            let file = file?;
            let text = file.file_name();
            let Some(text) = text.to_str() else { continue };
            let Ok(about) = file.metadata() else {
                // It has just gone.
                continue;
            };
            if let Some(name) = Name::parse(text) {
                names.push((name, about.len()));
            } else if text.ends_with(UNFINISHED) {
                let age = about
                    .modified()
                    .ok()
                    .and_then(|then| now.duration_since(then).ok());
                if age.is_some_and(|age| age > ABANDONED) {
                    fs::remove_file(file.path())?;
                }
            }
        }
        Ok(names)
    }
}

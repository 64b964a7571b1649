//! Who a file writes as. Two copies of a file must not write under one id, so a file remembers where it was.

use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

use crdt_core::{Life, ReplicaId, StoreError};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// What opening a file did about the id that it writes under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The file is new.
    Created,
    /// The file is where it was.
    Same,
    /// The file was copied, moved to another disk or restored. It goes on under a new id and life, because the other
    /// copy may go on too; everything that is in it keeps its author. Tell the user if that is a surprise.
    Renewed {
        /// The id until now.
        was: ReplicaId,
    },
    /// As `Renewed`, but the file was opened read-only: nothing was changed. The next opening for writing renews.
    Stale,
}

/// What tells a file from its copies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) machine: Option<[u8; 16]>,
    pub(crate) device: Option<i64>,
    pub(crate) inode: Option<i64>,
    pub(crate) born: Option<i64>,
}

impl Place {
    /// Looks at a file. What the platform does not tell stays unknown.
    pub(crate) fn of(path: &Path) -> Self {
        let mut place = Self { machine: machine(), ..Self::default() };
        if let Ok(metadata) = fs::metadata(path) {
            #[cfg(unix)]
            {
                use std::os::unix::fs::MetadataExt as _;
                place.device = Some(metadata.dev().cast_signed());
                place.inode = Some(metadata.ino().cast_signed());
            }
            let born = metadata.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            place.born = born.and_then(|since| i64::try_from(since.as_nanos()).ok());
        }
        place
    }

    /// True when something that is known of both is not the same.
    pub(crate) fn differs(&self, other: &Self) -> bool {
        fn unequal<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
            matches!((a, b), (Some(a), Some(b)) if a != b)
        }
        unequal(self.machine, other.machine)
            || unequal(self.device, other.device)
            || unequal(self.inode, other.inode)
            || unequal(self.born, other.born)
    }
}

/// Stands for this machine. Hashed, because a machine's id is nobody else's business and a file may be passed on.
fn machine() -> Option<[u8; 16]> {
    // Linux, D-Bus elsewhere, FreeBSD. On other systems the file's own place has to do.
    let ids = ["/etc/machine-id", "/var/lib/dbus/machine-id", "/etc/hostid"];
    let id = ids.iter().find_map(|path| fs::read(path).ok().filter(|id| !id.trim_ascii().is_empty()))?;
    let mut hash = Sha256::new();
    hash.update(b"rejoin machine 1\0");
    hash.update(id.trim_ascii());
    Some(hash.finalize()[..16].try_into().expect("a digest has 32 bytes"))
}

/// Draws a new id and life.
pub(crate) fn draw() -> Result<(ReplicaId, Life), StoreError> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Backend(error.to_string().into()))?;
    let [id @ .., a, b, c, d, e, f, g, h] = bytes;
    let id: Uuid = uuid::Builder::from_random_bytes(id).into_uuid();
    Ok((id.into(), Life(u64::from_le_bytes([a, b, c, d, e, f, g, h]))))
}

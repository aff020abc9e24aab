"""What kind of file system a folder lies on, and whether it can be written."""

import os
import tempfile
from pathlib import Path

import psutil

_NETWORK = (
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "afpfs", "ceph", "lustre", "beegfs", "gpfs", "glusterfs"),
    *("ocfs2", "gfs2", "pvfs2", "davfs", "webdav", "ncpfs"),
)
_NETWORK_FUSE = ("sshfs", "glusterfs", "ceph", "s3fs", "gcsfuse", "rclone", "davfs", "juicefs", "quobyte")


def filesystem_type(path: Path) -> str:
    """Return the type of the file system that holds `path`, for example `ext4`; empty when it cannot be told."""
    real = path.resolve()
    mounts = {part.mountpoint: part.fstype for part in psutil.disk_partitions(all=True)}
    return next((mounts[str(folder)] for folder in (real, *real.parents) if str(folder) in mounts), "")


def is_network(kind: str) -> bool:
    """Tell whether a file system of this type lies on another machine, so that locks and SQLite's WAL may fail."""
    base, _, fuse = kind.lower().partition(".")
    return base in _NETWORK or any(name in fuse for name in _NETWORK_FUSE)


def try_to_write(folder: Path) -> None:
    """Write, sync and remove a small file. Raises OSError with the reason."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"studiolo")
        file.flush()
        os.fsync(file.fileno())

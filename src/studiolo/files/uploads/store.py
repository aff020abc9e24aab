"""Uploads of one workspace on its disk: begun, continued, placed, removed. Blocking.

`.studiolo/parts/<id>.json` says what it is to become, `<id>.data` gathers the bytes: its length is how far it is. Once
placed, the data has gone to its place and the state stays until it expires, for whoever lost the last answer.
"""

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from studiolo.contract.errors import Conflict, NotFound, Unavailable
from studiolo.contract.sizes import describe_size
from studiolo.files.listing import etag_of
from studiolo.files.placing import rename_new
from studiolo.files.refusals import IsAFolder, exists, refusal, told
from studiolo.files.root import Place, Root, not_regular
from studiolo.files.tree import PARTS
from studiolo.files.uploads.upload import Upload, Wish, announce, from_json, no_upload, state_name, to_json
from studiolo.runtime.acting import acting_as
from studiolo.runtime.history.place import read_file
from studiolo.runtime.history.saving import keep_once, locked
from studiolo.runtime.history.versions import Versions, is_versioned

_MODE = 0o644
_BLOCK = 4 << 20
_MOST_OF_STATE = 64 << 10
# Room that is left to the database and to everybody else.
_SPARE_BYTES = 64 << 20


class Uploads:
    """The uploads of one open workspace; a context manager. Methods raise errors of Root."""

    def __init__(self, root: Root) -> None:
        self.root = root
        self._opened = contextlib.ExitStack()

    def __enter__(self) -> "Uploads":
        self._parts = self._opened.enter_context(self.root.own(PARTS))
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def begin(self, wish: Wish, person: str, now: datetime) -> Upload:
        """Announce an upload, removing those that have expired. Raises Conflict, Unavailable (`disk-full`)."""
        self.remove_expired(now)
        self.check(wish)
        self._check_room(wish.size)
        upload = announce(wish, person, now)
        with told(wish.path):
            os.close(os.open(upload.data_name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=self._parts))
            self._write_state(upload)
        return upload

    def find(self, upload_id: str, person: str) -> tuple[Upload, int]:
        """Return an upload of this person and how many bytes of it are here. Raises NotFound (`upload-not-found`)."""
        try:
            raw, _ = read_file(self._parts, state_name(upload_id), most=_MOST_OF_STATE)
        except OSError as exc:
            raise no_upload() from exc
        upload = from_json(raw)
        if upload.id != upload_id or upload.person != person:
            raise no_upload()
        try:
            size = os.stat(upload.data_name, dir_fd=self._parts, follow_symlinks=False).st_size
        except FileNotFoundError:
            # Nothing but its placing takes the data away.
            return upload, upload.wish.size
        return upload, size if upload.unverified is None else min(size, upload.unverified)

    def is_placed(self, upload: Upload) -> bool:
        """Tell whether its data has gone to its place."""
        try:
            os.stat(upload.data_name, dir_fd=self._parts, follow_symlinks=False)
        except FileNotFoundError:
            return True
        return False

    @contextlib.contextmanager
    def open_data(self, upload: Upload, offset: int) -> Iterator[int]:
        """Open its data to write behind `offset`; what lay there unverified is dropped."""
        with told(upload.wish.path), acting_as(self.root.owner):
            handle = self._open_data(upload, os.O_RDWR)
        try:
            with told(upload.wish.path):
                os.ftruncate(handle, offset)
                os.lseek(handle, offset, os.SEEK_SET)
            yield handle
        finally:
            os.close(handle)

    def mark(self, upload: Upload, *, unverified: int | None) -> Upload:
        """Note where a part begins whose checksum is not known yet; None: all that is here counts."""
        if upload.unverified == unverified:
            return upload
        marked = replace(upload, unverified=unverified)
        self._write_state(marked)
        return marked

    def verify(self, upload: Upload) -> None:
        """Raise Conflict (`checksum-mismatch`) unless the whole is what was announced; it is removed then."""
        if upload.wish.sha256 is None:
            return
        found = hashlib.sha256()
        with told(upload.wish.path), os.fdopen(self._open_data(upload, os.O_RDONLY), "rb", buffering=0) as data:
            while block := data.read(_BLOCK):
                found.update(block)
        if found.hexdigest() != upload.wish.sha256.lower():
            self.remove(upload)
            raise mismatch()

    def check(self, wish: Wish) -> bool:
        """Return whether a file will be overwritten. Raises as `place`."""
        try:
            with self._target(wish, make_folders=False) as place:
                return place.stat() is not None
        except NotFound:
            # Folders on the way are made when the file is placed.
            return False

    def place(self, upload: Upload) -> str:
        """Give the whole upload its name, in one step, durably; return its ETag.

        What is overwritten is kept as a version first, as the new content is, if it is of a kind that has versions.
        Raises Conflict (`file-exists`, `file-changed`, `file-is-folder`), Unavailable (`disk-full`).
        """
        wish, name = upload.wish, upload.data_name
        versions = Versions(self.root.folder)
        with (
            told(wish.path),
            self._finished(upload) as handle,
            locked(self.root.folder),
            self._target(wish, make_folders=True) as place,
        ):
            old = place.stat()
            if old is None:
                rename_new(self._parts, name, place)
            else:
                self._keep(versions, place, old)
                os.fchmod(handle, stat.S_IMODE(old.st_mode))
                os.replace(name, place.name, src_dir_fd=self._parts, dst_dir_fd=place.folder)
                os.fsync(place.folder)
            # The file is where it belongs: that a version more cannot be kept is no reason to say otherwise.
            with contextlib.suppress(OSError):
                self._keep_new(versions, place, upload.person)
            return etag_of(os.fstat(handle))

    def remove(self, upload: Upload) -> None:
        """Forget an upload and its bytes. Repeatable."""
        for name in (upload.state_name, upload.data_name):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._parts)

    def remove_expired(self, now: datetime) -> None:
        """Remove uploads that nobody went on with for long."""
        with os.scandir(self._parts) as entries:
            names = [entry.name for entry in entries if entry.name.endswith(".json")]
        for name in names:
            # Among them are notes of others, and what somebody wrote by hand.
            with contextlib.suppress(OSError, NotFound):
                raw, _ = read_file(self._parts, name, most=_MOST_OF_STATE)
                upload = from_json(raw)
                if upload.expires < now.timestamp() and upload.state_name == name:
                    self.remove(upload)

    def _write_state(self, upload: Upload) -> None:
        fresh = f"{upload.state_name}.new"
        with told(upload.wish.path):
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600, dir_fd=self._parts)
            with os.fdopen(handle, "wb") as file:
                file.write(to_json(upload))
            os.replace(fresh, upload.state_name, src_dir_fd=self._parts, dst_dir_fd=self._parts)

    @contextlib.contextmanager
    def _target(self, wish: Wish, *, make_folders: bool) -> Iterator[Place]:
        with self.root.new_place(wish.path, make_folders=make_folders) as place:
            old = place.stat()
            if old is not None:
                _check_replaceable(place, old, wish)
            elif wish.if_match is not None:
                raise changed(wish.path)
            yield place

    def _open_data(self, upload: Upload, flags: int) -> int:
        """Open its bytes. Raises NotFound for anything that somebody put in their place; a pipe would be waited for."""
        flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        handle = os.open(upload.data_name, flags, dir_fd=self._parts)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise no_upload()
        return handle

    @contextlib.contextmanager
    def _finished(self, upload: Upload) -> Iterator[int]:
        """Open the whole data when it is on the disk, with the mode and time that it shall have."""
        handle = self._open_data(upload, os.O_RDWR)
        try:
            os.fchmod(handle, _MODE)
            if upload.wish.modified is not None:
                with contextlib.suppress(OSError, OverflowError):
                    os.utime(handle, (upload.wish.modified, upload.wish.modified))
            os.fsync(handle)
            yield handle
        finally:
            os.close(handle)

    def _keep(self, versions: Versions, place: Place, old: os.stat_result) -> None:
        if is_versioned(place.path, old.st_size):
            content, _ = read_file(place.folder, place.name, most=old.st_size)
            keep_once(versions, place.path, content)

    def _keep_new(self, versions: Versions, place: Place, person: str) -> None:
        seen = os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
        if place.path.endswith(".ipynb") and is_versioned(place.path, seen.st_size):
            content, _ = read_file(place.folder, place.name, most=seen.st_size)
            versions.keep(place.path, content, by=person, how="upload")

    def _check_room(self, size: int) -> None:
        disk = os.fstatvfs(self._parts)
        free = disk.f_bavail * disk.f_frsize - _SPARE_BYTES
        if size > free:
            raise Unavailable(
                "disk-full",
                f"The disk has {describe_size(max(free, 0))} left for files, and this one needs {describe_size(size)}.",
                hint="Delete files and erase them from the trash, then try again.",
            )


def mismatch() -> Conflict:
    """The error for bytes that are not those that were sent."""
    return Conflict(
        "checksum-mismatch",
        "The bytes that arrived are not those that were sent; nothing was placed.",
        hint="Send them again.",
    )


def changed(path: str) -> Conflict:
    """The error for a file that is another than the one named."""
    return Conflict(
        "file-changed",
        f"{path[:200]!r} has changed since you looked at it; nothing was overwritten.",
        hint="Look at it again, then decide.",
    )


def _check_replaceable(place: Place, old: os.stat_result, wish: Wish) -> None:
    if stat.S_ISDIR(old.st_mode):
        raise IsAFolder(wish.path)
    if not wish.overwrite and wish.if_match is None:
        raise exists(place.path)
    if not stat.S_ISREG(old.st_mode) and not stat.S_ISLNK(old.st_mode):
        raise not_regular(wish.path)
    if wish.if_match not in (None, "*", etag_of(old)):
        raise changed(wish.path)
    if stat.S_ISLNK(old.st_mode):
        raise exists(place.path)
    if not os.access(place.name, os.W_OK, dir_fd=place.folder, effective_ids=True):
        raise refusal(PermissionError(13, ""), place.path)

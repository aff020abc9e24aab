"""The fingerprint of a wheel: the same in the archive and once installed, by pip, uv or an unzip.

It is the SHA-256 of path and digest of each payload file as RECORD names them, sorted, one a line, hexadecimal. It
says which artefact a RECORD describes; whether the files are still those that it describes, `verifying` tells.
"""

import hashlib
import zipfile
from pathlib import Path

from studiolo.packages.installed import records
from studiolo.packages.installed.handles import opened, read_file


def of_wheel(path: Path) -> str | None:
    """Return the fingerprint of a wheel; None where it has no RECORD, or one that cannot be read."""
    try:
        with zipfile.ZipFile(path) as wheel:
            found = [info for info in wheel.infolist() if _is_record(info.filename)]
            if len(found) != 1 or found[0].file_size > records.MOST_BYTES:
                return None
            # An archive may hold more than it says.
            with wheel.open(found[0]) as file:
                content = file.read(records.MOST_BYTES + 1)
    except (OSError, zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError, ValueError):
        return None
    return of_record(content) if len(content) <= records.MOST_BYTES else None


def of_installed(dist_info: Path) -> str | None:
    """Return the fingerprint of an installed distribution by its `.dist-info` folder; None as for `of_wheel`."""
    try:
        with opened(dist_info) as folder:
            return of_record(read_file("RECORD", folder, records.MOST_BYTES))
    except OSError:
        return None


def of_record(content: bytes) -> str | None:
    """Return the fingerprint of a RECORD's content; None where it is malformed or names nothing."""
    try:
        return of_rows(records.parse(content))
    except records.Malformed:
        return None


def of_rows(rows: list[records.Row]) -> str | None:
    """Return the fingerprint of a RECORD's rows; None where they name nothing."""
    lines = records.payload(rows)
    if not lines:
        return None
    digest = hashlib.sha256()
    for path, file_digest in lines:
        digest.update(f"{path}\0{file_digest}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _is_record(name: str) -> bool:
    folder, _, file = name.partition("/")
    return folder.endswith(".dist-info") and file == "RECORD"

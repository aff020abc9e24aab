"""Our own client as a wheel: what the default base has of us, for no index has a file of the version that runs here.

It is made of the files of this installation, whatever kind of one it is: no network, no build tool, some milliseconds.
"""

import base64
import hashlib
import io
import re
import zipfile
from collections.abc import Iterator
from importlib.metadata import metadata
from pathlib import Path

import studiolo

# As a distribution, and what a lock calls it.
NAME = "studiolo"
# What an installation without extras needs and imports. No programs: those on a session's PATH are the platform's own,
# and work whatever somebody does to the environment.
_PARTS = ("__init__.py", "py.typed", "kernels.py", "cli", "contract", "sdk")
_KEPT_FIELDS = ("Metadata-Version", "Name", "Version", "Summary", "License-Expression", "Requires-Python")
_WHEEL = "Wheel-Version: 1.0\nGenerator: studiolo\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_IN_EXTRA = re.compile(r";.*\bextra\s*==")
# The oldest that a zip file can say: the same files make the same wheel, everywhere.
_LONG_AGO = (1980, 1, 1, 0, 0, 0)


def write_client_wheel(folder: Path) -> tuple[Path, str]:
    """Write the wheel into `folder`; return where, and the line of a requirements file that pins it by its SHA-256.

    The same files give the same bytes. Raises OSError.
    """
    version = metadata(NAME)["Version"]
    info = f"{NAME}-{version}.dist-info"
    files = dict(_list_files()) | {f"{info}/METADATA": _metadata().encode(), f"{info}/WHEEL": _WHEEL.encode()}
    record = "".join(f"{name},sha256={_digest(content)},{len(content)}\n" for name, content in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    packed = io.BytesIO()
    # Not compressed: how well that is done depends on the machine.
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as wheel:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, _LONG_AGO)
            entry.external_attr = 0o644 << 16
            wheel.writestr(entry, content)
    path = folder / f"{NAME}-{version}-py3-none-any.whl"
    path.write_bytes(packed.getvalue())
    return path, f"{NAME}=={version} --hash=sha256:{hashlib.sha256(packed.getvalue()).hexdigest()}\n"


def _list_files() -> Iterator[tuple[str, bytes]]:
    ours = Path(studiolo.__file__).parent
    # Its sibling is named and not imported: with it comes the whole client.
    for part in (*(ours / name for name in _PARTS), ours.parent / "notebooks"):
        found = sorted(part.rglob("*")) if part.is_dir() else [part]
        for file in found:
            if file.suffix in (".py", ".typed"):
                yield file.relative_to(ours.parent).as_posix(), file.read_bytes()


def _metadata() -> str:
    known = metadata(NAME)
    lines = [f"{field}: {known[field]}" for field in _KEPT_FIELDS if field in known]
    needs = [need for need in known.get_all("Requires-Dist") or () if not _IN_EXTRA.search(need)]
    return "\n".join([*lines, *(f"Requires-Dist: {need}" for need in needs)]) + "\n"


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()

"""Conda channels made on the spot: packages as small as real ones can be, indexed by py-rattler, served over HTTP."""

import hashlib
import io
import json
import sys
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from backports import zstd
from rattler.index import index_fs

LONG_AGO = 1_600_000_000_000


def make_package(
    channel: Path,
    name: str,
    version: str,
    *,
    subdir: str = "noarch",
    depends: Sequence[str] = (),
    files: Mapping[str, bytes | str] | None = None,
    links: Mapping[str, str] | None = None,
    noarch: str | None = None,
    timestamp: int = LONG_AGO,
) -> Path:
    """Write `name-version-0.conda`. `files`: by path, texts may be programs (under `bin`); `links`: path → target.

    The place `/placeholder-prefix` in a text is replaced by where it is installed. `timestamp`: in milliseconds.
    """
    kind = noarch or ("generic" if subdir == "noarch" else None)
    contents = {path: text.encode() if isinstance(text, str) else text for path, text in (files or {}).items()}
    index = {
        "name": name, "version": version, "build": "0", "build_number": 0, "depends": list(depends),
        "subdir": subdir, "timestamp": timestamp, **({"noarch": kind} if kind else {}),
    }  # fmt: skip
    entries = [_entry(path, content) for path, content in contents.items()]
    entries += [{"_path": path, "path_type": "softlink"} for path in links or {}]
    info = {
        "info/index.json": json.dumps(index).encode(),
        "info/paths.json": json.dumps({"paths": entries, "paths_version": 1}).encode(),
        "info/files": "\n".join([*contents, *(links or {})]).encode(),
    }
    if kind == "python":
        info["info/link.json"] = json.dumps({"noarch": {"type": "python"}, "package_metadata_version": 1}).encode()
    target = channel / subdir / f"{name}-{version}-0.conda"
    target.parent.mkdir(parents=True, exist_ok=True)
    stem = target.name.removesuffix(".conda")
    with zipfile.ZipFile(target, "w") as outer:
        outer.writestr("metadata.json", json.dumps({"conda_pkg_format_version": 2}))
        outer.writestr(f"info-{stem}.tar.zst", _pack(info, {}))
        outer.writestr(f"pkg-{stem}.tar.zst", _pack(contents, links or {}))
    return target


async def index(channel: Path) -> None:
    """Write all three forms of repodata."""
    (channel / "noarch").mkdir(parents=True, exist_ok=True)
    await index_fs(channel, force=True)


def python_module(name: str, version: str) -> dict[str, str]:
    """Return the files of a Python package for `noarch="python"`."""
    info = f"site-packages/{name}-{version}.dist-info"
    return {
        f"site-packages/{name}.py": f"version = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/INSTALLER": "conda",
        f"{info}/RECORD": f"{name}.py,,\n{name}-{version}.dist-info/METADATA,,\n",
    }


def _entry(path: str, content: bytes) -> dict[str, object]:
    entry: dict[str, object] = {
        "_path": path,
        "path_type": "hardlink",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_in_bytes": len(content),
    }
    if b"/placeholder-prefix" in content:
        entry |= {"file_mode": "text", "prefix_placeholder": "/placeholder-prefix"}
    return entry


def _pack(files: Mapping[str, bytes], links: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            member.mode = 0o755 if path.startswith("bin/") else 0o644
            tar.addfile(member, io.BytesIO(content))
        for path, target in links.items():
            member = tarfile.TarInfo(path)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    return zstd.compress(buffer.getvalue(), 1)


def make_python(channel: Path) -> None:
    """Write a package `python`: this interpreter's program, and links to its standard library; no virtual environment.

    Real ones hold all of it, which would be a hundred megabytes here.
    """
    base, version = Path(sys.base_prefix), f"{sys.version_info[0]}.{sys.version_info[1]}"
    library = f"lib/python{version}"
    kept = {path.name for path in (base / library).iterdir()} - {"site-packages", "__pycache__"}
    links = {f"{library}/{name}": str(base / library / name) for name in kept}
    links |= {f"lib/{path.name}": str(path) for path in (base / "lib").glob("libpython*")}
    links |= {"bin/python": f"python{version}", "bin/python3": f"python{version}"}
    program = (base / f"bin/python{version}").read_bytes()
    files = {f"bin/python{version}": program, f"{library}/site-packages/README.txt": ""}
    make_package(channel, "python", sys.version.split()[0], subdir="linux-64", files=files, links=links)

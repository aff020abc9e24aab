"""A package index made on the spot: a folder of pages and wheels that pip and uv read by its file address."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from environments.wheels import make_wheel


class SimpleIndex:
    """An index at `url`; what is added is there at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = folder / "files"
        self._files.mkdir(parents=True)
        self.url = f"file://{folder}/simple"
        (folder / "simple").mkdir()

    def add_source(self, name: str, version: str) -> None:
        """Add a source distribution that nobody may open."""
        page = self._folder / "simple" / name / "index.html"
        page.parent.mkdir()
        page.write_text(f'<!DOCTYPE html><html><body>\n<a href="{name}-{version}.tar.gz">{name}-{version}.tar.gz</a>\n')

    def add(self, name: str, version: str, needs: Sequence[str] = ()) -> str:
        """Add a wheel and return its SHA-256."""
        requires = "".join(f"Requires-Dist: {spec}\n" for spec in needs)
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}"
        wheel = make_wheel(self._files, name, version, {f"{name}-{version}.dist-info/METADATA": metadata})
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        page = self._folder / "simple" / name.replace("_", "-") / "index.html"
        page.parent.mkdir(exist_ok=True)
        known = page.read_text() if page.exists() else "<!DOCTYPE html><html><body>\n"
        page.write_text(f'{known}<a href="file://{wheel}#sha256={digest}">{wheel.name}</a>\n')
        return digest

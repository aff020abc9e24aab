"""proxpi, a caching index, from a lock of its own."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
from _peers import proxpi_programs
from _processes import clean_environment, running, wait_until

from studiolo.testing.ports import free_port


class Proxpi:
    """A running one, with an empty cache at first."""

    def __init__(self, folder: Path, upstream: str) -> None:
        self._cache = folder / "cache"
        self._log = folder / "log"
        self._port = free_port()
        self.address = f"http://127.0.0.1:{self._port}/index/"
        self._environment = clean_environment(
            PROXPI_INDEX_URL=f"{upstream.removesuffix('/')}/", PROXPI_CACHE_DIR=str(self._cache)
        )
        self._running = contextlib.ExitStack()

    def start(self) -> None:
        """Start it as its readme says."""
        words = ["--bind", f"127.0.0.1:{self._port}", "--threads", "4", "proxpi.server:app"]
        argv = [proxpi_programs() / "gunicorn", *words]
        self._running.enter_context(running(argv, log=self._log, env=self._environment))
        wait_until(self._answers, "proxpi")

    def stop(self) -> None:
        """End it."""
        self._running.close()

    def make_cold(self) -> None:
        """Start it again without what it kept."""
        self.stop()
        shutil.rmtree(self._cache, ignore_errors=True)
        self.start()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self._port}/", timeout=5, trust_env=False).is_success
        except httpx.HTTPError:
            return False


@contextlib.contextmanager
def proxpi(upstream: str) -> Iterator[Proxpi]:
    """Run one before an index for the length of a block."""
    with tempfile.TemporaryDirectory() as name:
        found = Proxpi(Path(name), upstream)
        found.start()
        try:
            yield found
        finally:
            found.stop()

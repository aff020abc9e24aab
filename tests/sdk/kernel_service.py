"""A real stand-alone gateway, shared by the tests of clients of kernels."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from studiolo.testing.ports import free_port

_SECONDS = 30.0


@contextlib.contextmanager
def gateway() -> Iterator[int]:
    """Run `studiolo gateway` without keys on a free port until the block ends; yields the port."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="sk") as name:
        folder = Path(name)
        (folder / "root").mkdir()
        code = "from studiolo.cli.main import main; raise SystemExit(main())"
        argv = [sys.executable, "-c", code, "gateway", "--open", "--port", str(port), "--spares", "0"]
        argv += ["--root", str(folder / "root"), "--data-dir", str(folder / "data")]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("STUDIOLO_")}
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(argv, stdout=log, stderr=log, env=environ)
        try:
            _wait(port, process, folder / "log")
            yield port
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="session")
def kernel_service() -> Iterator[int]:
    """The port of a gateway."""
    with gateway() as port:
        yield port


def _wait(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + _SECONDS
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=5).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise AssertionError(log.read_text()) from None

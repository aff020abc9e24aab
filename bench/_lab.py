"""A fresh `jupyter lab`, as somebody starts it by hand."""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

from _http import Client
from _peers import jupyter_programs
from _processes import clean_environment, running

from studiolo.testing.ports import free_port

_POLL_SECONDS = 0.005


@contextlib.contextmanager
def fresh_lab() -> Iterator[None]:
    """Start `jupyter lab`; the block begins when its page has answered 200."""
    with tempfile.TemporaryDirectory(prefix="studiolo-bench-lab-", ignore_cleanup_errors=True) as name:
        folder, port, token = Path(name), free_port(), secrets.token_hex(16)
        options = [f"--port={port}", "--ServerApp.port_retries=0", "--no-browser", f"--IdentityProvider.token={token}"]
        if os.getuid() == 0:
            options.append("--allow-root")
        argv = (str(jupyter_programs() / "jupyter-lab"), *options)
        with running(argv, log=folder / "lab.log", env=clean_environment(HOME=str(folder)), cwd=folder):
            Client(port, {"Authorization": f"token {token}"}).await_200("/lab", pause=_POLL_SECONDS)
            yield

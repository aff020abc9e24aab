"""What is done before the fork need not be done after it."""

import subprocess
import sys
from pathlib import Path

import pytest

from studiolo.runtime import preload

# Starts JupyterLab in a fork, as a session does, and prints what it had to import for that.
START = """
import os, sys
from pathlib import Path
from studiolo.runtime.preload import preload
preload()
from studiolo.runtime import jupyter
from studiolo.runtime.launch import LaunchRequest

folder = Path(sys.argv[1])
for name in ("launches/1", "run", "work"):
    (folder / name).mkdir(parents=True)
os.environ.update(JUPYTER_CONFIG_DIR=str(folder), JUPYTER_DATA_DIR=str(folder), JUPYTER_RUNTIME_DIR=str(folder / "run"))
request = LaunchRequest(
    "s-1", 1, str(folder / "launches/1"), str(folder / "run"), str(folder / "s.sock"), str(folder / "work"), "notebooks",
    sys.prefix, "/s/s-1/", 10, "secret", "key", "http://127.0.0.1:9", {},
)
before = set(sys.modules)

def tell(port):
    print("imported:", *sorted(set(sys.modules) - before), flush=True)
    os._exit(0)

jupyter.run_lab(request, tell)
"""


def test_a_start_imports_nothing_that_could_have_been_imported_before(run_dir: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", START, str(run_dir / "x")], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout == "imported:\n", ran.stderr


def test_sessions_load_the_extensions_of_their_own_environment_but_the_unused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "etc/jupyter/jupyter_server_config.d"
    folder.mkdir(parents=True)
    (folder / "a.json").write_text(
        '{"ServerApp": {"jpserver_extensions": {"json": true, "notebook_shim": true, "csv": false, "absent": true}}}'
    )
    (folder / "b.json").write_text("{cut")
    monkeypatch.setattr(preload.sys, "prefix", str(tmp_path))
    assert preload.server_extensions() == ["json", "jupyter_server_terminals", "jupyterlab"]
    assert "b.json" in capfd.readouterr().err

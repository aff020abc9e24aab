import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_import_contracts_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("module", ["studiolo.sdk", "studiolo.cli.main", "notebooks"])
def test_the_light_client_imports_nothing_of_the_server(module: str) -> None:
    code = f"import sys, {module}; print([m for m in sys.modules if m.startswith(('studiolo.server', 'fastapi'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_the_server_starts_nothing_and_is_light() -> None:
    # Each takes longer than all of the server together.
    heavy = {"jsonschema", "nbformat", "rfc3987_syntax"}
    code = (
        "import sys, threading, studiolo.server.app, studiolo.server.commands, studiolo.server.main;"
        f"print(threading.active_count(), *{heavy} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"

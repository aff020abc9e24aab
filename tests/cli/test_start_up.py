"""What a start costs: asserted on the modules that it imports, which a busy machine does not change."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"httpx", "pydantic", "rich", "typer", "asyncio", "anyio", "studiolo.contract.models", "studiolo.sdk"}
HEAVY |= {"studiolo.server", "json", "inspect"}


def imported_by(*args: str, module: str = "main") -> set[str]:
    """Return the modules that a whole process imports for a command line."""
    code = f"import sys; sys.argv = ['studiolo', *{list(args)!r}]; from studiolo.cli.main import {module}; {module}()"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize("args", [[], ["--help"], ["--version"], ["keys", "--help"]])
def test_the_overview_imports_nothing_heavy(args: list[str]) -> None:
    assert imported_by(*args) & HEAVY == set()


def test_the_help_of_a_command_opens_no_connection() -> None:
    assert not {"httpcore", "ssl"} & imported_by("completion", "--help")


def test_nothing_of_the_server_is_imported_by_a_client_command() -> None:
    assert not any(name.startswith(("studiolo.server", "fastapi", "sqlalchemy")) for name in imported_by("list"))


@pytest.mark.parametrize(
    "command",
    [["studiolo"], ["ml"], ["ml", "jupyter"], ["jupyter", "studiolo"]],
    ids=" ".join,
)
def test_each_way_in_is_installed(command: list[str]) -> None:
    folder = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(
        [folder / command[0], *command[1:], "--help"], capture_output=True, text=True, timeout=60, env=environment
    )
    assert done.returncode == 0
    assert done.stdout.startswith(f"Usage: {' '.join(command)} COMMAND")


@pytest.mark.parametrize(("words", "offered"), [("studiolo st", "start"), ("ml jupyter keys re", "revoke")])
def test_shells_complete_commands(words: str, offered: str) -> None:
    program = words.split()[0]
    environment = {
        **os.environ,
        f"_{program.upper()}_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    done = subprocess.run(
        [Path(sys.executable).parent / program], capture_output=True, text=True, timeout=60, env=environment
    )
    assert offered in done.stdout.split()


def test_a_reader_that_had_enough_meets_no_trace() -> None:
    program = Path(sys.executable).parent / "studiolo"
    done = subprocess.run(["sh", "-c", f"{program} --help | true"], capture_output=True, text=True, check=False)
    assert done.stderr == ""

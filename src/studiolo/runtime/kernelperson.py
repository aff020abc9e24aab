"""What a kernel that was built for nobody takes of its person: profile, history, start files."""

import os
from pathlib import Path
from typing import Any

from IPython.paths import get_ipython_dir

from studiolo.runtime.kernelhistory import LateHistory


def give_history(app: Any) -> None:
    """Give the shell a history that is nobody's yet, instead of none."""
    shell = app.shell
    shell.configurables.remove(shell.history_manager)
    shell.history_manager = LateHistory(shell=shell, parent=shell, enabled=True)
    shell.configurables.append(shell.history_manager)


def take_person(app: Any) -> None:
    """Give the shell what it has of its person."""
    _take_profile(app)
    if not isinstance(app.shell.history_manager, LateHistory):
        give_history(app)
    app.shell.history_manager.begin(Path(app.profile_dir.location) / "history.sqlite")
    _take_names(app)


def rehearse_person(app: Any) -> None:
    """Do what `take_person` does, but for the history, with a profile that is nobody's."""
    _take_profile(app)
    _take_names(app)


def _take_profile(app: Any) -> None:
    shell = app.shell
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    shell.init_environment()
    app.init_path()
    app.profile_dir = None
    app.ipython_dir = get_ipython_dir()
    app.init_profile_dir()
    app.kernel.profile_dir = shell.profile_dir = app.profile_dir
    shell.ipython_dir, shell.starting_dir = app.ipython_dir, str(Path.cwd())


def _take_names(app: Any) -> None:
    app.shell.init_user_ns()
    if name := os.environ.get("JPY_SESSION_NAME"):
        app.shell.user_ns["__session__"] = name
    app.init_code()

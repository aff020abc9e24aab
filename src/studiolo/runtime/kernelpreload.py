"""Doing before the fork what every ipykernel would do after it."""

import importlib
import json
import os
import sys
import tempfile
import traceback
import warnings
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

from studiolo.runtime.interpreter import OURS, note_imports

_IMPORTS = (
    "ipykernel.kernelapp",
    "ipykernel.debugger",
    "IPython",
    "comm",
    "studiolo.runtime.forkedkernel",
    "studiolo.runtime.kernelrehearsal",
)
# It imports numpy, which starts threads.
_NOT_AHEAD = ("matplotlib",)
_CELLS = ("1", "1 / 0")


def preload() -> None:
    """Import all that a kernel needs, and build a kernel that forks finish. Starts nothing."""
    before = dict(os.environ)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in _IMPORTS:
            importlib.import_module(name)
        for name in _list_late_imports():
            try:
                importlib.import_module(name)
            except ImportError:
                continue
        # Imported only now: they need ipykernel.
        from studiolo.runtime.builtkernel import build
        from studiolo.runtime.forkedkernel import SpooledKernelApp, list_files

        list_files()
        build(SpooledKernelApp.instance())
    note_imports(before)


def list_distributions() -> list[str]:
    """Return the folders `X-1.2.dist-info` of the distributions that are imported by now, sorted."""
    owners = packages_distributions()
    imported = {name.partition(".")[0] for name in list(sys.modules)} - {OURS}
    names = {_normal(owner) for name in imported for owner in owners.get(name, ())}
    folders = [folder for path in sys.path for folder in Path(path).glob("*.dist-info")]
    # What was read for this lies in caches; each fork would copy the pages that they are on, to empty them: 3 MiB.
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()
    return sorted(folder.name for folder in folders if _normal(folder.name.partition("-")[0]) in names)


def _normal(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")


def _list_late_imports() -> list[str]:
    """Run a cell in a kernel of a fork's, and return the modules that it has imported for that."""
    known = set(sys.modules)
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(ours)
            with tempfile.TemporaryDirectory(prefix="studiolo-kernel-") as folder:
                _run_a_cell(folder)
                found = sorted(name for name in set(sys.modules) - known if not name.startswith(("__", *_NOT_AHEAD)))
            with os.fdopen(theirs, "w") as pipe:
                json.dump(found, pipe)
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        written = pipe.read()
    return [str(name) for name in json.loads(written or "[]")]


def _run_a_cell(folder: str) -> None:
    from ipykernel.kernelapp import IPKernelApp

    os.environ["IPYTHONDIR"] = folder
    app: Any = IPKernelApp.instance(connection_file=f"{folder}/connection.json", transport="ipc", ip=f"{folder}/c")
    app.initialize([])
    for cell in _CELLS:
        app.shell.run_cell(cell)
    app.shell.complete("impor")

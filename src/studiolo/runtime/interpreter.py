"""Making a forked Python look as one that was started afresh: its variables, its environment's places, its secrets."""

import contextlib
import importlib
import importlib.util
import locale
import multiprocessing
import os
import random
import site
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

OURS = "studiolo"
_COERCED = "C.UTF-8"
_OF_PREFIX = (
    # Lists of folders that these modules made of sys.prefix when they were imported.
    ("IPython.core.application", "ENV_CONFIG_DIRS"),
    ("jupyter_core.paths", "ENV_JUPYTER_PATH"),
    ("jupyter_core.paths", "ENV_CONFIG_PATH"),
)


# What is looked up before any fork: in a fork, to look at all modules would copy the pages that they are on, 5 MiB.
_set_by_imports: dict[str, str] = {}
_ours: list[str] = []
_paths: list[list[str]] = []


def note_imports(variables: Mapping[str, str]) -> None:
    """Remember what is imported by now, and what that has added to the `variables` that there were before."""
    _set_by_imports.update({name: value for name, value in os.environ.items() if name not in variables})
    _ours[:] = [name for name in sys.modules if name.partition(".")[0] == OURS]
    inside = sys.prefix + os.sep
    paths = [getattr(module, "__path__", None) for module in sys.modules.values()]
    _paths[:] = [path for path in paths if isinstance(path, list) and any(part.startswith(inside) for part in path)]


def replace_variables(variables: Mapping[str, str]) -> None:
    """Take `variables` for the whole environment, and what imports would add to them."""
    os.environ.clear()
    os.environ.update(_set_by_imports | dict(variables))
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    time.tzset()
    _set_locale()


def forget_shared() -> None:
    """Take secrets and places of our own for those that other forks have as well."""
    random.seed()
    multiprocessing.current_process().authkey = os.urandom(32)
    # Found by the variables, which were others before.
    tempfile.tempdir = None


def forget_ours() -> None:
    """Forget our own modules, so that an import of their names finds what is installed in the environment, or nothing.

    Code that runs goes on; what it still needs must be imported already.
    """
    for name in _ours:
        sys.modules.pop(name, None)


def take_place(prefix: str, argv: Sequence[str]) -> None:
    """Be what `argv`, a `python -m MODULE …`, starts in the environment `prefix`: this process's or a clone of it.

    `sys.path` and the like become what environment and PYTHONPATH make of them in a fresh `argv`; what is imported
    stays, and looks for its parts in `prefix`. Runs the environment's `.pth` files, as a start does.
    """
    base = sys.prefix
    library = [path for path in sys.path if not Path(path).is_relative_to(base)]
    sys.executable, sys.orig_argv = argv[0], list(argv)
    if prefix != base:
        sys.prefix = sys.exec_prefix = prefix
        site.PREFIXES = [prefix if place == base else place for place in site.PREFIXES]
        _move_modules(base, prefix)
    sys.path[:] = [*_python_path(), *(path for path in library if path in _standard_library())]
    # Not those of the first start: they were another environment's, or have changed.
    for folder in site.getsitepackages([prefix]):
        site.addsitedir(folder)
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()
    # `python -m MODULE …`
    sys.argv = [_find_file(argv[2]), *argv[3:]]


def _find_file(module: str) -> str:
    """Return where a module is, or its name. The finders would list all folders, which whoever imports may do."""
    for folder in sys.path:
        file = f"{folder}/{module}.py"
        if os.path.isfile(file):  # noqa: PTH113 a third of the time that Path takes, at each start
            return file
    found = importlib.util.find_spec(module)
    return (found.origin if found else None) or module


def _set_locale() -> None:
    """Do what a start does, PEP 538 included: nobody is left with ASCII for want of a setting."""
    try:
        found = locale.setlocale(locale.LC_CTYPE, "")
    except locale.Error:
        found = locale.setlocale(locale.LC_CTYPE, "C")
    if found in ("C", "POSIX") and not os.environ.get("LC_ALL"):
        with contextlib.suppress(locale.Error):
            locale.setlocale(locale.LC_CTYPE, _COERCED)
            os.environ["LC_CTYPE"] = _COERCED


def _python_path() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def _standard_library() -> set[str]:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = Path(os.__file__).parent
    archive = folder.parent / f"python{version.replace('.', '')}.zip"
    return {str(archive), str(folder), str(folder / "lib-dynload")}


def _move_modules(base: str, prefix: str) -> None:
    """Have imported packages look for their parts, and modules for their environment's folders, in `prefix`."""
    inside = base + os.sep
    found = [getattr(sys.modules.get(name), variable, None) for name, variable in _OF_PREFIX]
    for folders in (*_paths, *(folders for folders in found if isinstance(folders, list))):
        folders[:] = [prefix + part[len(base) :] if part.startswith(inside) else part for part in folders]
    if (sysconfig := sys.modules.get("sysconfig")) is not None:
        importlib.reload(sysconfig)

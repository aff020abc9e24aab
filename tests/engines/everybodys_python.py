"""A Python that every account of the machine can run, with what the tests' own has: that one may lie in root's home."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import studiolo
from studiolo.contract.errors import InvalidInput
from studiolo.engines.local.reaching import check_reachable, find_closed
from studiolo.runtime.acting import LOWEST, is_possible

# Of those that packages bring.
_PROGRAMS = ("uv", "uvx", "caddy")
_LEFT_OUT = shutil.ignore_patterns("test", "idlelib", "site-packages", "__pycache__")


def is_everybodys() -> bool:
    """Tell whether this very Python is one; needs root."""
    try:
        check_reachable(Path("/nonexistent"), LOWEST)
    except InvalidInput:
        return False
    return True


def make() -> dict[str, str]:
    """Make one, or find it made; returns the variables PYTHON and LD_LIBRARY_PATH that run it."""
    name = hashlib.sha256(f"{sys.base_prefix} {sys.version} {sys.prefix}".encode()).hexdigest()[:8]
    # Kept, since environments that tests build and keep name it.
    folder = Path("/var/tmp") / f"studiolo-python-{name}"
    folder.mkdir(mode=0o755, exist_ok=True)
    assert folder.stat().st_uid == 0
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            _copy(folder)
            (folder / "made").touch()
    return {"PYTHON": str(folder / "venv/bin/python"), "LD_LIBRARY_PATH": str(folder / "python/lib")}


def packages_folders() -> list[Path]:
    """Return where this Python finds packages that were not installed into it."""
    return [Path(path) for path in sys.path if Path(path).is_dir() and not Path(path).is_relative_to(sys.base_prefix)]


def _copy(folder: Path) -> None:
    """Copy the standard library and its Python, and lead to the packages that are installed here."""
    for half_made in ("python", "venv", "packages", "ours"):
        shutil.rmtree(folder / half_made, ignore_errors=True)
    whole, version = folder / "python", f"python{sys.version_info.major}.{sys.version_info.minor}"
    shutil.copytree(sys.base_prefix, whole, symlinks=True, ignore=_LEFT_OUT)
    whole.chmod(0o755)
    uv = str(Path(sys.executable).with_name("uv"))
    command = [uv, "venv", "--quiet", "--python", str(whole / "bin" / version), str(folder / "venv")]
    subprocess.run(command, check=True)
    paths = [_opened(Path(sysconfig.get_path("purelib")), folder / "packages")]
    paths += [_opened(Path(place).parent, folder / "ours") for place in studiolo.__path__]
    lines = [f"import site; site.addsitedir({str(path)!r})\n" for path in paths]
    (folder / "venv/lib" / version / "site-packages/tests.pth").write_text("".join(lines))
    for name in _PROGRAMS:
        shutil.copy2(Path(sys.executable).with_name(name), folder / "venv/bin")


def _opened(folder: Path, copy: Path) -> Path:
    """Return the folder, or a copy of it where others may not go."""
    if find_closed([folder], LOWEST) is None:
        return folder
    return Path(shutil.copytree(folder, copy, symlinks=True))


def only_with_it() -> list[pytest.MarkDecorator]:
    """Return the marks of tests that another test runs with such a Python where this is none."""
    can_be = is_possible() and is_everybodys()
    return [pytest.mark.engine, pytest.mark.skipif(not can_be, reason="test_local_accounts.py runs it, as root")]

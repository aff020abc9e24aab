"""The peers: installed into bench/.peers from the locks in bench/peers, once for each content of a lock."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

_BENCH = Path(__file__).resolve().parent
_LOCKS = _BENCH / "peers"
_INSTALLED = _BENCH / ".peers"


def jupyter_programs() -> Path:
    """Return the folder of `jupyterhub`, `jupyter-lab`, `jupyter-server`, `jupyter-kernelgateway`, once installed."""
    return _environment("jupyter", _LOCKS / "requirements.lock")


def jupyverse_programs() -> Path:
    """Return the folder of the program `jupyverse`, installing it if need be."""
    return _environment("jupyverse", _LOCKS / "jupyverse.lock")


def proxpi_programs() -> Path:
    """Return the folder of `gunicorn` with proxpi beside it, installing them if need be."""
    return _environment("proxpi", _LOCKS / "proxpi.lock")


def proxy_program() -> Path:
    """Return the program `configurable-http-proxy`, installing it if need be. Needs npm."""
    if shutil.which("npm") is None:
        raise SystemExit("error: npm is missing, which installs configurable-http-proxy.\n\nhint: apt install npm")
    folder = _INSTALLED / "proxy"
    lock = _LOCKS / "package-lock.json"

    def install() -> None:
        folder.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(_LOCKS / name, folder)
        _run("npm", "ci", "--prefix", str(folder), "--no-audit", "--no-fund", "--loglevel=error")

    _once(folder, lock, install)
    return folder / "node_modules" / ".bin" / "configurable-http-proxy"


def version_of(distribution: str) -> str:
    """Return the version of a distribution among the peers, for the report."""
    programs = jupyverse_programs() if distribution == "jupyverse" else jupyter_programs()
    program = f"from importlib.metadata import version; print(version({distribution!r}))"
    return _output(str(programs / "python"), "-c", program)


def proxy_version() -> str:
    """Return the version of configurable-http-proxy, for the report."""
    return _output(str(proxy_program()), "--version")


def _environment(name: str, lock: Path) -> Path:
    venv = _INSTALLED / name

    def install() -> None:
        uv = str(Path(sys.executable).with_name("uv"))
        python = str(venv / "bin" / "python")
        _run(uv, "venv", "--quiet", "--python", sys.executable, str(venv))
        # Our own packages are compiled when they are installed; without it the peers' first starts would pay.
        options = ("--quiet", "--require-hashes", "--compile-bytecode", "--python", python)
        _run(uv, "pip", "install", *options, "-r", str(lock))

    _once(venv, lock, install)
    return venv / "bin"


def _once(folder: Path, lock: Path, install: Callable[[], None]) -> None:
    """Run `install` unless the folder was made from this very lock."""
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    stamp = folder / ".lock-digest"
    if stamp.is_file() and stamp.read_text() == digest:
        return
    print(f"Installing {folder.name} into {folder} …", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    install()
    stamp.write_text(digest)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=600, stdout=sys.stderr)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, timeout=60, capture_output=True, text=True).stdout.strip()

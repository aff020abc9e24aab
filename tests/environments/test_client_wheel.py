"""Our own client in the default base: a wheel of this installation, pinned by its own digest."""

import re
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path
from sysconfig import get_path

import pytest
from packaging.requirements import Requirement

from studiolo import __version__
from studiolo.packages.installed.fingerprint import of_wheel
from studiolo.packages.installed.lock import Lock, LockedPackage
from studiolo.packages.installed.snapshots import Distribution, Snapshot
from studiolo.server.environments.altering import steps_to
from studiolo.server.environments.base import SHIPPED_LOCK
from studiolo.server.environments.client_wheel import write_client_wheel

# What a notebook does with it, with nothing at hand but what the wheel says that it needs.
_USE = """
import sys
wheel, library, blocked = sys.argv[1:]
sys.path[:0] = [wheel]
sys.path.append(library)
for name in blocked.split():
    sys.modules[name] = None
import notebooks, studiolo.sdk, studiolo.contract.operations
from notebooks import NotebookLauncher, WorkspaceManager
assert studiolo.__file__.startswith(wheel) and notebooks.__file__.startswith(wheel)
print(studiolo.__version__)
"""


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return write_client_wheel(tmp_path)[0]


def test_the_same_installation_makes_the_same_wheel(tmp_path: Path) -> None:
    (first, pin), second = write_client_wheel(tmp_path), tmp_path / "second"
    second.mkdir()
    again, same_pin = write_client_wheel(second)
    assert first.read_bytes() == again.read_bytes()
    assert pin == same_pin
    assert pin.startswith(f"studiolo=={__version__} --hash=sha256:")
    assert of_wheel(first)


def test_it_works_without_anything_that_only_the_server_has(wheel: Path) -> None:
    blocked = "aiohttp fastapi sqlalchemy jupyter_server uvicorn psutil"
    argv = [sys.executable, "-I", "-S", "-c", _USE, str(wheel), get_path("purelib"), blocked]
    assert subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip() == __version__


def test_it_holds_the_client_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {"studiolo/sdk/client.py", "studiolo/contract/errors.py", "notebooks/launcher.py"} <= set(names)
    assert not [name for name in names if name.startswith(("studiolo/server", "studiolo/runtime"))]
    assert "entry_points.txt" not in {name.rpartition("/")[2] for name in names}


def test_the_shipped_lock_has_all_that_it_needs(wheel: Path) -> None:
    pins = dict(re.findall(r"^([a-z0-9-]+)==([^\s;\\]+)", SHIPPED_LOCK.read_text(), re.MULTILINE))
    with zipfile.ZipFile(wheel) as archive:
        told = message_from_bytes(archive.read(f"studiolo-{__version__}.dist-info/METADATA"))
    needs = [Requirement(text) for text in told.get_all("Requires-Dist", [])]
    assert needs
    assert [need.name for need in needs if not need.specifier.contains(pins.get(need.name, "0"))] == []


@pytest.mark.parametrize("of_lock", ["0.0.9", None])
def test_a_lock_of_another_version_leaves_the_platforms_own_client(of_lock: str | None) -> None:
    here = Distribution("pypi", "studiolo", __version__, "", fingerprint="here")
    base = Snapshot("3.11", False, (here,), (), (), ())
    packages = (LockedPackage("pypi", "studiolo", of_lock, "there", "base"),) if of_lock else ()
    assert steps_to(Lock("default", "another", "3.11", packages), base, base, anew=False).is_empty

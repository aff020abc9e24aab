"""What pip left where conda packages came: gone, and nothing outside of the prefix is touched."""

import sys
import zipfile
from pathlib import Path

import pytest
import rattler
from rattler import Gateway

from environments.wheels import make_wheel
from packages.conda.channels import index, make_package, make_python, python_module
from studiolo.packages.conda.replacing import drop_replaced, list_of_pip
from studiolo.packages.conda.solving import read_prefix, subdirs


@pytest.fixture
async def prefix(tmp_path: Path) -> Path:
    """A prefix, and conda's `leaf` 1.5 in a channel beside it."""
    channel = tmp_path / "channel"
    make_python(channel)
    make_package(channel, "leaf", "1.5", noarch="python", depends=["python"], files=python_module("leaf", "1.5"))
    await index(channel)
    (_site(tmp_path / "prefix")).mkdir(parents=True)
    return tmp_path / "prefix"


def _site(prefix: Path) -> Path:
    return prefix / f"lib/python3.{sys.version_info[1]}/site-packages"


async def _install(prefix: Path) -> list[str]:
    before = list_of_pip(prefix, read_prefix(prefix))
    gateway, cache = Gateway(cache_dir=prefix.parent / "repodata"), prefix.parent / "cache"
    found = await rattler.solve([f"file://{prefix.parent}/channel"], ["leaf"], gateway=gateway, platforms=subdirs())
    await rattler.install(found, prefix, cache_dir=cache, show_progress=False)
    return drop_replaced(prefix, before, read_prefix(prefix))


def _unpack(prefix: Path, name: str, version: str, record: str = "") -> None:
    wheel = make_wheel(prefix.parent, name, version)
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(_site(prefix))
    wheel.unlink()
    with (_site(prefix) / f"{name}-{version}.dist-info/RECORD").open("a") as file:
        file.write(record)


async def test_files_of_the_replaced_go_and_those_of_others_stay(prefix: Path) -> None:
    _unpack(prefix, "leaf", "2.0")
    _unpack(prefix, "other", "1.0")

    assert await _install(prefix) == ["leaf"]
    assert not (_site(prefix) / "leaf/__init__.py").exists()
    assert (_site(prefix) / "other/__init__.py").exists()
    assert sorted(path.name for path in _site(prefix).glob("*.dist-info")) == [
        "leaf-1.5.dist-info",
        "other-1.0.dist-info",
    ]


async def test_what_a_record_names_outside_or_beyond_a_link_is_not_touched(prefix: Path) -> None:
    outside = prefix.parent / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    (_site(prefix) / "away").symlink_to(outside)
    _unpack(prefix, "leaf", "2.0", f"away/kept,,\n../../../../outside/kept,,\n{outside}/kept,,\nlib/../leaf.py,,\n")

    assert await _install(prefix) == ["leaf"]
    assert (outside / "kept").exists()
    assert (_site(prefix) / "leaf.py").read_text() == "version = '1.5'\n"

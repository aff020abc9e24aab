"""An environment made from a recipe where the session runs: from an index, atomically, and never in the session's way."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from environments.served_index import KEY, ServedIndex
from studiolo.runtime import rebuild
from studiolo.runtime.launch import LaunchRequest
from studiolo.runtime.recipes import Pin, Recipe
from studiolo.runtime.toolfiles import write_netrc

pytestmark = pytest.mark.timeout(120)

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


class Bench:
    """The storage of a workspace, an image's environment, and launches that have a recipe."""

    def __init__(self, folder: Path, index: ServedIndex) -> None:
        self.image = folder / "image"
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, self.image], check=True)
        self.folder = folder / "work" / rebuild.FOLDER
        self.live = self.folder / rebuild.LIVE
        self.said: list[str] = []
        run = folder / "run"
        run.mkdir()
        self.request = LaunchRequest(
            workload_id="s-1",
            launch=1,
            launch_folder=str(folder / "launch"),
            run_folder=str(run),
            socket=str(folder / "s.sock"),
            folder=str(folder / "work"),
            start_folder="",
            environment=str(self.live),
            base_url="/",
            grace_seconds=1,
            secret="s",
            api_key="",
            platform_url="",
            variables={
                "PATH": f"{self.live}/bin:{os.environ['PATH']}",
                "HOME": str(folder),
                "UV_DEFAULT_INDEX": index.url,
                "PIP_INDEX_URL": index.url,
            },
            tool_files={f"{self.live}/pip.conf": ""},
            netrc=index.netrc,
            image_environment=str(self.image),
            environment_seconds=100,
        )
        write_netrc(self.request.netrc_file, index.netrc, None)

    def provide(self, recipe: Recipe, **changes: Any) -> LaunchRequest:
        return rebuild.provide(replace(self.request, recipe=asdict(recipe), **changes), self.said.append)

    def run(self, code: str, environment: Path | None = None) -> str:
        """Return what a program in the environment prints."""
        python = (environment or self.live) / "bin" / "python"
        return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()

    def install(self, name: str) -> None:
        """Do what `pip install` in a notebook does."""
        command = [Path(sys.executable).with_name("uv"), "pip", "install", "--quiet", "--python"]
        variables = {**self.request.variables, "NETRC": str(self.request.netrc_file)}
        subprocess.run([*command, self.live / "bin" / "python", "--no-cache", name], check=True, env=variables)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[ServedIndex]:
    """An index on loopback."""
    folder = tmp_path / "index"
    folder.mkdir()
    index = ServedIndex(folder)
    yield index
    index.close()


@pytest.fixture
def bench(tmp_path: Path, index: ServedIndex) -> Bench:
    """A workspace's storage with nothing in it yet."""
    return Bench(tmp_path, index)


def recipe(*added: Pin, number: int = 1, **members: Any) -> Recipe:
    """Return a recipe; another number is that of another lock."""
    return Recipe(f"hash-{number}", PYTHON, added=added, **members)


def test_what_the_lock_names_is_there_and_programs_run_in_the_environment(bench: Bench, index: ServedIndex) -> None:
    request = bench.provide(recipe(index.add("tiny", "1.0")))
    assert request.environment_note == ""
    assert request.environment == str(bench.live)
    assert bench.run("import sys, tiny; print(sys.prefix)") == str(bench.live)
    assert bench.said[-1] == rebuild.OVER
    assert any(line.startswith(f"{rebuild.PROGRESS}1 packages") for line in bench.said)
    # The image's own is as it was.
    assert bench.run("import importlib.util as u; print(u.find_spec('tiny'))", bench.image) == "None"


def test_with_the_same_lock_nothing_is_done_and_what_people_installed_stays(bench: Bench, index: ServedIndex) -> None:
    wanted = recipe(index.add("tiny", "1.0"))
    index.add("mine", "2.0")
    bench.provide(wanted)
    bench.install("mine")
    made = bench.live.readlink()
    index.close()
    assert bench.provide(wanted).environment_note == ""
    assert bench.live.readlink() == made
    assert bench.run("import mine, tiny; print('both')") == "both"


def test_an_image_that_was_made_of_the_lock_is_copied_and_no_index_is_asked(bench: Bench, index: ServedIndex) -> None:
    pin = index.add("tiny", "1.0")
    (bench.image / rebuild.MADE_OF).write_text('{"lock": "hash-1"}')
    index.close()
    assert bench.provide(recipe(pin)).environment_note == ""
    assert bench.said[-1] == rebuild.OVER
    assert not any("packages" in line for line in bench.said)
    assert bench.run("import sys; print(sys.prefix)") == str(bench.live)
    # Once people install something, the environment is another than the image's.
    assert "could not be made" in bench.provide(recipe(pin, number=2)).environment_note


def test_what_people_write_into_the_environment_stands_in_no_launchs_way(bench: Bench, index: ServedIndex) -> None:
    wanted = recipe(index.add("tiny", "1.0"))
    bench.provide(wanted)
    (bench.live / rebuild.RECORD).write_text("{}")
    [site] = bench.live.glob("lib/python3.*/site-packages")
    (site / "broken-1.0.dist-info").mkdir()
    (site / "broken-1.0.dist-info" / "METADATA").write_bytes(b"Name: \xff\xfe")
    assert bench.provide(wanted).environment_note == ""
    assert bench.provide(recipe(index.add("tiny", "1.1"), number=2)).environment_note == ""
    assert bench.run("import importlib.metadata as m; print(m.version('tiny'))") == "1.1"


def test_another_lock_makes_another_environment_and_takes_over_what_people_installed(
    bench: Bench, index: ServedIndex
) -> None:
    old, new = index.add("tiny", "1.0"), index.add("tiny", "2.0")
    index.add("mine", "2.0")
    bench.provide(recipe(old))
    bench.install("mine")
    before = bench.folder / bench.live.readlink()
    cut_off = bench.folder / "0123456789abcdef"
    cut_off.mkdir()
    assert bench.provide(recipe(new, number=2)).environment_note == ""
    version = "from importlib.metadata import version as v; print(v('tiny'), v('mine'))"
    assert bench.run(version) == "2.0 2.0"
    assert bench.run(version, before) == "1.0 2.0"
    assert not cut_off.exists()
    bench.provide(recipe(new, number=3))
    assert not before.exists()


def test_a_file_of_another_hash_is_refused_and_the_session_has_the_images_environment(
    bench: Bench, index: ServedIndex
) -> None:
    pin = index.add("tiny", "1.0")
    request = bench.provide(recipe(replace(pin, hashes=("0" * 64,))))
    assert request.environment == str(bench.image)
    assert request.variables["PATH"].startswith(f"{bench.image}/bin:")
    assert list(request.tool_files) == [f"{bench.image}/pip.conf"]
    assert "could not be made here from its lock" in request.environment_note
    assert "ash mismatch" in request.environment_note
    assert request.environment_note.endswith("Kernels run in the image's own.")
    assert KEY not in "".join(bench.said)


def test_when_another_lock_cannot_be_had_the_environment_from_before_holds(bench: Bench, index: ServedIndex) -> None:
    bench.provide(recipe(index.add("tiny", "1.0")))
    request = bench.provide(recipe(Pin("gone", "1.0", ("0" * 64,)), number=2))
    assert request.environment == str(bench.live)
    assert request.environment_note.endswith("It is the one from before.")
    assert bench.run("import tiny; print('there')") == "there"


def test_what_the_base_brings_and_cannot_be_had_is_told_and_tried_again(bench: Bench, index: ServedIndex) -> None:
    wanted = recipe(index.add("tiny", "1.0"), base=(Pin("basic", "1.0"),))
    request = bench.provide(wanted)
    assert "base brings" in request.environment_note
    assert bench.run("import tiny; print('there')") == "there"
    index.add("basic", "1.0")
    assert bench.provide(wanted).environment_note == ""
    assert bench.run("import basic, tiny; print('both')") == "both"


def test_what_no_index_has_is_named(bench: Bench, index: ServedIndex) -> None:
    note = bench.provide(recipe(index.add("tiny", "1.0"), left_out=("own", "loose.py"))).environment_note
    assert note == "Not in the environment, since no index delivered it: own, loose.py."


def test_an_image_of_another_python_is_named(bench: Bench) -> None:
    request = bench.provide(Recipe("hash", "3.99"))
    assert request.environment == str(bench.image)
    assert f"The image has Python {PYTHON} and the environment Python 3.99" in request.environment_note


def test_an_installer_that_takes_too_long_is_ended(bench: Bench, index: ServedIndex) -> None:
    request = bench.provide(recipe(index.add("tiny", "1.0")), environment_seconds=0)
    assert "It took longer than 0 s" in request.environment_note
    assert not [place for place in bench.folder.iterdir() if (place / rebuild.RECORD).exists()]


def test_a_stop_that_comes_meanwhile_ends_it(bench: Bench, index: ServedIndex) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        signal.raise_signal(signal.SIGTERM)
        request = bench.provide(recipe(index.add("tiny", "1.0")))
    finally:
        signal.sigwait({signal.SIGTERM})
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    assert "was stopped meanwhile" in request.environment_note


def test_without_uv_the_environments_pip_installs(
    bench: Bench, index: ServedIndex, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    subprocess.run([bench.image / "bin/python", "-m", "ensurepip"], check=True, capture_output=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    request = bench.provide(recipe(index.add("tiny", "1.0")))
    assert request.environment_note == ""
    assert bench.run("import tiny; print('there')") == "there"
    assert bench.run("import pip; print('there')") == "there"
    head = (bench.live / "bin" / "pip3").read_text().splitlines()[0]
    assert head == f"#!{bench.folder / bench.live.readlink()}/bin/python{''.join(head.rpartition('python')[2:])}"

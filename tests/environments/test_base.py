"""The base environment, built by the real installer from a lock of tiny wheels."""

import asyncio
import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from studiolo.contract.errors import InvalidInput, Unavailable
from studiolo.server.environments.base import ensure_base
from studiolo.server.environments.clone import clone
from studiolo.server.settings import load_settings

_BUILD = """
import asyncio, sys
from datetime import timedelta
from pathlib import Path
from studiolo.server.environments.base import ensure_base
asyncio.run(ensure_base(Path(sys.argv[1]), python="", lock_file=Path(sys.argv[2]),
                        timeout=timedelta(seconds=60), progress=lambda line: print(line, flush=True)))
"""


async def build(
    data_dir: Path, lock: Path | None, *, python: str = "", seconds: float = 60, progress: list[str] | None = None
) -> Path:
    """Build or find the base of `lock`."""
    told = [] if progress is None else progress
    return await ensure_base(
        data_dir, python=python, lock_file=lock, timeout=timedelta(seconds=seconds), progress=told.append
    )


def left(data_dir: Path) -> list[str]:
    """What lies in the folder of environments."""
    return sorted(path.name for path in (data_dir / "environments").glob("*"))


def wait_for(check: Callable[[], object], seconds: float = 20) -> None:
    """Look until `check` says something true."""
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until
        os.sched_yield()


async def test_a_base_holds_what_the_lock_names_and_is_read_only(tmp_path: Path, lock: Path) -> None:
    progress: list[str] = []
    base = await build(tmp_path, lock, progress=progress)
    assert subprocess.check_output([base / "bin" / "tiny"], text=True) == "1.0\n"
    files = [path for path in base.rglob("*") if path.is_file() and not path.is_symlink() and path.name != ".ready"]
    assert not [path for path in files if path.stat().st_mode & 0o222]
    assert list(base.glob("lib/python*/site-packages/tiny/__pycache__/*.pyc"))
    assert "notebook environment" in progress[0]


async def test_asking_again_builds_nothing(tmp_path: Path, lock: Path) -> None:
    base = await build(tmp_path, lock)
    made = (base / ".ready").stat().st_mtime_ns
    assert await build(tmp_path, lock) == base
    assert (base / ".ready").stat().st_mtime_ns == made


async def test_callers_at_once_get_one_build(tmp_path: Path, lock: Path) -> None:
    progress: list[str] = []
    bases = await asyncio.gather(*(build(tmp_path, lock, progress=progress) for _ in range(4)))
    assert len(set(bases)) == 1
    assert left(tmp_path) == [bases[0].name]
    assert sum(line.startswith("Building") for line in progress) == 1


async def test_another_lock_is_another_base(tmp_path: Path, lock: Path) -> None:
    first = await build(tmp_path, lock)
    lock.write_text(lock.read_text() + "# changed\n")
    assert await build(tmp_path, lock) != first


async def test_a_wrong_hash_is_told_with_the_installers_words(tmp_path: Path, lock: Path, wheel: Path) -> None:
    lock.write_text(lock.read_text().replace(hashlib.sha256(wheel.read_bytes()).hexdigest(), "0" * 64))
    with pytest.raises(Unavailable) as caught:
        await build(tmp_path, lock)
    assert caught.value.code == "base-environment-failed"
    assert "ash" in caught.value.message
    assert "lock file" in str(caught.value.hint)
    assert left(tmp_path) == []


async def test_a_package_out_of_reach_is_told_with_what_to_do(tmp_path: Path) -> None:
    lock = tmp_path / "absent.lock"
    lock.write_text(f"--no-index\nabsent-package==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(Unavailable, match="absent-package") as caught:
        await build(tmp_path, lock)
    assert caught.value.hint
    assert left(tmp_path) == []


@pytest.mark.parametrize("python", ["/no/such/python", "/bin/false"])
async def test_an_interpreter_that_does_not_run_is_named(tmp_path: Path, lock: Path, python: str) -> None:
    with pytest.raises(Unavailable, match=python):
        await build(tmp_path, lock, python=python)


async def test_a_missing_lock_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"nowhere\.lock"):
        await build(tmp_path, tmp_path / "nowhere.lock")


async def test_a_build_that_takes_too_long_ends_and_leaves_nothing(tmp_path: Path, lock: Path) -> None:
    with pytest.raises(Unavailable, match="longer"):
        await build(tmp_path, lock, seconds=0.06)
    assert left(tmp_path) == []
    assert await build(tmp_path, lock)


async def test_a_killed_build_leaves_nothing_whole_and_the_next_one_works(tmp_path: Path, lock: Path) -> None:
    for _ in range(3):
        builder = subprocess.Popen([sys.executable, "-c", _BUILD, tmp_path, lock], stdout=subprocess.PIPE, text=True)
        with builder:
            assert builder.stdout is not None
            # The installer of the killed one before may still hold the lock: then it waits first.
            assert any("Building" in line for line in builder.stdout)
            builder.send_signal(signal.SIGKILL)
        assert not list((tmp_path / "environments").glob("*/.ready"))
    base = await build(tmp_path, lock)
    assert subprocess.check_output([base / "bin" / "tiny"], text=True) == "1.0\n"
    assert not list((tmp_path / "environments").glob(".*"))


async def test_a_clone_killed_at_any_time_is_never_half(tmp_path: Path, lock: Path) -> None:
    base = await build(tmp_path, lock)
    for number in range(2000):
        folder = base / "data" / f"folder-{number % 50}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file-{number}").touch()
    target = tmp_path / "environments" / "w-killed"
    part = target.with_name(".w-killed.part")
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            clone(base, target)
        os._exit(0)
    wait_for(lambda: (part / "data").exists() or target.exists())
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert target.exists() == (target / ".ready").exists()
    clone(base, target)
    assert len(list((target / "data").rglob("file-*"))) == 2000
    assert not part.exists()


async def test_clones_of_one_target_at_once_make_one(tmp_path: Path, lock: Path) -> None:
    base = await build(tmp_path, lock)
    target = tmp_path / "environments" / "w-one"
    await asyncio.gather(*(asyncio.to_thread(clone, base, target) for _ in range(8)))
    assert left(tmp_path) == sorted([base.name, "w-one"])


async def test_a_file_of_the_base_that_is_linked_is_compiled_code(tmp_path: Path, lock: Path) -> None:
    base = await build(tmp_path, lock)
    target = tmp_path / "environments" / "w-links"
    clone(base, target)
    shared = {path.suffix for path in target.rglob("*") if path.is_file() and path.lstat().st_nlink > 1}
    assert shared <= {".pyc", ".pyi", ".so"}


async def test_compiled_code_stays_valid_in_a_clone(tmp_path: Path, lock: Path) -> None:
    base = await build(tmp_path, lock)
    target = tmp_path / "environments" / "w-code"
    clone(base, target)
    code = "import tiny, sys; print(tiny.__file__)"
    said = subprocess.run([target / "bin" / "python", "-v", "-c", code], capture_output=True, text=True, check=True)
    assert f"{target.name}/lib/python" in said.stdout
    assert "/tiny/__init__.py" in "".join(line for line in said.stderr.splitlines() if ".pyc matches" in line)


def test_a_lock_file_that_is_not_there_is_refused_with_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDIOLO_ENVIRONMENTS__LOCK_FILE", str(tmp_path / "absent.txt"))
    with pytest.raises(InvalidInput, match=r"lock_file.*absent\.txt is no file"):
        load_settings(data_dir=tmp_path)

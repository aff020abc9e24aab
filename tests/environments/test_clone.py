"""Private clones, on a real environment made once."""

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from uv import find_uv_bin

from environments.wheels import make_wheel
from studiolo.runtime.kernelcommands import BASE_FILE
from studiolo.server.environments.clone import clone, remove, take

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small real environment: pip, and a package with a script."""
    prefix = tmp_path_factory.mktemp("environments") / "base-test"
    uv = find_uv_bin()
    subprocess.run([uv, "venv", "-q", "--relocatable", prefix], check=True)
    install = [
        uv,
        "pip",
        "install",
        "-q",
        "--compile-bytecode",
        "--link-mode",
        "copy",
        "--python",
        prefix / "bin" / "python",
    ]
    subprocess.run([*install, "pip", "traitlets==5.14.3", "jupyter_core"], check=True)
    (prefix / ".ready").touch()
    return prefix


@pytest.fixture
def two(base: Path) -> Iterator[tuple[Path, Path]]:
    """Two clones beside the base."""
    pair = base.with_name("w-one"), base.with_name("w-two")
    for target in pair:
        clone(base, target)
    yield pair
    for target in pair:
        remove(target)


def digest(prefix: Path) -> dict[str, str]:
    """Content and mode of every file and link, but for what names a clone's base."""
    found = {}
    for folder, _, names in os.walk(prefix):
        for name in set(names) - {BASE_FILE}:
            path = Path(folder) / name
            content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
            found[str(path.relative_to(prefix))] = hashlib.sha256(content).hexdigest() + oct(path.lstat().st_mode)
    return found


def run(prefix: Path, *words: str) -> str:
    done = subprocess.run([prefix / "bin" / words[0], *words[1:]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_a_clone_is_whole_and_works_where_it_stands(base: Path, two: tuple[Path, Path]) -> None:
    assert set(digest(two[0])) == set(digest(base))
    assert run(two[0], "python", "-c", "import sys; print(sys.prefix)") == str(two[0])
    assert str(two[0]) in run(two[0], "pip", "--version")
    assert str(two[0]) in run(two[0], "jupyter", "--paths")


def test_cloning_again_changes_nothing(base: Path, two: tuple[Path, Path]) -> None:
    (two[0] / "mine").touch()
    clone(base, two[0])
    assert (two[0] / "mine").exists()


@pytest.mark.parametrize(
    "change",
    [
        "{bin}/python -m pip install -q --force-reinstall --no-deps traitlets==5.14.2",
        "{bin}/pip uninstall -q -y traitlets",
        "{bin}/python -m pip install -q --force-reinstall pip",
        "{bin}/pip install -q --upgrade --no-index {wheel}",
        "{bin}/python -m compileall -q -f {site}/traitlets",
        "sed -i s/import/import/ {site}/traitlets/__init__.py",
        "sh -c 'echo >> {site}/traitlets/traitlets.py'",
        "sh -c 'for f in $(find {prefix} -type f -not -name *.so -not -name *.pyc -not -name *.pyi); do echo >> $f; done'",
        "{uv} pip install -q --python {bin}/python --reinstall traitlets",
    ],
)
def test_no_change_in_one_reaches_the_base_or_another(
    base: Path, two: tuple[Path, Path], change: str, tmp_path: Path
) -> None:
    mine, other = two
    before, mine_before = digest(base), digest(mine)
    site = next(mine.glob("lib/python*/site-packages"))
    words = change.format(
        bin=mine / "bin", site=site, prefix=mine, uv=find_uv_bin(), wheel=make_wheel(tmp_path, "traitlets", "99.0")
    )
    done = subprocess.run(["sh", "-c", words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # Recompiling may give the same bytes; everything else must have changed something here.
    assert digest(mine) != mine_before or "compileall" in change or "s/import/import/" in change
    assert digest(base) == before
    assert digest(other) == before


def test_what_is_installed_in_one_is_importable_there_at_once_and_nowhere_else(
    base: Path, two: tuple[Path, Path], wheel: Path
) -> None:
    code = """
import subprocess, sys
subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-index", sys.argv[1]], check=True)
import tiny
print(tiny.version)
"""
    assert run(two[0], "python", "-c", code, str(wheel)) == "1.0"
    assert run(two[0], "tiny") == "1.0"
    for other in (base, two[1]):
        found = run(other, "python", "-c", "import importlib.util as u; print(u.find_spec('tiny'))")
        assert found == "None"


def test_a_killed_clone_does_not_look_whole(base: Path) -> None:
    target = base.with_name("w-killed")
    half = base.with_name(".w-killed.part")
    (half / "bin").mkdir(parents=True)
    (target / "bin").mkdir(parents=True)
    clone(base, target)
    assert run(target, "python", "-c", "import traitlets; print('ok')") == "ok"
    assert not half.exists()
    remove(target)


def test_a_spare_becomes_a_workspaces_environment(base: Path) -> None:
    spare, target = base.with_name("spare"), base.with_name("w-spare")
    assert not take(spare, target)
    clone(base, spare)
    assert take(spare, target)
    assert run(target, "python", "-c", "import sys; print(sys.prefix)") == str(target)
    assert not spare.exists()
    remove(target)


def test_removing_never_follows_links(base: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    target = base.with_name("w-links")
    clone(base, target)
    (target / "out").symlink_to(precious)
    remove(target)
    assert (precious / "file").exists()

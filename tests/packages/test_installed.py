"""Environments read from outside: what real installers leave, and what hostile hands do."""

import os
import shutil
import subprocess
import tomllib
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.pylock import Pylock
from uv import find_uv_bin

from environments.wheels import make_wheel
from studiolo.packages.installed.differing import difference
from studiolo.packages.installed.fingerprint import of_installed, of_wheel
from studiolo.packages.installed.lock import Base, Delivered, Lock, lock_of
from studiolo.packages.installed.reading import folders_of, read_environment, stamp_of
from studiolo.packages.installed.verifying import find_modified
from studiolo.server.environments.clone import clone, remove

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small real environment with pip in it."""
    prefix = tmp_path_factory.mktemp("environments") / "base-test"
    uv = find_uv_bin()
    subprocess.run([uv, "venv", "-q", "--relocatable", prefix], check=True)
    python = prefix / "bin" / "python"
    subprocess.run([uv, "pip", "install", "-q", "--link-mode", "copy", "--python", python, "pip"], check=True)
    (prefix / ".ready").touch()
    return prefix


@pytest.fixture
def prefix(base: Path) -> Iterator[Path]:
    """A clone of it."""
    target = base.with_name("w-one")
    clone(base, target)
    yield target
    remove(target)


def site_of(prefix: Path) -> Path:
    return next(prefix.glob("lib/python3*/site-packages"))


def by_pip(prefix: Path, *words: str | Path) -> None:
    subprocess.run([prefix / "bin" / "python", "-m", "pip", "-q", *words, "--no-input"], check=True)


def by_uv(prefix: Path, *words: str | Path) -> None:
    subprocess.run([find_uv_bin(), "pip", *words, "-q", "--python", prefix / "bin" / "python"], check=True)


def by_unzip(prefix: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site_of(prefix))


@pytest.mark.parametrize("how", ["pip", "uv", "unzip"])
def test_a_wheel_has_the_same_fingerprint_however_it_was_installed(prefix: Path, tmp_path: Path, how: str) -> None:
    wheel = make_wheel(tmp_path, "tiny", "1.0")
    before = read_environment(prefix)
    if how == "unzip":
        by_unzip(prefix, wheel)
    else:
        {"pip": by_pip, "uv": by_uv}[how](prefix, "install", "--no-deps", wheel)
    after = read_environment(prefix)
    found = after.find("tiny")
    assert found is not None
    assert (found.version, found.fingerprint) == ("1.0", of_wheel(wheel))
    assert found.fingerprint == of_installed(prefix / found.folder)
    assert found.installer == (None if how == "unzip" else how)
    assert [(change.kind, change.one.name) for change in difference(before, after)] == [("installed", "tiny")]
    assert after.orphans == before.orphans
    assert after.stamp != before.stamp


def test_an_upgrade_a_rebuild_of_the_same_version_and_a_removal_are_told_apart(prefix: Path, tmp_path: Path) -> None:
    first, second = (make_wheel(tmp_path, "tiny", version) for version in ("1.0", "2.0"))
    (tmp_path / "again").mkdir()
    rebuilt = make_wheel(tmp_path / "again", "tiny", "2.0", extra={"tiny/more.py": "more = 1\n"})
    seen = [read_environment(prefix)]
    for words in (["install", first], ["install", second], ["install", "--reinstall", rebuilt], ["uninstall", "tiny"]):
        by_uv(prefix, *words)
        seen.append(read_environment(prefix))
    steps = [difference(before, after) for before, after in pairwise(seen)]
    assert [[change.kind for change in step] for step in steps] == [
        ["installed"],
        ["changed"],
        ["changed"],
        ["removed"],
    ]
    assert steps[2][0].one.version == "2.0"


def test_code_that_no_distribution_claims_is_found(prefix: Path, tmp_path: Path) -> None:
    before = set(read_environment(prefix).orphans)
    site = site_of(prefix)
    (site / "evil.pth").write_text("import os\n")
    (site / "pip" / "planted.py").write_text("")
    (site / "data.txt").write_text("no code")
    Path(os.fsdecode(os.fsencode(site) + b"/\xff.py")).touch()
    (site / "loop").symlink_to(site, target_is_directory=True)
    (site / "out.py").symlink_to("/etc/passwd")
    found = set(read_environment(prefix).orphans) - before
    assert {Path(orphan.path).name for orphan in found} == {"evil.pth", "planted.py", "loop", "out.py", "\\xff.py"}


def test_an_edited_and_a_removed_file_are_found_by_hashing(prefix: Path, tmp_path: Path) -> None:
    by_uv(prefix, "install", make_wheel(tmp_path, "tiny", "1.0", extra={"tiny/more.py": "more = 1\n"}))
    assert list(find_modified(prefix, read_environment(prefix))) == []
    (site_of(prefix) / "tiny" / "__init__.py").write_text("print('evil')\n")
    (site_of(prefix) / "tiny" / "more.py").unlink()
    found = [(Path(one.path).name, one.how) for one in find_modified(prefix, read_environment(prefix))]
    assert sorted(found) == [("__init__.py", "changed"), ("more.py", "missing")]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"../../../../../etc/passwd,sha256=x,1\n", "record-outside"),
        (b"/etc/passwd,sha256=x,1\n", "record-outside"),
        (b"x" * (10 << 20), "record-unreadable"),
        (b"tiny/\x00.py,,\n", "record-unreadable"),
        (b'"tiny/a\nb.py",,\n', "record-unreadable"),
        (b'"never closed', None),
        (b"\xff\xfe\xfa,sha256=x,1\n", None),
        (b"", None),
        (None, "record-missing"),
    ],
)
def test_a_hostile_record_is_a_finding_and_no_error(
    prefix: Path, tmp_path: Path, content: bytes | None, kind: str | None
) -> None:
    by_uv(prefix, "install", make_wheel(tmp_path, "tiny", "1.0"))
    record = site_of(prefix) / "tiny-1.0.dist-info" / "RECORD"
    record.unlink()
    if content is not None:
        record.write_bytes(content)
    snapshot = read_environment(prefix)
    assert {finding.kind for finding in snapshot.findings} == ({kind} if kind else set())
    # Its code is nobody's then.
    assert "tiny/__init__.py" in "\n".join(orphan.path for orphan in snapshot.orphans)
    assert all("RECORD" not in one.path for one in find_modified(prefix, snapshot))


def test_links_pipes_and_endless_folders_are_findings_and_no_error(prefix: Path, tmp_path: Path) -> None:
    site = site_of(prefix)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "RECORD").write_text("a.py,sha256=x,1\n")
    (outside / "METADATA").write_text("Name: outside\nVersion: 1\n")
    (site / "outside-1.dist-info").symlink_to(outside, target_is_directory=True)
    (site / "piped-1.dist-info").mkdir()
    os.mkfifo(site / "piped-1.dist-info" / "RECORD")
    os.mkfifo(site / "piped-1.dist-info" / "METADATA")
    deep = site
    for _ in range(60):
        deep = deep / "d"
    deep.mkdir(parents=True)
    twice = site / "Tiny-2.dist-info"
    for folder, called in ((site / "tiny-1.dist-info", "tiny"), (twice, "tiny"), (site / "lied-1.dist-info", "other")):
        folder.mkdir()
        (folder / "METADATA").write_text(f"Name: {called}\nVersion: 1\n\nbody")
        (folder / "RECORD").write_text("x.py,sha256=x,1\n")
    snapshot = read_environment(prefix)
    kinds = {finding.kind for finding in snapshot.findings}
    assert kinds >= {"metadata-unreadable", "record-unreadable", "too-many", "twice", "name-differs"}
    outsider = snapshot.find("outside")
    assert outsider is None or outsider.fingerprint is None


def test_a_site_packages_that_is_a_link_is_not_read(prefix: Path, tmp_path: Path) -> None:
    site = site_of(prefix)
    shutil.move(site, tmp_path / "moved")
    site.symlink_to(tmp_path / "moved", target_is_directory=True)
    assert read_environment(prefix).distributions == ()
    assert read_environment(tmp_path / "nothing").findings[0].kind == "unreadable"


def test_looking_at_the_folders_shows_each_installation(prefix: Path, tmp_path: Path) -> None:
    folders = folders_of(prefix)
    before = stamp_of(folders)
    assert stamp_of(folders) == before
    by_pip(prefix, "install", make_wheel(tmp_path, "tiny", "1.0"))
    after = stamp_of(folders)
    assert after != before
    by_pip(prefix, "uninstall", "-y", "tiny")
    assert stamp_of(folders) != after


def test_a_conda_package_owns_its_files_and_is_listed_once(prefix: Path) -> None:
    site = site_of(prefix)
    where = site.relative_to(prefix)
    (prefix / "conda-meta").mkdir()
    (site / "conda_made").mkdir()
    (site / "conda_made" / "__init__.py").touch()
    info = site / "conda_made-3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: conda-made\nVersion: 3\n")
    files = [f"{where}/conda_made/__init__.py", f"{where}/{info.name}/METADATA"]
    listed = str(files).replace("'", '"')
    (prefix / "conda-meta" / "conda-made-3-0.json").write_text(
        f'{{"name": "conda-made", "version": "3", "sha256": "{"a" * 64}", "files": {listed}, "fn": "conda-made-3-0.conda"}}'
    )
    (prefix / "conda-meta" / "broken.json").write_text("[" * 100_000)
    snapshot = read_environment(prefix)
    found = [one for one in snapshot.distributions if one.name == "conda-made"]
    assert [(one.ecosystem, one.digest) for one in found] == [("conda", "a" * 64)]
    assert not any("conda_made" in orphan.path for orphan in snapshot.orphans)
    assert [finding.path for finding in snapshot.findings] == ["conda-meta/broken.json"]


def test_a_lock_says_what_the_base_brought_what_was_delivered_and_what_nobody_proves(
    base: Path, prefix: Path, tmp_path: Path
) -> None:
    delivered, stray = make_wheel(tmp_path, "tiny", "1.0"), make_wheel(tmp_path, "stray", "1.0")
    by_uv(prefix, "install", delivered, stray)
    (site_of(prefix) / "evil.pth").write_text("import os\n")
    fingerprint = of_wheel(delivered)
    assert fingerprint is not None
    known = {fingerprint: Delivered(delivered.name, "b" * 64, "default")}
    lock = lock_of(read_environment(prefix), Base("default", "c" * 64, read_environment(base)), known)
    assert {one.name: one.origin for one in lock.packages} == {"pip": "base", "stray": "unproven", "tiny": "delivered"}
    assert [Path(orphan.path).name for orphan in lock.orphans] == ["evil.pth"]
    assert lock_of(read_environment(prefix), lock.as_base(), known) == lock
    text = lock.to_toml()
    assert Lock.from_toml(text) == lock
    # And other tools read what they can use.
    pylock = Pylock.from_dict(tomllib.loads(text))
    assert [(package.name, package.wheels[0].hashes["sha256"]) for package in pylock.packages if package.wheels] == [
        ("tiny", "b" * 64)
    ]


def test_the_hash_of_a_lock_is_the_same_wherever_the_same_was_installed(
    base: Path, prefix: Path, tmp_path: Path
) -> None:
    begun = Base("default", "c" * 64, read_environment(base))
    wheel = make_wheel(tmp_path, "tiny", "1.0")
    empty = lock_of(read_environment(prefix), begun, {}).hash
    hashes = set()
    for install in (by_pip, by_uv):
        install(prefix, "install", wheel)
        hashes.add(lock_of(read_environment(prefix), begun, {}).hash)
        by_uv(prefix, "uninstall", "tiny")
        assert lock_of(read_environment(prefix), begun, {}).hash == empty
    assert len(hashes) == 1
    assert empty not in hashes


def test_what_is_no_wheel_has_no_fingerprint(tmp_path: Path) -> None:
    broken = tmp_path / "broken-1-py3-none-any.whl"
    broken.write_bytes(b"PK no zip")
    empty = tmp_path / "empty-1-py3-none-any.whl"
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("empty/__init__.py", "")
    bomb = tmp_path / "bomb-1-py3-none-any.whl"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb-1.dist-info/RECORD", b"x,y,1\n" * (4 << 20))
    assert [of_wheel(path) for path in (broken, empty, bomb, tmp_path / "none.whl")] == [None] * 4

"""Project quotas: numbers on a real file system, and limits as the kernel's headers say; none was set on a real one."""

import errno
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from studiolo.kit import quotas

NUMBER = 2_001_000_007


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of its own whose files have numbers."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts file systems")
    if shutil.which("mkfs.xfs", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        missing("mkfs.xfs is not installed; `make test` installs it as root")
    top = tmp_path_factory.mktemp("disk")
    image, place = top / "image", top / "place"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(320 << 20)
    subprocess.run(["mkfs.xfs", "-q", image], check=True)
    mounted = subprocess.run(["mount", "-o", "loop", image, place], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no image can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)
    image.unlink()


def test_all_below_a_folder_has_its_number_and_what_is_made_later_too(disk: Path) -> None:
    folder = disk / "w-1"
    (folder / "notebooks/old").mkdir(parents=True)
    (folder / "notebooks/a.ipynb").write_text("{}")
    (folder / "notebooks/a.ipynb").chmod(0o400)
    before = quotas.number_of(folder)
    quotas.mark(folder, NUMBER)
    (folder / "notebooks/old/new").mkdir()
    found = {quotas.number_of(one) for one in (folder, *filter(Path.is_dir, folder.rglob("*")))}
    assert (before, found) == (0, {NUMBER})
    # Its files are of it: the system moves between numbers by copies only.
    (folder / "notebooks/a.ipynb").rename(folder / "notebooks/old/new/a.ipynb")
    (disk / "elsewhere").write_text("{}")
    with pytest.raises(OSError, match="Invalid cross-device link"):
        (disk / "elsewhere").rename(folder / "elsewhere")


def test_links_and_pipes_are_left_as_they_are(disk: Path) -> None:
    outside, folder = disk / "outside", disk / "w-2"
    (outside / "inner").mkdir(parents=True)
    folder.mkdir()
    (folder / "link").symlink_to(outside)
    os.mkfifo(folder / "pipe")
    quotas.mark(folder, NUMBER)
    assert quotas.number_of(outside) == quotas.number_of(outside / "inner") == 0


def test_a_file_system_without_quotas_says_so(tmp_path: Path, disk: Path) -> None:
    assert not quotas.is_enforced(disk)
    assert not quotas.is_enforced(tmp_path / "nowhere")
    with pytest.raises(OSError, match=r"not implemented|No such process|not supported"):
        quotas.limit(disk, NUMBER, 1 << 30)


class Kernel:
    """Answers quotactl_fd as Linux does, by the layouts of linux/quota.h and linux/dqblk_xfs.h."""

    def __init__(self) -> None:
        self.limits: dict[int, int] = {}
        self.used: dict[int, int] = {}

    def call(self, folder: Path, command: int, number: int, buffer: bytearray) -> None:
        kind, command = command & 0xFF, command >> 8
        assert kind == 2
        if command == 0x5805:
            struct.pack_into("=H", buffer, 2, 1 << 4 | 1 << 5)
        elif command == 0x800008:
            hard, *_, valid = struct.unpack("=8QI4x", bytes(buffer))
            assert valid == 1
            self.limits[number] = hard * 1024
        elif command == 0x800007:
            struct.pack_into("=8QI", buffer, 0, 0, 0, self.used[number], *(0,) * 5, 0x3F)
        else:
            raise OSError(errno.EINVAL, "Invalid argument")


def test_limits_are_whole_kibibytes_and_use_is_bytes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kernel = Kernel()
    monkeypatch.setattr(quotas, "_call", kernel.call)
    assert quotas.is_enforced(tmp_path)
    quotas.limit(tmp_path, NUMBER, (5 << 30) + 1)
    kernel.used[NUMBER] = 12_345
    assert kernel.limits == {NUMBER: (5 << 30) + 1024}
    assert quotas.used(tmp_path, NUMBER) == 12_345
    quotas.limit(tmp_path, NUMBER, 0)
    assert kernel.limits == {NUMBER: 0}

"""What a backup costs: many workspaces with many files, once in full, once more unchanged, and restored.

    python bench/backup.py [--workspaces 10000] [--files 10] [--bytes 200000] [--folder FOLDER]

Prints seconds and rates, and how long a program waits that meanwhile writes and syncs a small file every 50 ms, as a
session does that saves: without and with a backup beside it. The files are lost before they are restored, and what
comes back is compared with what was written. The disk needs room for all of it twice.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from studiolo.contract.ids import IdKind, new_id
from studiolo.server.backup.backup import backup_folder
from studiolo.server.backup.format import list_backups, read_manifest
from studiolo.server.backup.restore import restore
from studiolo.server.schema import check_schema
from studiolo.server.settings import Settings
from studiolo.server.settings.environment import plain_environment, settings_environment


class Saver:
    """Somebody who saves; `pauses`: seconds that each save took."""

    def __init__(self, folder: Path) -> None:
        self.pauses: list[float] = []
        self._path = folder / "saved"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Saver":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            began = time.perf_counter()
            with self._path.open("wb") as file:
                file.write(b"x" * 4096)
                file.flush()
                os.fsync(file.fileno())
            self.pauses.append(time.perf_counter() - began)

    def words(self) -> str:
        """Return median, 99th percentile and worst in milliseconds."""
        ordered = sorted(self.pauses)
        late = ordered[int(len(ordered) * 0.99)]
        return f"median {statistics.median(ordered) * 1e3:.1f}, p99 {late * 1e3:.1f}, worst {ordered[-1] * 1e3:.1f} ms"


def fill(settings: Settings, workspaces: int, files: int, end: bytes) -> dict[str, bytes]:
    """Make workspaces with files; return how those of each begin, by its id. All end with `end`."""
    settings.data_dir.mkdir(parents=True)
    check_schema(settings)
    begins = {}
    for number in range(workspaces):
        workspace = new_id(IdKind.WORKSPACE)
        begins[workspace] = number.to_bytes(8, "big")
        folder = settings.data_dir / "workspaces" / workspace / "notebooks"
        folder.mkdir(parents=True)
        for name in range(files):
            (folder / f"{name}.bin").write_bytes(begins[workspace] + end)
    os.sync()
    return begins


def back_up(settings: Settings) -> tuple[float, int]:
    """Make a backup as the platform does, in a process of its own; return seconds and bytes copied."""
    began = time.perf_counter()
    environment = plain_environment() | settings_environment(settings)
    done = subprocess.run(
        [sys.executable, "-m", "studiolo.server.backup"], env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    assert "folder" in json.loads(done.stdout.splitlines()[-1])
    seconds = time.perf_counter() - began
    return seconds, read_manifest(list_backups(backup_folder(settings))[0]).copied_bytes


def check(settings: Settings, begins: Mapping[str, bytes], files: int, end: bytes) -> None:
    """Compare each file with what was written. Ends the benchmark if one differs."""
    for workspace, begin in begins.items():
        folder = settings.data_dir / "workspaces" / workspace / "notebooks"
        for name in range(files):
            assert (folder / f"{name}.bin").read_bytes() == begin + end, folder


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--workspaces", type=int, default=10_000)
    options.add_argument("--files", type=int, default=10)
    options.add_argument("--bytes", type=int, default=200_000)
    options.add_argument("--folder", type=Path)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        settings = Settings(data_dir=Path(name) / "data", run_dir=Path(name) / "run")
        end = os.urandom(asked.bytes - 8)
        begins = fill(settings, asked.workspaces, asked.files, end)
        with Saver(Path(name)) as alone:
            time.sleep(10)
        print(f"saves alone:       {alone.words()}")
        with Saver(Path(name)) as beside:
            seconds, copied = back_up(settings)
        print(f"first backup:      {seconds:.1f} s, {copied / 1e6:.0f} MB, {copied / 1e6 / seconds:.0f} MB/s")
        print(f"saves beside it:   {beside.words()}")
        seconds, copied = back_up(settings)
        print(f"unchanged backup:  {seconds:.1f} s, {copied / 1e6:.1f} MB copied")
        backup = settings.data_dir.rename(Path(name) / "lost") / "backups"
        shutil.rmtree(Path(name) / "lost" / "workspaces")
        restored = Settings(data_dir=Path(name) / "restored")
        began = time.perf_counter()
        manifest = restore(list_backups(backup)[0], restored)
        seconds = time.perf_counter() - began
        check(restored, begins, asked.files, end)
        words = f"{seconds:.1f} s, {manifest.files} files, all as they were"
        print(f"restored, checked: {words}, {manifest.size_bytes / 1e6 / seconds:.0f} MB/s")


if __name__ == "__main__":
    main()

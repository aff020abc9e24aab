"""Work for an index: a large page, and a folder of large wheels on a port."""

import contextlib
import hashlib
import os
import sys
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
from _processes import running, wait_until

from studiolo.packages.index.judging import judge_page
from studiolo.packages.index.pages import JSON, Page
from studiolo.packages.index.reading import read_page
from studiolo.packages.policy.effective import Policy
from studiolo.packages.policy.rules import read_entry
from studiolo.testing.ports import free_port

_FILES, _ROUNDS = 4000, 5


def first_page_milliseconds() -> float:
    """Return what reading, judging and writing a page of 4,000 files takes at best of some rounds."""
    policy = Policy(channels=("defaults",), blocked=(read_entry("requests", "the benchmark"),))
    names = [f"large-{n // 30}.{n % 30}-cp311-cp311-manylinux_2_28_x86_64.whl" for n in range(_FILES)]
    links = [
        f'<a href="https://files.example/{n:x}/{name}#sha256={n:064x}" data-requires-python="&gt;=3.9">{name}</a><br/>'
        for n, name in enumerate(names)
    ]
    body = "\n".join(["<!DOCTYPE html><html><body>", *links]).encode()
    took = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        url = "https://index.example/simple/large/"
        project = read_page("large", "defaults", body, media_type="text/html", url=url)
        page = Page(project, judge_page(policy, project, {}, datetime.now(UTC)), "bench", "")
        page.body(JSON)
        took.append((time.perf_counter() - began) * 1000)
    return min(took)


@contextlib.contextmanager
def wheels_folder(folder: Path, number: int, size: int) -> Iterator[tuple[str, list[str]]]:
    """Serve wheels of a project `big`; give the index's address and the files' names."""
    place = folder / "simple" / "big"
    place.mkdir(parents=True)
    links = []
    for version in range(number):
        wheel = place / f"big-{version}.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(f"big-{version}.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: big\n")
            archive.writestr("big/data", os.urandom(size))
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        links.append(f'<a href="{wheel.name}#sha256={digest}">{wheel.name}</a>')
    (place / "index.html").write_text("\n".join(links))
    port = free_port()
    argv = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder), str(port)]
    with running(argv, log=folder / "log"):
        wait_until(lambda: _answers(port), "the folder of wheels")
        yield f"http://127.0.0.1:{port}/simple/", sorted(file.name for file in place.glob("*.whl"))


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/simple/big/", timeout=5, trust_env=False).is_success
    except httpx.HTTPError:
        return False

"""The files that images are made of: the right one for each pin, from our own index alone, checked by its hash."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from packaging.tags import Tag

from environments.wheels import make_wheel
from studiolo.contract.errors import Denied, StudioloError, Unavailable
from studiolo.engines.images import PINS
from studiolo.runtime.recipes import Pin, Recipe
from studiolo.server.environments.images.fetching import Access, choose, fetch

TAGS = {Tag("cp311", "cp311", "linux_x86_64"): 0, Tag("py3", "none", "any"): 5}


def file(name: str, sha256: str) -> dict[str, object]:
    return {"filename": name, "url": f"../files/{name}", "hashes": {"sha256": sha256}}


def test_of_a_versions_files_the_one_is_chosen_that_is_meant_and_fits_best() -> None:
    files = [
        file("tiny-1.0.tar.gz", "s"),
        file("tiny-1.0-py3-none-any.whl", "a"),
        file("tiny-1.0-cp311-cp311-linux_x86_64.whl", "b"),
        file("tiny-1.0-cp312-cp312-linux_x86_64.whl", "c"),
    ]
    assert choose(files, Pin("tiny", "1.0", ("a", "b", "c")), TAGS) == files[2]
    assert choose(files, Pin("tiny", "1.0", ("a", "s")), TAGS) == files[1]
    assert choose(files, Pin("tiny", "1.0", ("c", "s")), TAGS) is None
    # A pin of very many files has none of their hashes: its version decides.
    assert choose(files, Pin("tiny", "1.0"), TAGS) == files[2]
    assert choose(files, Pin("tiny", "2.0"), TAGS) is None


Answer = tuple[int, bytes]


class Served:
    """An index by its answers."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[], Answer]] = {}
        self.signed_in: list[str] = []
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served.signed_in.append(self.headers.get("Authorization", ""))
                status, body = served.answers.get(self.path, lambda: (404, b"{}"))()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.access = Access(f"http://127.0.0.1:{self.server.server_port}/pypi/simple/", "build", "key")

    def page(self, name: str, *files: dict[str, object]) -> None:
        body = json.dumps({"meta": {"api-version": "1.1"}, "name": name, "files": files}).encode()
        self.answers[f"/pypi/simple/{name}/"] = lambda: (200, body)


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.server.shutdown()
    made.server.server_close()


def silent(line: str) -> None:
    """Tell nobody."""


async def refusal(recipe: Recipe, served: Served, folder: Path) -> StudioloError:
    with pytest.raises(StudioloError) as refused:
        await fetch(recipe, served.access, folder, silent)
    assert not (folder / PINS).exists()
    return refused.value


async def test_files_come_by_their_hashes_and_are_listed_with_them(served: Served, tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    wheel = make_wheel(tmp_path / "wheels", "tiny", "1.0").read_bytes()
    digest, name = hashlib.sha256(wheel).hexdigest(), "tiny-1.0-py3-none-any.whl"
    served.page("tiny", {**file(name, digest), "url": f"../../files/tiny/{name}"})
    served.answers[f"/pypi/files/tiny/{name}"] = lambda: (200, wheel)
    said: list[str] = []
    recipe = Recipe("hash", "3.11", added=(Pin("tiny", "1.0", (digest,)),))
    target = tmp_path / "files"
    target.mkdir()
    await fetch(recipe, served.access, target, said.append)
    assert (target / PINS).read_text() == f"tiny==1.0 --hash=sha256:{digest}\n"
    assert (target / name).read_bytes() == wheel
    assert said == ["Fetching packages: 1 of 1."]
    assert all(one.startswith("Basic ") for one in served.signed_in)


async def test_what_the_policy_refuses_by_now_is_refused(served: Served, tmp_path: Path) -> None:
    name = "tiny-1.0-py3-none-any.whl"
    served.page("tiny", {**file(name, "a" * 64), "url": f"../../denied/{name}"})
    served.answers[f"/pypi/denied/{name}"] = lambda: (403, b'{"detail": "tiny is blocked (rule: tiny)."}')
    recipe = Recipe("hash", "3.11", added=(Pin("tiny", "1.0", ("a" * 64,)),))
    refused = await refusal(recipe, served, tmp_path)
    assert isinstance(refused, Denied)
    assert (refused.code, refused.message) == ("package-refused", "tiny 1.0: tiny is blocked (rule: tiny).")


async def test_a_file_of_another_content_or_of_another_place_is_not_taken(served: Served, tmp_path: Path) -> None:
    name = "tiny-1.0-py3-none-any.whl"
    recipe = Recipe("hash", "3.11", added=(Pin("tiny", "1.0", ("a" * 64,)),))
    served.page("tiny", {**file(name, "a" * 64), "url": f"/pypi/files/{name}"})
    served.answers[f"/pypi/files/{name}"] = lambda: (200, b"something else")
    changed = await refusal(recipe, served, tmp_path)
    assert isinstance(changed, Unavailable)
    assert changed.code == "image-failed"
    served.page("tiny", {**file(name, "a" * 64), "url": f"http://localhost:1/{name}"})
    assert (await refusal(recipe, served, tmp_path)).code == "packages-unavailable"


async def test_an_index_that_is_away_and_a_file_that_is_gone_are_told(served: Served, tmp_path: Path) -> None:
    recipe = Recipe("hash", "3.11", added=(Pin("tiny", "1.0", ("a" * 64,)),))
    served.page("tiny")
    gone = await refusal(recipe, served, tmp_path)
    assert "no wheel of tiny 1.0" in gone.message
    served.server.shutdown()
    served.server.server_close()
    assert (await refusal(recipe, served, tmp_path)).code == "packages-unavailable"

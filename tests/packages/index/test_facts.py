"""What the index host tells the control plane of a wheel, from an index and a wheel made on the spot."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from environments.wheels import make_wheel
from studiolo.packages.index.app import create_app
from studiolo.packages.index.asking import Services
from studiolo.packages.index.blobs import Blobs
from studiolo.packages.index.callers import HEADER, SECRET_HEADER, Caller, caller_header
from studiolo.packages.index.channels import make_channel
from studiolo.packages.index.egress import channel_session
from studiolo.packages.index.metadata import Metadata
from studiolo.packages.index.owners import Owners
from studiolo.packages.index.upstream import Upstream
from studiolo.packages.policy.effective import Policy
from studiolo.packages.policy.rules import read_entry

METADATA = """Metadata-Version: 2.4
Name: probe
Version: 1.0
License-Expression: BSD-3-Clause
Author-email: Ana Ruiz <ana@example.com>
"""
OLD_METADATA = """Metadata-Version: 2.1
Name: old
Version: 1.0
License: A text
   of several lines
Classifier: License :: OSI Approved :: MIT License
"""


class _Policies:
    async def get(self, named: str) -> Policy:
        # Blocked: facts are told of what is refused, so that somebody can decide on it.
        return Policy(blocked=(read_entry("probe", "a test"),))


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[str]:
    files = tmp_path / "files"
    files.mkdir()
    wheels = [
        make_wheel(files, "probe", "1.0", {"probe-1.0.dist-info/METADATA": METADATA}),
        make_wheel(files, "old", "1.0", {"old-1.0.dist-info/METADATA": OLD_METADATA}),
    ]
    (files / "broken-1.0-py3-none-any.whl").write_bytes(b"no zip")
    names = [wheel.name for wheel in wheels] + ["broken-1.0-py3-none-any.whl"]

    async def page(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        listed = [file for file in names if file.startswith(f"{name}-")]
        links = "".join(
            f'<a href="/files/{file}" data-upload-time="2026-05-03T12:00:00Z">{file}</a>' for file in listed
        )
        return web.Response(text=links, content_type="text/html", status=200 if listed else 404)

    upstream = web.Application()
    upstream.router.add_get("/simple/{name}/", page)
    upstream.router.add_static("/files", files)
    async with AsyncExitStack() as stack:
        server = TestServer(upstream)
        await server.start_server()
        stack.push_async_callback(server.close)
        channel = make_channel("defaults", f"http://127.0.0.1:{server.port}/simple/")
        client = await stack.enter_async_context(channel_session(channel))
        blobs = Blobs(tmp_path / "blobs")
        stack.push_async_callback(blobs.close)
        metadata = Metadata(tmp_path / "metadata", blobs)
        stack.push_async_callback(metadata.close)
        owners = Owners([Upstream(channel, client, fresh_seconds=60)], None)
        unused: dict[str, Any] = dict.fromkeys(("pages", "store", "reports", "conda"))
        parts: dict[str, Any] = {"policies": _Policies(), "owners": owners, "blobs": blobs, "metadata": metadata}
        own = TestServer(create_app(Services(secret="s", **parts, **unused)))
        await own.start_server()
        stack.push_async_callback(own.close)
        yield f"http://127.0.0.1:{own.port}"


async def ask(host: str, path: str) -> tuple[int, dict[str, Any]]:
    headers = {SECRET_HEADER: "s", HEADER: caller_header(Caller("w-1", "churn", "hash", "", "", "planner"))}
    async with ClientSession(headers=headers) as client, client.get(f"{host}{path}") as reply:
        return reply.status, await reply.json(content_type=None)


async def test_a_wheel_says_licence_age_and_maintainers_also_where_it_is_blocked(host: str) -> None:
    assert await ask(host, "/facts/probe/probe-1.0-py3-none-any.whl") == (
        200,
        {
            "size_bytes": None,
            "uploaded_at": "2026-05-03T12:00:00+00:00",
            "licence": "BSD-3-Clause",
            "maintainers": "Ana Ruiz <ana@example.com>",
        },
    )


async def test_older_metadata_say_the_licence_by_their_classifiers(host: str) -> None:
    _, told = await ask(host, "/facts/old/old-1.0-py3-none-any.whl")
    assert (told["licence"], told["maintainers"]) == ("MIT License", None)


async def test_what_a_broken_wheel_says_is_unknown(host: str) -> None:
    status, told = await ask(host, "/facts/broken/broken-1.0-py3-none-any.whl")
    assert (status, told["licence"], told["maintainers"]) == (200, None, None)


@pytest.mark.parametrize("path", ["/facts/probe/probe-9.whl", "/facts/absent/a.whl", "/facts/probe", "/facts/"])
async def test_what_the_index_does_not_have_is_not_found(host: str, path: str) -> None:
    status, told = await ask(host, path)
    assert (status, told["code"]) == (404, "package-not-found")

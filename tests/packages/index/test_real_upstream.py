"""The index that this machine's own installers are configured with, as an upstream; skipped where it lacks what is meant."""

import hashlib
import os
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from packages.index.stage import JSON, staged
from studiolo.contract.errors import StudioloError
from studiolo.packages.index.channels import find_default_index, make_channel

# Small, pure, and never without a wheel.
PROJECT = "iniconfig"


async def listed(index: str) -> list[dict[str, Any]]:
    """The files of the project whose metadata the upstream has, with a digest of it; skips where there are none."""
    channel = make_channel("defaults", index)
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(30)) as client,
            client.get(channel.page(PROJECT), headers={"Accept": JSON}) as reply,
        ):
            if reply.status != 200 or reply.content_type != JSON:
                pytest.skip(f"the machine's index answers {reply.status}, {reply.content_type}")
            files = (await reply.json(content_type=None))["files"]
    except (aiohttp.ClientError, TimeoutError) as exc:
        pytest.skip(f"the machine's index is out of reach: {exc!r}")
    return [one for one in files if isinstance(one.get("core-metadata"), dict)]


@pytest.fixture
def index() -> str:
    try:
        return find_default_index(os.environ)
    except StudioloError as exc:
        pytest.skip(exc.message)


async def test_metadata_of_a_real_upstream_passes_by_its_digest_and_no_wheel_is_fetched(
    tmp_path: Path, index: str
) -> None:
    told = await listed(index)
    if not told:
        pytest.skip("the machine's index has no metadata beside its files (PEP 658)")
    async with staged(tmp_path, upstream=index) as stage:
        seen = {one["filename"]: one for one in (await stage.page(PROJECT))["files"]}
        newest = told[-1]
        digest = newest["core-metadata"]["sha256"]
        assert seen[newest["filename"]]["core-metadata"] == {"sha256": digest}
        status, body, _ = await stage.get(f"files/{PROJECT}/{newest['filename']}.metadata")
        assert (status, hashlib.sha256(body).hexdigest()) == (200, digest)
        assert f"Name: {PROJECT}".encode() in body
    assert list((tmp_path / "data" / "blobs").iterdir()) == []


@pytest.mark.parametrize("tool", ["pip", "uv"])
async def test_tools_install_from_a_real_upstream(tmp_path: Path, index: str, tool: str) -> None:
    await listed(index)
    async with staged(tmp_path, upstream=index) as stage:
        code, output = await getattr(stage, tool)(f"{PROJECT}==2.1.0")
        assert (code, stage.installed) == (0, {f"{PROJECT}-2.1.0"}), output
        (delivered,) = await stage.entries("delivery")
        assert (delivered["name"], delivered["version"]) == (PROJECT, "2.1.0")

"""What administrators read of packages before they allow them: from a real index host, a wheel and an OSV export."""

import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from packages.index.stage import LONG_AGO, Origin
from studiolo.contract.errors import StudioloError
from studiolo.packages.index.app import create_app
from studiolo.packages.index.channels import Channels, make_channel
from studiolo.packages.index.serving import running_services
from studiolo.packages.policy.effective import Grant, Policy
from studiolo.packages.policy.rules import read_entry
from studiolo.packages.scan import osv
from studiolo.server.environments.installing import Resolved
from studiolo.server.packages.host import IndexHost
from studiolo.server.requests.catalogue import IndexCatalogue, find_vulnerabilities
from studiolo.server.requests.grounds import Facts
from studiolo.server.requests.wishes import judge_files

_SECRET = "a secret of this test"
_POLICY = Policy(channels=("defaults",), blocked=(read_entry("probe>=2.1", "a test"),))


class _OnePolicy:
    """The policy of every workspace, for both sides of the socket."""

    async def effective(self, workspace_id: str) -> tuple[int, Policy]:
        return 1, _POLICY

    async def get(self, named: str) -> Policy:
        return _POLICY


@dataclass(frozen=True)
class Ground:
    origin: Origin
    host: IndexHost


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    origin = Origin(tmp_path / "origin")
    origin.speaks_json = True
    async with AsyncExitStack() as stack:
        upstream = TestServer(origin.app)
        await upstream.start_server()
        stack.push_async_callback(upstream.close)
        channels = Channels((make_channel("defaults", f"http://127.0.0.1:{upstream.port}/simple"),))
        # A socket's address must be short.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/tmp")))
        services = await stack.enter_async_context(
            running_services(folder / "none.sock", tmp_path / "data", _SECRET, channels, fresh_seconds=60)
        )
        services.policies = _OnePolicy()  # type: ignore[assignment]
        runner = web.AppRunner(create_app(services))
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.UnixSite(runner, str(folder / "index.sock")).start()
        (folder / "index.key").write_text(_SECRET)
        (folder / "index.key").chmod(0o600)
        yield Ground(origin, IndexHost(folder / "index.sock", folder / "index.key"))


@pytest.fixture
def export(tmp_path: Path) -> Path:
    folder = tmp_path / "osv"
    folder.mkdir()
    affected = {
        "package": {"ecosystem": "PyPI", "name": "Probe"},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.5"}]}],
    }
    advisory = {"id": "PYSEC-2026-1", "modified": "2026-05-03T12:00:00Z", "affected": [affected]}
    (folder / "one.json").write_text(json.dumps(advisory))
    return folder


@pytest.mark.req("S0-64")
async def test_size_age_and_vulnerabilities_are_found_and_the_rest_is_unknown(
    ground: Ground, export: Path, tmp_path: Path
) -> None:
    wheel = ground.origin.add("probe", "1.0", uploaded="2026-05-03T12:00:00+00:00")
    osv.bring_up_to_date(export, tmp_path / "osv.db")
    catalogue = IndexCatalogue(ground.host, _OnePolicy(), tmp_path / "osv.db")
    found = await catalogue.find("w-1", "pypi", Resolved("probe", "1.0", wheel.name))
    assert (found.size_bytes, found.vulnerabilities) == (wheel.stat().st_size, ["PYSEC-2026-1"])
    assert found.uploaded_at is not None
    assert (found.uploaded_at.year, found.licence, found.maintainers) == (2026, None, None)


async def test_versions_that_pass_are_those_that_the_index_offers(ground: Ground) -> None:
    for version in ("1.0", "1.10", "2.0", "2.1"):
        ground.origin.add("probe", version)
    catalogue = IndexCatalogue(ground.host, _OnePolicy(), None)
    assert await catalogue.list_passing("probe", _POLICY) == ["2.0", "1.10", "1.0"]
    with pytest.raises(StudioloError):
        await catalogue.list_passing("absent", _POLICY)


async def test_a_wish_is_judged_by_the_files_that_it_is_about(ground: Ground) -> None:
    now = datetime.now(UTC)
    for version, uploaded in {"1.0": LONG_AGO, "2.0": LONG_AGO, "3.0": now.isoformat()}.items():
        ground.origin.add("probe", version, uploaded=uploaded)
    files = await IndexCatalogue(ground.host, _OnePolicy(), None).list_files("probe", _POLICY)
    policy = replace(_POLICY, cooldown_days=7, pins=(read_entry("probe>1", "a test"),))

    def said(specifier: str, policy: Policy = policy) -> str | None:
        found = judge_files(policy, files, specifier, now)
        return found and found.code

    assert [said(one) for one in ("", "==3.0", ">2", "==1.0", "<3", "==9")] == [
        "allowed", "blocked", "blocked", "pinned", "allowed", None
    ]  # fmt: skip
    assert said("==3.0", replace(policy, blocked=())) == "too-new"
    granted = replace(policy, grants=(Grant("exception", "pypi", "probe", "==3.0", "", ""),))
    assert said("==3.0", granted) == "granted"


async def test_without_an_index_and_an_export_all_is_unknown(ground: Ground) -> None:
    ground.origin.is_down = True
    catalogue = IndexCatalogue(ground.host, _OnePolicy(), None)
    assert await catalogue.find("w-1", "pypi", Resolved("probe", "1.0", "probe-1.0-py3-none-any.whl")) == Facts()
    assert await catalogue.find("w-1", "conda", Resolved("probe", "1.0", "probe-1.0-0.conda")) == Facts()


def test_advisories_on_a_version_are_named_and_unknown_is_not_clean(export: Path, tmp_path: Path) -> None:
    index = tmp_path / "osv.db"
    assert find_vulnerabilities(index, "probe", "1.0") is None
    osv.bring_up_to_date(export, index)
    assert find_vulnerabilities(index, "probe", "1.0") == ["PYSEC-2026-1"]
    assert find_vulnerabilities(index, "probe", "1.5") == []
    assert find_vulnerabilities(index, "probe", "no version") is None

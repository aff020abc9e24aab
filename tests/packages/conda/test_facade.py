"""The facade as py-rattler meets it, in each form of repodata that a channel can be read in."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import rattler
from rattler import Gateway, SourceConfig
from rattler.exceptions import GatewayError, InstallerError

from packages.conda.channels import index, make_package
from packages.conda.stage import Stage, names, rules, staged
from studiolo.packages.policy.effective import Grant

FORMS = {
    "shards": SourceConfig(),
    "zst": SourceConfig(sharded_enabled=False),
    "json": SourceConfig(sharded_enabled=False, zstd_enabled=False),
}


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """`reqlib 2.0` needs `urlkit`, `reqlib 1.0` does not."""
    async with staged(tmp_path, fresh_seconds=0) as stage:
        for version in ("1.0", "2.0"):
            make_package(stage.folder, "urlkit", version, files={"share/urlkit.txt": version})
        make_package(stage.folder, "reqlib", "1.0", subdir="linux-64", files={"share/reqlib.txt": "1.0"})
        make_package(
            stage.folder, "reqlib", "2.0", subdir="linux-64", depends=["urlkit"], files={"share/reqlib.txt": "2.0"}
        )
        await index(stage.folder)
        yield stage


async def _solve(stage: Stage, cache: Path, *specs: str, form: str = "shards") -> list[rattler.RepoDataRecord]:
    gateway = Gateway(cache_dir=cache / "repodata", default_config=FORMS[form])
    return await rattler.solve([stage.forge], specs, gateway=gateway, platforms=["linux-64", "noarch"])


async def _install(records: list[rattler.RepoDataRecord], cache: Path) -> Path:
    await rattler.install(records, cache / "prefix", cache_dir=cache / "packages", show_progress=False)
    return cache / "prefix"


@pytest.mark.parametrize("form", FORMS)
async def test_what_is_allowed_solves_and_installs(stage: Stage, tmp_path: Path, form: str) -> None:
    prefix = await _install(await _solve(stage, tmp_path, "reqlib", form=form), tmp_path)

    assert (prefix / "share/reqlib.txt").read_text() == "2.0"
    assert sorted(stage.delivered) == ["reqlib-2.0-0.conda", "urlkit-2.0-0.conda"]
    assert any("shards/" in path for path in stage.asked) == (form == "shards")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.req("S0-20")
async def test_a_blocked_package_stops_its_dependants_and_downgrades_none(
    stage: Stage, tmp_path: Path, form: str
) -> None:
    stage.policy = replace(stage.policy, blocked=rules("urlkit"))

    records = await _solve(stage, tmp_path, "reqlib", form=form)

    assert names(records) == {"reqlib": "2.0", "urlkit": "2.0"}
    with pytest.raises(InstallerError, match=r"urlkit-2\.0-0\.conda[\s\S]*403"):
        await _install(records, tmp_path)
    assert stage.refused == ["urlkit blocked"]
    assert "urlkit-2.0-0.conda" not in stage.delivered


async def test_where_backtracking_is_chosen_a_blocked_package_is_not_seen(stage: Stage, tmp_path: Path) -> None:
    stage.policy = replace(stage.policy, blocked=rules("urlkit"), on_blocked_dependency="backtrack")

    assert names(await _solve(stage, tmp_path, "reqlib")) == {"reqlib": "1.0"}


@pytest.mark.parametrize("form", FORMS)
async def test_versions_that_a_pin_leaves_out_are_not_chosen(stage: Stage, tmp_path: Path, form: str) -> None:
    stage.policy = replace(stage.policy, pins=rules("urlkit<2"))

    assert names(await _solve(stage, tmp_path, "reqlib", form=form)) == {"reqlib": "2.0", "urlkit": "1.0"}


async def test_an_archive_is_judged_again_whatever_a_client_remembers(stage: Stage) -> None:
    address = f"{stage.forge}/noarch/urlkit-2.0-0.conda"
    async with httpx.AsyncClient() as client:
        assert (await client.get(address)).status_code == 200
        stage.policy = replace(stage.policy, pins=rules("urlkit<2"))
        refused = await client.get(address)

    assert refused.status_code == 403
    assert "urlkit<2" in refused.json()["detail"]


async def test_an_archive_that_changed_under_its_name_is_refused(stage: Stage) -> None:
    address = f"{stage.forge}/noarch/urlkit-2.0-0.conda"
    async with httpx.AsyncClient() as client:
        assert (await client.get(address)).status_code == 200
        make_package(stage.folder, "urlkit", "2.0", files={"share/urlkit.txt": "something else"})
        await index(stage.folder)
        refused = await client.get(address)

    assert refused.json()["decision"] == "hash-changed"
    assert stage.delivered == ["urlkit-2.0-0.conda"]


async def test_an_archive_that_is_not_what_its_record_says_is_not_delivered(stage: Stage) -> None:
    (stage.folder / "noarch/urlkit-2.0-0.conda").write_bytes(b"something else")
    async with httpx.AsyncClient() as client:
        reply = await client.get(f"{stage.forge}/noarch/urlkit-2.0-0.conda")

    assert (reply.status_code, reply.json()["code"]) == (503, "package-damaged")
    assert stage.delivered == []


async def test_a_package_is_too_new_until_its_days_have_passed(stage: Stage, tmp_path: Path) -> None:
    _edit(stage, "noarch", lambda file, record: _uploaded(record, days=3 if file.startswith("urlkit-2") else 30))
    stage.policy = replace(stage.policy, cooldown_days=7)

    assert names(await _solve(stage, tmp_path, "urlkit", form="json")) == {"urlkit": "1.0"}


async def test_an_approval_shows_at_once_in_a_client_with_a_cache(stage: Stage, tmp_path: Path) -> None:
    stage.policy = replace(stage.policy, approval_required=rules("urlkit"))
    with pytest.raises(InstallerError):
        await _install(await _solve(stage, tmp_path, "urlkit"), tmp_path)

    grant = Grant("approval", None, "urlkit", "<2", "a test", "Ada")
    stage.policy = replace(stage.policy, grants=(grant,))

    assert names(await _solve(stage, tmp_path, "urlkit")) == {"urlkit": "1.0"}


@pytest.mark.parametrize("form", FORMS)
async def test_a_client_goes_on_with_what_it_has_while_nothing_changed(stage: Stage, tmp_path: Path, form: str) -> None:
    first = await _solve(stage, tmp_path, "reqlib", form=form)

    assert names(await _solve(stage, tmp_path, "reqlib", form=form)) == names(first)


async def test_an_untrusted_channel_is_refused_and_not_even_asked(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match=r"403 Forbidden.*/conda/evil/"):
        await rattler.solve([f"{stage.address}/conda/evil"], ["urlkit"], gateway=Gateway(cache_dir=tmp_path / "cache"))

    assert set(stage.refused) == {"evil untrusted-channel"}
    assert not [path for path in stage.upstream_asked if "evil" in path]


@pytest.mark.parametrize(
    "file",
    [
        "repodata.json.bz2", "repodata.json.jlap", "current_repodata.json", "run_exports.json", "channeldata.json",
        "patch_instructions.json", "index.html", "urlkit-2.0.conda", "..%2f..%2fetc",
    ],
)  # fmt: skip
async def test_what_is_not_filtered_is_not_served(stage: Stage, file: str) -> None:
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{stage.forge}/noarch/{file}")).status_code in (404, 405)
    assert not any("bz2" in path or "jlap" in path or "index.html" in path for path in stage.upstream_asked)


async def test_groups_addresses_and_relations_of_a_hostile_channel_are_left_out(stage: Stage) -> None:
    def worsen(repodata: dict) -> None:
        record = repodata["packages.conda"]["urlkit-1.0-0.conda"]
        repodata["info"] |= {"base_url": "http://elsewhere.test/", "channel_relations": {"base": "../evil"}}
        repodata["v3"] = {"whl": {"urlkit-3.0.whl": {**record, "version": "3.0", "url": "http://elsewhere.test/a"}}}
        repodata["packages.conda"]["urlkit-1.0-0.conda"] = {**record, "url": "http://elsewhere.test/b"}

    _change(stage, "noarch", worsen)

    async with httpx.AsyncClient() as client:
        seen = (await client.get(f"{stage.forge}/noarch/repodata.json")).json()

    assert "elsewhere" not in json.dumps(seen)
    assert seen["info"] == {"subdir": "noarch"}
    assert set(seen) == {"info", "packages", "packages.conda", "repodata_version"}


@pytest.mark.parametrize(
    "worse",
    [
        {"name": "reqlib"},
        {"version": "9.0"},
        {"build": "1"},
        {"subdir": "linux-64"},
        {"sha256": None},
        {"sha256": "0" * 63},
        {"depends": ["evil::urlkit"]},
        {"depends": ["urlkit[url=http://elsewhere.test/urlkit-9-0.conda]"]},
        {"depends": ["http://elsewhere.test/urlkit-9-0.conda"]},
        {"depends": "urlkit"},
        {"constrains": [None]},
    ],
)
async def test_a_record_that_is_not_what_it_says_is_left_out(stage: Stage, worse: dict) -> None:
    def change(file: str, record: dict) -> dict:
        return {**record, **worse} if file.startswith("urlkit-2") else record

    _edit(stage, "noarch", change)

    async with httpx.AsyncClient() as client:
        seen = (await client.get(f"{stage.forge}/noarch/repodata.json")).json()
        archive = await client.get(f"{stage.forge}/noarch/urlkit-2.0-0.conda")

    assert set(seen["packages.conda"]) == {"urlkit-1.0-0.conda"}
    assert archive.status_code == 404


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"packages": 3}', b"\x28\xb5\x2f\xfd rest", b"[" * 100_000])
async def test_repodata_that_cannot_be_read_offer_nothing(stage: Stage, content: bytes) -> None:
    _replace(stage, "noarch", content)

    async with httpx.AsyncClient() as client:
        reply = await client.get(f"{stage.forge}/noarch/repodata.json")

    assert reply.status_code == 503 or not reply.json()["packages.conda"]


async def test_a_channel_that_is_down_is_answered_for_by_what_is_kept(stage: Stage, tmp_path: Path) -> None:
    async with httpx.AsyncClient() as client:
        address = f"{stage.forge}/noarch/repodata.json"
        before = (await client.get(address)).json()
        for form in ("repodata.json.zst", "repodata.json"):
            (stage.folder / "noarch" / form).unlink(missing_ok=True)
            (stage.folder / "noarch" / form).mkdir()
        assert (await client.get(address)).json() == before


async def test_a_folder_is_read_once_for_each_policy(stage: Stage) -> None:
    async with httpx.AsyncClient() as client:
        tags = {(await client.get(f"{stage.forge}/noarch/repodata.json.zst")).headers["ETag"] for _ in range(3)}
        again = await client.get(f"{stage.forge}/noarch/repodata.json", headers={"If-None-Match": tags.copy().pop()})
        stage.policy = replace(stage.policy, blocked=rules("six"))
        other = (await client.get(f"{stage.forge}/noarch/repodata.json.zst")).headers["ETag"]

    assert len(tags) == 1
    assert again.status_code == 304
    assert other not in tags


def _uploaded(record: dict, *, days: int) -> dict:
    at = datetime.now(UTC) - timedelta(days=days)
    return {**record, "indexed_timestamp": int(at.timestamp() * 1000)}


def _edit(stage: Stage, subdir: str, change) -> None:
    """Change each record as the channel gives it."""

    def all_records(repodata: dict) -> None:
        records = repodata["packages.conda"]
        repodata["packages.conda"] = {file: change(file, record) for file, record in records.items()}

    _change(stage, subdir, all_records)


def _change(stage: Stage, subdir: str, change) -> None:
    repodata = json.loads((stage.folder / subdir / "repodata.json").read_text())
    change(repodata)
    _replace(stage, subdir, json.dumps(repodata).encode())


def _replace(stage: Stage, subdir: str, content: bytes) -> None:
    (stage.folder / subdir / "repodata.json.zst").unlink()
    (stage.folder / subdir / "repodata.json").write_bytes(content)

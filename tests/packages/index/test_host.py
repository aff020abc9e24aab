"""The index host by its own protocol: pages, files, metadata, refusals, and what goes wrong upstream."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from packages.index.stage import JSON, Stage, rules, staged

WHEEL = "files/lib/lib-1.0-py3-none-any.whl"


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path) as found:
        found.origin.add("lib", "1.0", "other>=1")
        yield found


@pytest.mark.parametrize("is_json", [False, True])
async def test_a_page_lists_what_the_upstream_has_in_both_formats(stage: Stage, is_json: bool) -> None:
    stage.origin.speaks_json = is_json
    page = await stage.page("lib")
    (file,) = page["files"]
    digest = hashlib.sha256((stage.origin.folder / file["filename"]).read_bytes()).hexdigest()
    assert file["url"] == "../../files/lib/lib-1.0-py3-none-any.whl"
    assert (file["hashes"], file["core-metadata"]) == ({"sha256": digest}, True)
    assert (page["meta"]["api-version"], page["versions"]) == ("1.4" if is_json else "1.0", ["1.0"])
    _, text, headers = await stage.get("simple/lib/", Accept="text/html")
    assert f"../../files/lib/lib-1.0-py3-none-any.whl#sha256={digest}" in text.decode()
    assert headers["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(("asked", "leads_to"), [("Lib/", "../lib/"), ("LIB", "lib/"), ("lib", "lib/")])
async def test_other_spellings_lead_to_the_canonical_one(stage: Stage, asked: str, leads_to: str) -> None:
    status, _, headers = await stage.get(f"simple/{asked}")
    assert (status, headers["Location"]) == (301, leads_to)


async def test_projects_are_not_listed(stage: Stage) -> None:
    assert [(await stage.get(path))[0] for path in ("simple/", "simple", "")] == [404, 404, 404]


async def test_a_page_that_has_not_changed_is_not_sent_again_until_the_policy_changes(stage: Stage) -> None:
    _, _, headers = await stage.get("simple/lib/", Accept=JSON)
    known = {"Accept": JSON, "If-None-Match": headers["ETag"]}
    assert (await stage.get("simple/lib/", **known))[0] == 304
    assert headers["Cache-Control"] == "no-cache"
    stage.policy = replace(stage.policy, blocked=rules("lib"))
    assert (await stage.get("simple/lib/", **known))[0] == 200


async def test_a_file_is_judged_when_it_is_asked_for_whatever_a_page_has_said(stage: Stage) -> None:
    await stage.page("lib")
    stage.policy = replace(stage.policy, blocked=rules("lib"))
    for path in (WHEEL, f"{WHEEL}.metadata"):
        status, body, headers = await stage.get(path)
        assert (status, json.loads(body)["code"], headers["Cache-Control"]) == (403, "package-refused", "no-store")


async def test_a_tombstone_refuses_even_when_its_package_is_allowed_by_now(stage: Stage) -> None:
    path = "denied/BLOCKED-lib--run--ml-jupyter-request-alpha-lib/lib-1.0-py3-none-any.whl.metadata"
    status, body, _ = await stage.get(path)
    assert (status, json.loads(body)["decision"]) == (403, "blocked")
    assert "read it again" in json.loads(body)["detail"]


async def test_what_is_left_out_is_named_to_pip_alone_and_only_where_it_says_something(stage: Stage) -> None:
    for version in range(3, 33):
        stage.origin.add("lib", f"{version}.0")
    stage.policy = replace(stage.policy, pins=rules("lib<2"))
    plain = await stage.page("lib")
    assert [one["filename"] for one in plain["files"]] == ["lib-1.0-py3-none-any.whl"]
    for agent in ("uv/0.13.8", "poetry/2.5.1", "unearth/0.19"):
        assert json.loads((await stage.get("simple/lib/", Accept=JSON, **{"User-Agent": agent}))[1]) == plain
    _, body, headers = await stage.get("simple/lib/", Accept=JSON, **{"User-Agent": "pip/26.3 {}"})
    first, *others = json.loads(body)["files"]
    assert (first, "User-Agent" in headers["Vary"]) == (plain["files"][0], True)
    assert [one["filename"].split("-")[1] for one in others] == [f"{version}.0" for version in range(32, 12, -1)]
    assert {one["requires-python"][:3] for one in others} == {"==="}
    status, body, _ = await stage.get(f"simple/lib/{others[0]['url']}".replace("simple/lib/../../", ""))
    assert (status, json.loads(body)["rule"], json.loads(body)["hint"]) == (
        403,
        "pins: lib<2",
        "Ask for it: ml jupyter request alpha lib==32.0",
    )


async def test_a_tombstone_of_what_nothing_passes_of_says_which_rule(stage: Stage) -> None:
    now = datetime.now(UTC).isoformat()
    stage.origin.add("fresh", "1.0", uploaded=now)
    stage.policy = replace(stage.policy, cooldown_days=7)
    (file,) = (await stage.page("fresh"))["files"]
    status, body, _ = await stage.get(file["url"].replace("../../", ""))
    assert (status, json.loads(body)["rule"]) == (403, "cooldown_days: 7")
    assert "It was uploaded less than 7 days ago" in json.loads(body)["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "files/other/lib-1.0-py3-none-any.whl",
        "files/Lib/lib-1.0-py3-none-any.whl",
        "files/lib/..%2flib-1.0-py3-none-any.whl",
        "files/lib/%2e%2e",
        "denied/anything/lib-1.0-py3-none-any.whl",
        "simple/absent/",
    ],
)
async def test_nothing_is_found_by_another_way(stage: Stage, path: str) -> None:
    assert (await stage.get(path))[0] in (404, 301)


async def test_what_is_not_asked_for_by_get_is_told_what_is(stage: Stage) -> None:
    async with aiohttp.ClientSession() as client, client.post(f"{stage.address}app/") as reply:
        assert (reply.status, reply.headers["Allow"]) == (405, "GET,HEAD")


async def test_a_name_that_is_none_is_refused(stage: Stage) -> None:
    status, body, _ = await stage.get("simple/requ%D0%B5sts/")
    assert (status, json.loads(body)["code"]) == (422, "package-invalid")


@pytest.mark.parametrize(("has_ranges", "asked"), [(True, "part of"), (False, "file")])
async def test_metadata_are_made_of_a_wheels_end_where_the_upstream_has_none(
    stage: Stage, has_ranges: bool, asked: str
) -> None:
    stage.origin.has_ranges = has_ranges
    stage.origin.add("big", "1.0", "lib<2", extra="x" * 600_000)
    status, body, _ = await stage.get("files/big/big-1.0-py3-none-any.whl.metadata")
    assert (status, b"Requires-Dist: lib<2" in body) == (200, True)
    assert stage.origin.asked[-1] == f"{asked} big-1.0-py3-none-any.whl"
    known = len(stage.origin.asked)
    await stage.get("files/big/big-1.0-py3-none-any.whl.metadata")
    assert len(stage.origin.asked) == known


async def test_metadata_that_the_upstream_has_are_passed_on(stage: Stage) -> None:
    stage.origin.has_metadata = True
    status, body, _ = await stage.get(f"{WHEEL}.metadata")
    assert (status, b"Requires-Dist: other>=1" in body) == (200, True)
    assert stage.origin.asked[-1] == "file lib-1.0-py3-none-any.whl.metadata"


async def test_a_wheel_that_is_none_has_no_metadata_and_breaks_nothing(stage: Stage) -> None:
    (stage.origin.folder / "lib-3.0-py3-none-any.whl").write_bytes(b"no archive" * 100)
    status, body, _ = await stage.get("files/lib/lib-3.0-py3-none-any.whl.metadata")
    assert (status, json.loads(body)["code"]) == (503, "package-damaged")
    assert (await stage.get(f"{WHEEL}.metadata"))[0] == 200


async def test_a_file_comes_once_for_all_who_ask(stage: Stage) -> None:
    first = await stage.get(WHEEL)
    second = await stage.get(WHEEL)
    assert first[1] == second[1] == (stage.origin.folder / WHEEL.rpartition("/")[2]).read_bytes()
    assert [asked for asked in stage.origin.asked if asked.startswith("file")] == ["file lib-1.0-py3-none-any.whl"]
    assert (first[2]["Cache-Control"], second[2]["Cache-Control"]) == ("private, immutable",) * 2


async def test_what_is_not_the_file_that_was_listed_reaches_nobody_whole(stage: Stage) -> None:
    stage.origin.lies["lib-1.0-py3-none-any.whl"] = "0" * 64
    code, _ = await stage.pip("lib==1.0", "--no-deps")
    assert (code != 0, stage.installed) == (True, set())
    assert list((stage.tmp / "data" / "blobs").iterdir()) == []
    assert stage.told == []


@pytest.mark.parametrize("tool", ["pip", "uv"])
async def test_a_file_that_changes_after_its_delivery_is_an_incident(tmp_path: Path, tool: str) -> None:
    async with staged(tmp_path, fresh_seconds=0) as stage:
        stage.origin.add("lib", "1.0")
        assert (await stage.get(WHEEL))[0] == 200
        stage.origin.add("lib", "1.0", extra="something else")
        code, output = await getattr(stage, tool)("lib")
        assert (code != 0, stage.installed) == (True, set())
        assert "HASH-CHANGED-lib" in output
        status, body, _ = await stage.get(WHEEL)
        assert (status, json.loads(body)["decision"]) == (403, "hash-changed")
        assert {entry["code"] for entry in await stage.entries("refusal")} == {"hash-changed"}


async def test_a_page_serves_on_while_its_upstream_is_down(tmp_path: Path) -> None:
    async with staged(tmp_path, fresh_seconds=0) as stage:
        stage.origin.add("lib", "1.0")
        before = await stage.page("lib")
        stage.origin.is_down = True
        assert await stage.page("lib") == before
        status, body, _ = await stage.get("simple/unseen/")
        assert (status, json.loads(body)["code"]) == (503, "packages-unavailable")


async def test_the_first_channel_that_has_a_name_owns_it(stage: Stage) -> None:
    stage.internal.add("lib", "0.1")
    assert (await stage.page("lib"))["versions"] == ["0.1"]


async def test_internal_names_are_not_even_asked_for_outside(stage: Stage) -> None:
    stage.origin.add("acme_tools", "9.0")
    assert (await stage.get("simple/acme-tools/"))[0] == 404
    assert stage.origin.asked == []


async def test_the_bases_own_files_pass_whatever_is_blocked(stage: Stage) -> None:
    wheel = stage.origin.folder / "lib-1.0-py3-none-any.whl"
    stage.origin.add("lib", "2.0")
    files = frozenset({hashlib.sha256(wheel.read_bytes()).hexdigest()})
    stage.policy = replace(stage.policy, blocked=rules("lib"), base_files=files)
    urls = {file["filename"]: file["url"].split("/")[2] for file in (await stage.page("lib"))["files"]}
    assert urls == {"lib-1.0-py3-none-any.whl": "files", "lib-2.0-py3-none-any.whl": "denied"}
    assert (await stage.get(WHEEL))[0] == 200


async def test_a_dry_run_lets_pass_and_tells(stage: Stage) -> None:
    stage.policy = replace(stage.policy, blocked=rules("lib"), dry_run=True)
    assert (await stage.get(WHEEL))[0] == 200
    (refused,) = await stage.entries("refusal")
    assert (refused["code"], refused["enforced"]) == ("blocked", False)


async def test_large_pages_are_packed_for_who_takes_that(stage: Stage) -> None:
    for number in range(150):
        stage.origin.add("many", f"1.{number}")
    _, body, headers = await stage.get("simple/many/", Accept=JSON)
    # The client unpacks by itself.
    assert (headers["Content-Encoding"], len(json.loads(body)["files"])) == ("gzip", 150)


async def test_refusals_are_told_once_a_minute_and_deliveries_each(stage: Stage) -> None:
    await stage.get(WHEEL)
    await stage.get(WHEEL)
    stage.policy = replace(stage.policy, blocked=rules("lib"))
    for _ in range(5):
        await stage.get(WHEEL)
    # At the turn of a minute there may be two.
    assert len(await stage.entries("refusal")) in (1, 2)
    assert len({entry["id"] for entry in await stage.entries("delivery")}) == 2


async def test_what_could_not_be_told_is_told_after_a_restart(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.is_deaf = True
        stage.origin.add("lib", "1.0")
        assert (await stage.get(WHEEL))[0] == 200
    async with staged(tmp_path) as again:
        (entry,) = await again.entries("delivery")
    assert (entry["name"], entry["file"]) == ("lib", "lib-1.0-py3-none-any.whl")


async def test_a_change_is_noticed_after_a_restart_too(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.origin.add("lib", "1.0")
        assert (await stage.get(WHEEL))[0] == 200
    async with staged(tmp_path) as again:
        again.origin.add("lib", "1.0", extra="something else")
        assert (await again.get(WHEEL))[0] == 403


async def test_a_file_comes_whole_for_the_next_one_when_the_first_goes_away(stage: Stage) -> None:
    stage.origin.add("big", "1.0", extra="x" * 3_000_000)
    stage.origin.pauses.clear()
    first = asyncio.create_task(stage.get("files/big/big-1.0-py3-none-any.whl"))
    async with asyncio.timeout(30):
        while "file big-1.0-py3-none-any.whl" not in stage.origin.asked:
            await asyncio.sleep(0.01)
    first.cancel()
    stage.origin.pauses.set()
    status, body, _ = await stage.get("files/big/big-1.0-py3-none-any.whl")
    assert (status, body) == (200, (stage.origin.folder / "big-1.0-py3-none-any.whl").read_bytes())
    assert stage.origin.asked.count("file big-1.0-py3-none-any.whl") == 1


async def test_many_who_ask_for_a_file_at_once_share_its_download(stage: Stage) -> None:
    stage.origin.add("big", "1.0", extra="x" * 3_000_000)
    replies = await asyncio.gather(*(stage.get("files/big/big-1.0-py3-none-any.whl") for _ in range(8)))
    assert {status for status, _, _ in replies} == {200}
    assert {body for _, body, _ in replies} == {(stage.origin.folder / "big-1.0-py3-none-any.whl").read_bytes()}
    assert stage.origin.asked.count("file big-1.0-py3-none-any.whl") == 1

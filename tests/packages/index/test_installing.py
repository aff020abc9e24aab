"""Real pip and uv against a real index host, before an index made on the spot."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from packages.index.stage import Stage, rules, staged


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """An index as old ones are: HTML without metadata. `app` 1 needs nothing, `app` 2 needs `lib`."""
    async with staged(tmp_path) as found:
        found.origin.add("app", "1.0")
        found.origin.add("app", "2.0", "lib>=1")
        found.origin.add("lib", "1.0")
        found.origin.add("lib", "2.0")
        yield found


@pytest.mark.parametrize("tool", ["pip", "uv"])
async def test_what_is_allowed_is_installed_and_its_delivery_told(stage: Stage, tool: str) -> None:
    code, output = await getattr(stage, tool)("app")
    assert code == 0, output
    assert stage.installed == {"app-2.0", "lib-2.0"}
    told = {(entry["name"], entry["version"], entry["session"]) for entry in await stage.entries("delivery")}
    assert ("app", "2.0", "s-1") in told
    assert all(len(entry["fingerprint"]) == 64 for entry in stage.told)


@pytest.mark.parametrize("tool", ["pip", "uv"])
async def test_a_blocked_dependency_stops_the_tool_and_no_older_dependant_comes_instead(
    stage: Stage, tool: str
) -> None:
    stage.policy = replace(stage.policy, blocked=rules("lib"))
    code, output = await getattr(stage, tool)("app")
    assert code != 0
    assert stage.installed == set()
    assert "BLOCKED-lib--run--ml-jupyter-request-alpha-lib" in output
    (refused,) = await stage.entries("refusal")
    assert (refused["name"], refused["code"], refused["cause"]) == ("lib", "blocked", "client")


async def test_uv_reads_out_why_it_was_refused(stage: Stage) -> None:
    stage.policy = replace(stage.policy, blocked=rules("lib"))
    _, output = await stage.uv("lib")
    # uv breaks lines where the terminal ends, or would.
    said = " ".join(output.split())
    assert "lib is blocked" in said
    assert "ml jupyter request alpha lib" in said


@pytest.mark.parametrize("tool", ["pip", "uv"])
async def test_versions_that_a_pin_leaves_out_are_not_seen(stage: Stage, tool: str) -> None:
    stage.policy = replace(stage.policy, pins=rules("lib<2"))
    code, output = await getattr(stage, tool)("lib")
    assert (code, stage.installed) == (0, {"lib-1.0"}), output


@pytest.mark.parametrize("tool", ["pip", "uv"])
async def test_what_is_too_new_waits_for_its_time(stage: Stage, tool: str) -> None:
    stage.origin.add("lib", "3.0", uploaded=(datetime.now(UTC) - timedelta(days=2)).isoformat())
    stage.policy = replace(stage.policy, cooldown_days=7)
    code, output = await getattr(stage, tool)("lib")
    assert (code, stage.installed) == (0, {"lib-2.0"}), output


async def test_pip_says_why_the_version_that_was_asked_for_is_not_there(stage: Stage) -> None:
    stage.origin.add("lib", "3.0", uploaded=(datetime.now(UTC) - timedelta(days=2)).isoformat())
    stage.policy = replace(stage.policy, cooldown_days=7, blocked=rules("lib==1.0"))
    code, output = await stage.pip("lib==3.0")
    assert code != 0
    assert "TOO-NEW-lib--cooldown_days:7--run--ml-jupyter-request-alpha-lib==3.0" in output
    assert "BLOCKED-lib--blocked_packages:lib==1.0--run--ml-jupyter-request-alpha-lib==1.0" in output


@pytest.mark.parametrize(
    ("needs", "gets"),
    [("lib==3.0", {"app-2.0", "lib-2.0"}), ("lib>=1", {"app-3.0", "lib-2.0"})],
    ids=["its very version", "any"],
)
@pytest.mark.parametrize("tool", ["pip", "uv"])
async def test_what_pip_is_told_of_changes_nothing_of_what_is_chosen(
    stage: Stage, tool: str, needs: str, gets: set[str]
) -> None:
    stage.origin.add("app", "3.0", needs)
    stage.origin.add("lib", "3.0", uploaded=(datetime.now(UTC) - timedelta(days=2)).isoformat())
    stage.policy = replace(stage.policy, cooldown_days=7)
    code, output = await getattr(stage, tool)("app")
    assert (code, stage.installed) == (0, gets), output


@pytest.mark.parametrize("tool", ["pip", "uv"])
async def test_what_looks_like_a_blocked_name_is_refused(stage: Stage, tool: str) -> None:
    stage.origin.add("urlib3", "1.0")
    stage.policy = replace(stage.policy, blocked=rules("urllib3"))
    code, output = await getattr(stage, tool)("urlib3")
    assert (code != 0, stage.installed) == (True, set())
    assert "LOOK-ALIKE-urlib3" in output


@pytest.mark.parametrize("tool", ["pip", "uv"])
async def test_an_approval_takes_effect_at_once(stage: Stage, tool: str) -> None:
    stage.policy = replace(stage.policy, approval_required=rules("lib"))
    code, _ = await getattr(stage, tool)("lib")
    assert code != 0
    stage.policy = replace(stage.policy, approval_required=())
    code, output = await getattr(stage, tool)("lib")
    assert (code, stage.installed) == (0, {"lib-2.0"}), output


@pytest.mark.parametrize("tool", ["pip", "uv"])
async def test_a_source_distribution_is_not_seen_where_wheels_only_are_allowed(stage: Stage, tool: str) -> None:
    (stage.origin.folder / "lib-9.0.tar.gz").write_bytes(b"never opened")
    code, output = await getattr(stage, tool)("lib")
    assert (code, stage.installed) == (0, {"lib-2.0"}), output


async def test_a_pip_that_is_told_to_be_isolated_does_not_ask_us(stage: Stage) -> None:
    """`--isolated` drops the environment, so that nothing here is judged: a closed network and the scan are for that."""
    code, _ = await stage.pip("lib", "--isolated", "--index-url", stage.address.replace("/pypi/simple/", "/elsewhere/"))
    assert code != 0
    assert stage.told == []


@pytest.mark.parametrize("tool", ["pip", "uv"])
async def test_an_index_that_is_down_is_an_error_and_no_reason_to_ask_another(stage: Stage, tool: str) -> None:
    stage.internal.is_down = True
    code, _ = await getattr(stage, tool)("lib")
    assert (code != 0, stage.installed) == (True, set())
    assert not [asked for asked in stage.origin.asked if asked.startswith("page")]

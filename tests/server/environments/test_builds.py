"""Builds of environments: installed, removed, rolled back, built anew, cancelled."""

from pathlib import Path

import httpx

from server.environments.conftest import W, install


def _changes(build: dict[str, object]) -> list[tuple[str, str, str | None]]:
    return [(one["action"], one["name"], one["version"]) for one in build["changes"]]  # type: ignore[attr-defined]


async def test_an_install_takes_what_packages_need_and_records_both(ana: httpx.AsyncClient, churn: Path) -> None:
    build = await install(ana, "stem")
    assert (build["state"], build["number"], build["is_live"]) == ("ready", 2, True), build
    assert _changes(build) == [("installed", "leaf", "2.0"), ("installed", "stem", "1.0")]
    assert list(churn.glob("lib/python3*/site-packages/stem/__init__.py"))
    actions = [one["action"] for one in (await ana.get(f"{W}/churn/activity")).json()["items"]]
    assert actions.count("package.installed") == 2

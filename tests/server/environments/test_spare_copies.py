"""Builds have their copy from spare clones of the base."""

from pathlib import Path
from threading import Event

import httpx
import pytest

from server.environments.conftest import W, ended, install
from studiolo.runtime.bases import base_of
from studiolo.server.environments import making
from studiolo.server.environments import spares as sparing
from studiolo.server.environments.clone import clone, spares_of
from studiolo.testing.waiting import eventually


async def test_an_installation_that_finds_a_spare_half_made_waits_for_it(
    ana: httpx.AsyncClient, churn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, gate, own = Event(), Event(), []

    def slow(source: Path, target: Path) -> None:
        begun.set()
        gate.wait()
        clone(source, target)

    def counted(source: Path, target: Path) -> None:
        own.append(target)
        clone(source, target)

    await install(ana, "leaf==1.0")
    spares = spares_of(base_of(churn))
    await eventually(lambda: all(spare.is_dir() for spare in spares))
    monkeypatch.setattr(making, "clone", counted)
    monkeypatch.setattr(sparing, "clone", slow)
    # They take the spares that are there, and have others made.
    for version in ("2.0", "1.0"):
        await install(ana, f"leaf=={version}")
    await eventually(begun.is_set)
    asked = (await ana.post(f"{W}/churn/packages", json={"packages": ["stem"]})).json()
    gate.set()
    assert (await ended(ana, asked))["state"] == "ready"
    assert own == []


async def test_an_old_environment_is_out_of_the_way_before_the_next_build(ana: httpx.AsyncClient, churn: Path) -> None:
    for version in ("1.0", "2.0"):
        await install(ana, f"leaf=={version}")

    async def is_aside() -> bool:
        return len(list(churn.parent.glob(f".{churn.name}.next.*.old"))) == 2

    await eventually(is_aside)
    assert not churn.with_name(f"{churn.name}.next").exists()

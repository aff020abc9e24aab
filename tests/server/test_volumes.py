"""Volumes and profiles as administrators offer them: who may use them, where they can be had."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from server.test_moving_pages import Browser, browser
from studiolo.contract.resources import Profile, Resources
from studiolo.engines.base import Engine, Volume
from studiolo.server.settings import Settings
from studiolo.server.settings.resources import ResourceSettings, VolumeOffer
from studiolo.testing.fake_engine import FakeEngine

__all__ = ["browser"]

W = "/api/v1/jupyter/workspaces"


class MountingEngine(FakeEngine):
    """One that attaches folders. Implements Attaches."""

    attaches = "path"


@pytest.fixture
def pods() -> MountingEngine:
    return MountingEngine("pods", isolation="L2")


@pytest.fixture
def engines(engine: FakeEngine, pods: MountingEngine) -> Mapping[str, Engine]:
    return {"local": engine, "pods": pods}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    volumes = [
        VolumeOffer(name="genomes", path=Path("/srv/genomes"), claim="genomes-claim"),
        VolumeOffer(name="results", path=Path("/srv/results"), read_only=False, people=["ana"]),
        VolumeOffer(name="far", claim="far-claim"),
    ]
    profiles = [
        Profile(name="old", resources=Resources(cpu=1), deprecated="Goes in May; take small."),
        Profile(name="secret", resources=Resources(cpu=2), people=["ana"]),
    ]
    resources = ResourceSettings(volumes=volumes, profiles=profiles)
    return settings.model_copy(update={"resources": resources})


async def launch(client: httpx.AsyncClient, workspace: str, **form: Any) -> dict[str, Any]:
    answer = await client.post(f"{W}/{workspace}/sessions", params={"wait": 30}, json=form)
    return answer.json()


@pytest.mark.req("S3-07", "S3-17", "S2-10")
async def test_a_session_gets_the_volumes_that_its_workspace_attaches(
    ana: httpx.AsyncClient, pods: MountingEngine
) -> None:
    await ana.post(W, json={"name": "churn", "engine": "pods"})
    scaled = await ana.post(f"{W}/churn/scale", json={"volumes": ["genomes", "results"]})
    assert scaled.json()["volumes"] == ["genomes", "results"]
    session = await launch(ana, "churn")
    assert pods.workloads[(session["id"], 1)].spec.volumes == (
        Volume("genomes", Path("/srv/genomes"), "genomes-claim", read_only=True),
        Volume("results", Path("/srv/results"), None, read_only=False),
    )
    text = (await ana.get(f"{W}/churn/config")).text
    assert "volumes:\n- genomes\n- results\n" in text
    assert (await ana.put(f"{W}/churn/config", content=text)).status_code == 200
    none = await ana.post(f"{W}/churn/scale", json={"volumes": []})
    assert none.json()["volumes"] == []


@pytest.mark.parametrize(
    ("volumes", "on", "code", "candidates"),
    [
        (["genomes"], "local", "volume-not-supported", ["pods"]),
        (["far"], "pods", "volume-not-supported", []),
        (["nowhere"], "pods", "volume-unknown", ["genomes", "results", "far"]),
    ],
)
async def test_a_volume_that_cannot_be_had_is_refused_with_those_that_can(
    ana: httpx.AsyncClient, volumes: list[str], on: str, code: str, candidates: list[str]
) -> None:
    await ana.post(W, json={"name": "churn"})
    refused = (await ana.post(f"{W}/churn/scale", json={"engine": on, "volumes": volumes})).json()
    assert (refused["code"], refused["candidates"]) == (code, candidates)


async def test_a_launch_elsewhere_is_refused_with_the_engines_that_attach(ana: httpx.AsyncClient) -> None:
    await ana.post(W, json={"name": "churn", "engine": "pods"})
    await ana.post(f"{W}/churn/scale", json={"volumes": ["genomes"]})
    refused = await launch(ana, "churn", engine="local")
    assert (refused["code"], refused["candidates"]) == ("volume-not-supported", ["pods"])


async def test_a_member_whom_a_volume_is_not_for_is_told_so(ana: httpx.AsyncClient, leo: httpx.AsyncClient) -> None:
    await ana.post(W, json={"name": "churn", "engine": "pods"})
    await ana.put(f"{W}/churn/members", json={"person": "leo", "role": "editor"})
    await ana.post(f"{W}/churn/scale", json={"volumes": ["results"]})
    assert (await launch(leo, "ana~churn"))["code"] == "volume-not-allowed"
    offered = (await leo.get("/api/v1/profiles")).json()["volumes"]
    assert [(one["name"], one["engines"]) for one in offered] == [("genomes", ["pods"]), ("far", [])]


@pytest.mark.req("S3-04")
async def test_a_profile_is_for_those_whom_it_names(ana: httpx.AsyncClient, leo: httpx.AsyncClient) -> None:
    await leo.post(W, json={"name": "other"})
    assert (await launch(leo, "other", profile="secret"))["code"] == "profile-unknown"
    assert [one["name"] for one in (await leo.get("/api/v1/profiles")).json()["profiles"]] == ["old"]
    await ana.post(W, json={"name": "churn"})
    assert (await launch(ana, "churn", profile="secret"))["profile"] == "secret"
    [old, secret] = (await ana.get("/api/v1/profiles")).json()["profiles"]
    assert (old["deprecated"], secret["people"]) == ("Goes in May; take small.", [])


async def test_pages_offer_the_profiles_that_a_person_may_use_and_say_which_go(browser: Browser) -> None:
    churn = (await browser.post("/workspaces", name="churn")).headers["location"].partition("?")[0]
    for page in ("launch", "settings"):
        shown = await browser.get(f"{churn}/{page}")
        assert 'value="old"' in shown, page
        assert 'value="secret"' not in shown, page
    assert "Goes in May; take small." in await browser.get(f"{churn}/launch")


@pytest.mark.parametrize(
    "wrong",
    [
        {"volumes": [{"name": "raw"}]},
        {"volumes": [{"name": "raw", "path": "here"}]},
        {"volumes": [{"name": "raw", "claim": "a"}, {"name": "raw", "claim": "b"}]},
        {"profiles": [{"name": "big", "people": ["ana"]}], "default_profile": "big"},
    ],
)
def test_an_offer_that_cannot_work_is_refused_at_the_start(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ResourceSettings.model_validate(wrong)

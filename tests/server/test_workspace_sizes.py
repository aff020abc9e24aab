"""What a workspace's sessions may use, over REST."""

import sys
from dataclasses import replace

import httpx
import pytest

from server.conftest import eventually
from studiolo.server.settings import Settings
from studiolo.testing.fake_engine import FakeEngine

W = "/api/v1/jupyter/workspaces"
GIB = 1024**3


async def create(client: httpx.AsyncClient, **form: object) -> dict[str, object]:
    reply = await client.post(W, json={"name": "churn"} | form)
    assert reply.status_code == 201, reply.text
    return dict(reply.json())


@pytest.mark.req("S0-131")
@pytest.mark.req("S0-07")
@pytest.mark.req("S0-08")
async def test_a_workspace_is_created_with_its_size_and_channels(ana: httpx.AsyncClient) -> None:
    made = await create(
        ana, resources={"cpu": 4, "memory": "8g"}, security={"trusted_channels": ["conda-forge", "defaults"]}
    )
    assert made["resources"]["cpu"] == 4  # type: ignore[index]
    limits = (await ana.get(f"{W}/churn/limits")).json()
    assert (limits["own"]["cpu"], limits["own"]["memory"]) == (4, 8 * GIB)
    assert "trusted_channels:\n  - conda-forge" in (await ana.get(f"{W}/churn/config")).text


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"profile": "huge"}, "profile-unknown"),
        ({"resources": {"gpu": 1}}, "gpu-not-available"),
        ({"resources": {"image": "jupyter/scipy-notebook:latest"}}, "image-not-supported"),
        ({"resources": {"memory": "-1g"}}, "request-invalid"),
        ({"environment": {"python_version": 3.1}}, "request-invalid"),
        ({"environment": {"python_version": "3.99"}}, "python-not-found"),
        ({"environment": {"python_version": "2.7"}}, "request-invalid"),
        ({"environment": {"jupyter_version": "1.0"}}, "jupyter-not-found"),
        ({"environment": {"STUDIOLO_KEY": "x"}}, "request-invalid"),
        ({"security": {"trusted": []}}, "request-invalid"),
        ({"config_file": "resources:\n  cpus: 4\n"}, "config-invalid"),
    ],
)
async def test_what_could_never_run_is_refused_and_nothing_is_made(
    ana: httpx.AsyncClient, form: dict[str, object], code: str
) -> None:
    reply = await ana.post(W, json={"name": "churn"} | form)
    assert (reply.status_code, reply.json()["code"]) == (422, code), reply.text
    assert (await ana.get(W)).json()["items"] == []


async def test_a_python_that_is_not_there_lists_those_found(ana: httpx.AsyncClient) -> None:
    reply = (await ana.post(W, json={"name": "churn", "environment": {"python_version": "3.99"}})).json()
    assert reply["candidates"]
    assert all(found in reply["detail"] for found in reply["candidates"])


@pytest.mark.req("S0-17")
@pytest.mark.req("S0-18")
async def test_the_latest_jupyter_is_stored_as_the_version_that_it_is(ana: httpx.AsyncClient) -> None:
    text = 'environment:\n  python_version: "3"\n  jupyter_version: "latest"\n  TEAM: red\n'
    await create(ana, config_file=text)
    shown = (await ana.get(f"{W}/churn/config")).text
    assert "jupyter_version: latest" not in shown
    assert "python_version: '3'\n  jupyter_version: 4." in shown


@pytest.mark.req("S0-13", "S0-14", "S0-15", "S0-16", "S0-17", "S0-18", "S0-19", "S0-20")
async def test_the_whole_file_is_taken_where_the_machine_has_it(ana: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.machine = replace(engine.machine, cpu=8, memory=32 * GIB, gpu=1)
    running = ".".join(map(str, sys.version_info[:2]))
    text = (
        "resources:\n  cpu: 4\n  memory: 8g\n  gpu: 1\n  disk: 20g\n\n"
        f'environment:\n  python_version: "{running}"\n  jupyter_version: "latest"\n\n'
        'security:\n  trusted_channels: ["conda-forge", "defaults", "pytorch"]\n'
        '  blocked_packages: ["aiohttp", "telnetlib"]\n'
    )
    made = await create(ana, config_file=text)
    amounts = {"cpu": 4, "memory": 8 * GIB, "gpu": 1, "disk": 20 * GIB}
    assert made["resources"] == amounts | dict.fromkeys(("gpu_type", "image", "time_limit"))
    config = (await ana.get(f"{W}/churn/metadata")).json()["config"]
    assert config["environment"]["python_version"] == running
    assert config["environment"]["jupyter_version"] != "latest"
    assert config["security"] == {
        "trusted_channels": ["conda-forge", "defaults", "pytorch"],
        "blocked_packages": ["aiohttp", "telnetlib"],
    }


async def test_what_is_given_beside_a_file_wins(ana: httpx.AsyncClient) -> None:
    made = await create(ana, config_file="profile: large\nresources:\n  memory: 2g\n", resources={"memory": "3g"})
    assert made["profile"] == "large"
    assert made["resources"] == {
        "cpu": 4,
        "memory": 3 * GIB,
        "gpu": None,
        "gpu_type": None,
        "disk": None,
        "image": None,
        "time_limit": None,
    }


@pytest.mark.req("S0-125")
@pytest.mark.req("S0-126")
async def test_scale_changes_what_is_named_and_a_profile_replaces_numbers(ana: httpx.AsyncClient) -> None:
    await create(ana, resources={"cpu": 2})
    scaled = (await ana.post(f"{W}/churn/scale", json={"resources": {"memory": "16g"}})).json()
    assert (scaled["resources"]["cpu"], scaled["resources"]["memory"]) == (2, 16 * GIB)
    scaled = (await ana.post(f"{W}/churn/scale", json={"profile": "small"})).json()
    assert (scaled["profile"], scaled["resources"]["cpu"], scaled["own"]["cpu"]) == ("small", 1, None)
    events = (await ana.get(f"{W}/churn/activity")).json()["items"]
    assert [event["action"] for event in events] == ["workspace.scale", "workspace.scale", "workspace.create"]


async def test_scale_of_nothing_says_what_to_say(ana: httpx.AsyncClient) -> None:
    await create(ana)
    assert (await ana.post(f"{W}/churn/scale", json={})).status_code == 422


class TestLargest:
    """With limits of the administrator's."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        resources = settings.resources.model_copy(
            update={"largest": settings.resources.largest.model_copy(update={"memory": 8 * GIB})}
        )
        return settings.model_copy(update={"resources": resources})

    async def test_more_than_the_largest_is_refused_at_scale_and_create(self, ana: httpx.AsyncClient) -> None:
        await create(ana)
        reply = await ana.post(f"{W}/churn/scale", json={"resources": {"memory": "16g"}})
        assert (reply.status_code, reply.json()["code"]) == (429, "limit-exceeded")
        assert "16 GiB of memory; the largest that is allowed is 8 GiB" in reply.json()["detail"]
        assert (await ana.post(W, json={"name": "b", "profile": "large"})).json()["code"] == "limit-exceeded"
        assert (await ana.get(f"{W}/churn/limits")).json()["largest"]["memory"] == 8 * GIB


async def test_the_file_is_put_and_read_back(ana: httpx.AsyncClient) -> None:
    await create(ana)
    put = await ana.put(f"{W}/churn/config", content=b"profile: medium\nresources:\n  cpu: 3\n")
    assert (put.json()["profile"], put.json()["resources"]["cpu"]) == ("medium", 3)
    assert (await ana.get(f"{W}/churn/config")).text == "profile: medium\nresources:\n  cpu: 3\n"
    broken = await ana.put(f"{W}/churn/config", content=b"profile: medium\nresource:\n  cpu: 3\n")
    assert broken.json()["errors"] == [
        {"location": "resource", "line": 2, "column": 1, "message": "is not known. Did you mean resources?"}
    ]


async def test_variables_of_the_file_reach_the_session(ana: httpx.AsyncClient, engine: FakeEngine) -> None:
    await create(ana, environment={"TEAM": "red"})
    await ana.post("/api/v1/jupyter/sessions", json={"workspace": "churn"}, params={"wait": 10})

    async def has_started() -> bool:
        return bool(engine.workloads)

    await eventually(has_started)
    spec = next(iter(engine.workloads.values())).spec
    assert spec.variables["TEAM"] == "red"
    assert spec.variables["XDG_CACHE_HOME"].endswith("/cache")


async def test_members_who_are_not_owners_scale_nothing(ana: httpx.AsyncClient, leo: httpx.AsyncClient) -> None:
    made = await create(ana)
    await ana.put(f"{W}/churn/members", json={"person": "leo", "role": "editor"})
    assert (await leo.post(f"{W}/{made['id']}/scale", json={"profile": "small"})).status_code == 403
    assert (await leo.get(f"{W}/{made['id']}/limits")).status_code == 200

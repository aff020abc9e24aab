"""What the platform offers, and whether all is well."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from server.conftest import People
from studiolo.contract.errors import Unavailable
from studiolo.server.services import Services
from studiolo.server.settings import Settings

API = "/api/v1"


@pytest.fixture
def settings(settings: Settings, unused_tcp_port: int) -> Settings:
    return settings.model_copy(update={"host": "127.0.0.1", "port": unused_tcp_port})


@pytest.fixture
async def admin(people: People, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with await people.client("boss", is_admin=True) as client:
        client.base_url = httpx.URL(settings.address)
        yield client


async def test_profiles_and_engines_are_listed(admin: httpx.AsyncClient) -> None:
    profiles = (await admin.get(f"{API}/profiles")).json()
    assert [profile["name"] for profile in profiles["profiles"]] == ["small", "medium", "large", "x-large"]
    assert (profiles["default"], profiles["only_profiles"]) == (None, False)
    await admin.post(f"{API}/jupyter/workspaces", json={"name": "churn", "profile": "small"})
    await admin.post(f"{API}/jupyter/sessions", json={"workspace": "churn"}, params={"wait": 10})
    engine = (await admin.get(f"{API}/engines")).json()[0]
    assert (engine["name"], engine["images"], engine["capacity"]["cpu_claimed"]) == ("local", False, 1)


async def test_health_counts_and_names_what_to_do_first(admin: httpx.AsyncClient, settings: Settings) -> None:
    await admin.post(f"{API}/jupyter/workspaces", json={"name": "churn"})
    found = (await admin.get(f"{API}/admin/health")).json()
    assert (found["people"], found["workspaces"], found["running_sessions"]) == (1, 1, 0)
    assert not found["ok"]
    assert found["verdict"].startswith(f"Front door: Nothing answers on 127.0.0.1, port {settings.port}.")


async def test_all_is_well_when_the_front_door_answers(admin: httpx.AsyncClient, settings: Settings) -> None:
    settings.runtime_dir.mkdir(mode=0o700, exist_ok=True)
    server = await asyncio.start_server(lambda _, writer: writer.close(), settings.host, settings.port)
    with contextlib.ExitStack() as stack:
        for path in (settings.kernels_socket, settings.files_socket, settings.index_socket):
            host = stack.enter_context(socket.socket(socket.AF_UNIX))
            host.bind(str(path))
            host.listen()
        async with server:
            found = (await admin.get(f"{API}/admin/health")).json()
    assert (found["ok"], found["verdict"]) == (True, "All is well.")


async def test_a_base_environment_that_cannot_be_built_is_named(
    admin: httpx.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def offline(progress: Callable[[str], None]) -> Path:
        raise Unavailable("base-environment-failed", "The index cannot be reached.", hint="Check the network.")

    monkeypatch.setattr(services.environments, "_build_base", offline)
    await services.environments.warm_up()
    parts = {part["name"]: part for part in (await admin.get(f"{API}/admin/health")).json()["parts"]}
    assert not parts["notebook environment"]["ok"]
    assert parts["notebook environment"]["message"] == "The index cannot be reached. Check the network."


async def test_health_is_for_administrators(people: People, settings: Settings) -> None:
    async with await people.client("ana") as ana:
        ana.base_url = httpx.URL(settings.address)
        assert (await ana.get(f"{API}/admin/health")).status_code == 403
        assert (await ana.get(f"{API}/engines")).status_code == 200

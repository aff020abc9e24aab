"""What is the engine's own beside the contract, on a real JupyterHub."""

import asyncio
from collections.abc import Callable

import httpx
import pytest

from engines.jupyterhub.conftest import Settings, ending
from studiolo.contract.errors import InvalidInput, NotFound
from studiolo.engines.base import Front, Phase, WorkloadSpec
from studiolo.engines.jupyterhub.engine import HubEngine
from studiolo.testing.engine_contract import EngineCase, settle

pytestmark = [pytest.mark.engine, pytest.mark.engine_hub, pytest.mark.timeout(400)]
Specs = Callable[..., WorkloadSpec]


def case_of(engine: HubEngine, make_spec: Specs) -> EngineCase:
    async def crash(_: object) -> None:
        raise NotImplementedError

    return EngineCase(engine, make_spec, dict, crash, patience_seconds=90)


async def test_people_whom_the_hub_does_not_know_start_nothing(make_settings: Settings, make_spec: Specs) -> None:
    async with ending(make_settings(create_users=False)) as engine:
        with pytest.raises(NotFound, match="has no user for ana-"):
            await engine.start(make_spec())


async def test_options_that_the_hub_refuses_are_told_and_leave_nothing(
    engine: HubEngine, make_spec: Specs, make_settings: Settings
) -> None:
    spec = make_spec(options={"nonsense": 1})
    with pytest.raises(InvalidInput, match="Invalid user options"):
        await engine.start(spec)
    assert [key.server for key in await engine._api.find_servers(spec.person) or ()] == [""]


async def test_a_start_that_fails_says_what_the_hub_says_also_to_a_platform_that_restarted(
    engine: HubEngine, make_spec: Specs, make_settings: Settings
) -> None:
    spec = make_spec(options={"fail": "No GPUs are left."})
    handle = await engine.start(spec)
    told = await settle(case_of(engine, make_spec), handle, Phase.ENDED)
    assert told.exit is not None
    assert told.exit.reason == "never-ready"
    assert told.exit.message == "The JupyterHub could not start the server: Spawn failed: No GPUs are left."
    async with ending(make_settings()) as restarted:
        again = await restarted.observe(handle)
    assert again.exit is not None
    assert again.exit.message == told.exit.message


async def test_a_server_is_opened_by_a_token_for_itself_alone(
    engine: HubEngine, make_spec: Specs, make_settings: Settings
) -> None:
    spec, case = make_spec(options={"greeting": "hello"}), case_of(engine, make_spec)
    one, two = await asyncio.gather(engine.start(spec), engine.start(make_spec()))
    for handle in (one, two):
        await settle(case, handle, Phase.READY)
    fronts = [await engine.front(handle) for handle in (one, two)]
    async with httpx.AsyncClient(base_url=make_settings().url, timeout=60) as http:

        async def ask(front: Front, path: str) -> int:
            return (await http.get(path, headers=dict(front.headers))).status_code

        assert [await ask(front, f"{front.prefix}api/contents") for front in fronts] == [200, 200]
        # Elsewhere the Hub leads to its sign-in, or says no.
        assert await ask(fronts[0], f"{fronts[1].prefix}api/contents") in (302, 403)
        assert await ask(fronts[0], "/hub/api/users") == 403


async def test_what_is_ended_at_the_hub_is_noticed(engine: HubEngine, make_spec: Specs) -> None:
    case = case_of(engine, make_spec)
    handle = await engine.start(make_spec())
    await settle(case, handle, Phase.READY)
    ended = asyncio.ensure_future(_to_the_end(engine, handle))
    # As its person does on the Hub's own page.
    await engine._api.stop(next(key for key in await engine._api.list_active() if key.server == handle["server"]))
    async with asyncio.timeout(90):
        await ended
    told = await engine.observe(handle)
    assert told.exit is not None
    assert (told.exit.reason, told.exit.code) == ("server-exited", None)
    # A deleted session leaves no name at the Hub.
    await engine.forget(handle["workload_id"])
    assert handle["server"] not in {key.server for key in await engine._api.find_servers(handle["user"]) or ()}


async def _to_the_end(engine: HubEngine, handle: dict[str, object]) -> None:
    async for _ in engine.watch(handle):
        pass

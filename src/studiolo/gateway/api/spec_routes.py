"""Making and removing kernelspecs: ours, beside Jupyter's API, which only lists them."""

import json

from aiohttp import web

from studiolo.contract.errors import InvalidInput
from studiolo.gateway.api import bodies
from studiolo.gateway.api.asking import Ask, created, nothing
from studiolo.gateway.offers.own_specs import RESOURCES, OwnSpec, OwnSpecs
from studiolo.gateway.starting.variables import cpu_wish, memory_wish

_MOST_METADATA = 16 * 1024


async def create_spec(ask: Ask) -> web.Response:
    """`POST studiolo/kernelspecs`: {name, base, display_name, env, metadata, resources: {cpu, memory}}.

    With `?check=1` nothing is made: 200 and what it would be.
    """
    body = await bodies.read_object(ask.request)
    name, base = bodies.text(body, "name"), bodies.text(body, "base")
    if not name or not base:
        raise InvalidInput("request-invalid", "name and base are needed.", hint="base: a kernelspec that there is.")
    metadata = bodies.mapping(body, "metadata")
    if len(json.dumps(metadata)) > _MOST_METADATA:
        raise InvalidInput("request-too-large", f"metadata: more than {_MOST_METADATA:,} characters.")
    resources = _resources(bodies.mapping(body, "resources"))
    spec = OwnSpec(
        name=name,
        base=base,
        display_name=bodies.text(body, "display_name") or name,
        variables=bodies.variables(body.get("env")),
        metadata=metadata,
        resources=resources,
    )
    is_trial = _is_trial(ask)
    model = await _own(ask).create(ask.caller, spec, is_trial=is_trial)
    if is_trial:
        return web.json_response(model)
    return created(model, f"{ask.caller.prefix}api/kernelspecs/{name}")


async def remove_spec(ask: Ask) -> web.Response:
    """`DELETE studiolo/kernelspecs/{name}`; with `?check=1` nothing is removed."""
    _own(ask).remove(ask.caller, ask.names["spec"], is_trial=_is_trial(ask))
    return nothing()


def _is_trial(ask: Ask) -> bool:
    """Tell whether it is only asked what would be answered, by who writes down first what is to happen."""
    return ask.request.query.get("check") == "1"


def _own(ask: Ask) -> OwnSpecs:
    return ask.services.authority


def _resources(given: dict[str, object]) -> dict[str, str]:
    if not set(given) <= set(RESOURCES):
        raise InvalidInput("request-invalid", f"resources: only {', '.join(RESOURCES)} can be said.")
    found = {RESOURCES[name]: str(value)[:40] for name, value in given.items() if value is not None}
    cpu_wish(found)
    memory_wish(found)
    return found

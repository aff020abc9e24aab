"""Kernels for the stage: a stand-in host that has some output, and one workspace for which it does not answer."""

import contextlib
import json
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from server.kernel_host import SPEC, Host, add_kernel, standing_in
from studiolo.server.kernels import queries
from studiolo.server.principal import Principal
from studiolo.server.services import Services
from supervisor.front_door import Seen

# A PNG of one pixel.
_PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def published(number: int, kind: str, content: Mapping[str, Any], parent: str = "m-1") -> dict[str, Any]:
    """An entry of a kernel's journal, as the host answers it."""
    header = {"msg_type": kind}
    message = {"channel": "iopub", "header": header, "parent_header": {"username": "ana"}, "metadata": {}}
    return {"number": number, "at": 0.0, "parent": parent, "cell": None, "message": message | {"content": content}}


ENTRIES = [
    published(1, "execute_input", {"code": "fit = survival.fit(bills)\nfit.plot()", "execution_count": 12}),
    published(2, "stream", {"name": "stdout", "text": "epoch 1 of 40  loss 0.412\n"}),
    published(3, "stream", {"name": "stdout", "text": "epoch 2 of 40  loss 0.388\n"}),
    published(4, "display_data", {"data": {"image/png": _PICTURE, "text/plain": "<Figure size 640x480>"}}),
    published(5, "display_data", {"data": {"text/html": "<script>alert(1)</script><b>bold</b>"}}),
    {"number": 9, "at": 0.0, "gap": {"from": 6, "to": 8, "messages": 3, "bytes": 4096}},
    published(10, "execute_input", {"code": "1 / 0", "execution_count": 13}, "m-2"),
    published(
        11,
        "error",
        {"ename": "ZeroDivisionError", "evalue": "x", "traceback": ["\x1b[31mZeroDivisionError\x1b[0m: x"]},
        "m-2",
    ),
]

# What cells put out, as the host tells it.
CELLS = {
    "b2d4": {
        "state": "running",
        "execution_count": 4,
        "first": 5,
        "last": 9,
        "changed_at": 1.79e9,
        "outputs": [
            {"output_type": "stream", "name": "stdout", "text": "epoch 3 of 40  loss 0.371\n"},
            {"output_type": "display_data", "data": {"image/png": _PICTURE, "text/plain": "<Figure>"}, "metadata": {}},
            {"output_type": "display_data", "data": {"text/html": "<script>alert(1)</script>"}, "metadata": {}},
        ],
    },
    "a1c3": {"state": "done", "execution_count": 3, "first": 1, "last": 4, "changed_at": 1.79e9, "outputs": []},
}


async def add_samples(
    services: Services, stack: contextlib.AsyncExitStack, ana: Principal, mia: Principal, ids: Mapping[str, str]
) -> dict[str, str]:
    """Let a host stand in until the stack closes; returns ids by name."""
    host = await stack.enter_async_context(standing_in(services))
    ordinary = host.answer
    made: dict[str, dict[str, Any]] = {}
    host.app.answer = lambda seen: _of_specs(made, seen) or _answer(host, ordinary(seen), seen, ids["reading"])
    long = "notebooks/" + "a-rather-long-name-" * 3 + "survival-by-plan.ipynb"
    now = services.clock.now()
    kernels = {
        "kernel": {"output": 11, "state": "busy", "connections": 2, "path": long},
        "quiet kernel": {"output": 0},
        "kernel of a session": {"session_id": ids["running"], "scope": f"{ids['running']}.1", "path": "train.ipynb"},
        "left kernel": {"output": 9, "path": "notebooks/left.ipynb"},
        "ended kernel": {
            "state": "ended",
            "output": 11,
            "ended_at": now - timedelta(minutes=9),
            "reason": {
                "code": "out-of-memory",
                "message": "The kernel ran out of memory at 4 GiB of 4 GiB.",
                "at": now.isoformat(),
                "hint": "Take a larger size.",
            },
        },
    }
    found = {
        name: await add_kernel(services, ids["churn"], ana.person_id, **values) for name, values in kernels.items()
    }
    await _add_many(services, host, ids["study"], mia.person_id)
    for name in ("kernel", "quiet kernel", "kernel of a session", "left kernel"):
        seen = {"scope": ids["churn"], "state": "idle"} | kernels[name]
        host.kernels.append({"id": found[name]} | seen | ({"unread_after": 4} if name == "left kernel" else {}))
    return found


async def _add_many(services: Services, host: Host, workspace_id: str, person_id: str) -> None:
    """Add 500 kernels, in one transaction."""
    first = await add_kernel(services, workspace_id, person_id)
    async with services.db.write() as tx:
        found = await queries.find(tx.connection, first)
        assert found is not None
        row = {name: found[name] for name in ("scope", "workspace_id", "person_id", "spec", "display_name", "state")}
        row |= {"created_at": found["created_at"], "started_at": found["started_at"]}
        for number in range(500):
            own = {"id": str(uuid.uuid4()), "path": f"run-{number}.ipynb"}
            await queries.insert_kernel(tx.connection, row | own)
            host.kernels.append({"id": own["id"], "scope": workspace_id, "state": "idle", "path": own["path"]})
    host.kernels.append({"id": first, "scope": workspace_id, "state": "idle"})


def _of_specs(made: dict[str, dict[str, Any]], seen: Seen) -> tuple[int, dict[str, str], bytes] | None:
    """Answer as a host does that keeps the kernelspecs people make, those of all workspaces together."""
    status, found, checks = 200, None, seen.query == "check=1"
    if seen.path.endswith("/studiolo/kernelspecs"):
        body = json.loads(seen.body)
        name, told = body["name"], {"base": body["base"], "resources": body["resources"]}
        if name in made:
            told = {"kind": "conflict", "code": "kernelspec-exists", "detail": f"There is a kernelspec {name} already."}
            status, found = 409, told | {"title": "x", "hint": "Take another name."}
        else:
            changed = {"display_name": body.get("display_name", name), "metadata": {"studiolo": told}}
            found = {"name": name, "spec": SPEC | changed}
            if not checks:
                made[name] = found
    elif "/studiolo/kernelspecs/" in seen.path:
        if not checks:
            made.pop(seen.path.rpartition("/")[2])
        status = 204
    elif seen.path.endswith("/api/kernelspecs") and made:
        found = {"default": "python3", "kernelspecs": {"python3": {"name": "python3", "spec": SPEC}, **made}}
    else:
        return None
    content = b"" if found is None else json.dumps(found).encode()
    return status, {"content-type": "application/json"}, content


def _answer(
    host: Host, ordinary: tuple[int, dict[str, str], bytes], seen: Seen, silent: str
) -> tuple[int, dict[str, str], bytes]:
    if f"/w/{silent}/" in seen.path:
        return 502, {}, b""
    if seen.path.endswith("/cells"):
        found = {"last": 9, "cells": CELLS}
        return 200, {"content-type": "application/json"}, json.dumps(found).encode()
    if seen.path.endswith("/notebook"):
        told = {"kind": "conflict", "code": "notebook-open", "detail": "Somebody has left.ipynb open.", "title": "x"}
        return 409, {"content-type": "application/json"}, json.dumps(told).encode()
    if seen.path.endswith("/journal"):
        found = {"last": 11, "next": 11, "more": False, "entries": ENTRIES}
        return 200, {"content-type": "application/json"}, json.dumps(found).encode()
    return ordinary

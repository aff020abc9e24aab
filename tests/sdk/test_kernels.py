"""Kernels through the client: what is asked of a platform, and what comes of its answers."""

from typing import Any

import pytest

from studiolo.contract.errors import NotFound
from studiolo.sdk import AsyncStudiolo, Studiolo
from studiolo.testing.stand_in import StandIn

KERNEL = {
    "id": "0b9e2c34-7a51-4f0e-9d35-52d0f6b8a001",
    "name": "python3",
    "display_name": "Python 3 (ipykernel)",
    "workspace": {"id": "w-7k2m9q4x0c5t8v1b", "name": "churn", "owner": "ana"},
    "person": {"id": "p-ana", "name": "ana", "display_name": "Ana Ruiz"},
    "state": "idle",
    "output": 4,
    "started_at": "2026-11-21T04:00:00Z",
    "api_url": "https://elsewhere.example/w/w-7k2m9q4x0c5t8v1b/",
}
AT = f"/kernels/{KERNEL['id']}"


def entry(number: int) -> dict[str, Any]:
    return {"number": number, "message": {"msg_type": "stream"}}


def test_only_what_was_given_of_a_start_is_sent(platform: StandIn) -> None:
    platform.answer("POST", "/kernels", KERNEL, status=201)
    with Studiolo(platform.url, "key") as client:
        started = client.kernels.start("churn", name="python3", resources={"cpu": 2}, variables={"MODE": "fast"})
    assert (started.id, started.session_id) == (KERNEL["id"], None)
    assert platform.asked[0].body == {
        "workspace": "churn",
        "name": "python3",
        "resources": {"cpu": 2},
        "variables": {"MODE": "fast"},
    }


@pytest.mark.parametrize("verb", ["stop", "interrupt", "restart"])
def test_each_verb_is_a_post_of_its_name(platform: StandIn, verb: str) -> None:
    platform.answer("POST", f"{AT}/{verb}", KERNEL)
    with Studiolo(platform.url, "key") as client:
        assert getattr(client.kernels, verb)(KERNEL["id"]).name == "python3"


def test_a_list_asks_for_what_was_named(platform: StandIn) -> None:
    platform.answer("GET", "/kernels", {"items": [KERNEL], "next_cursor": None})
    with Studiolo(platform.url, "key") as client:
        assert [k.id for k in client.kernels.list(workspace="churn", states=["busy", "ended"])] == [KERNEL["id"]]
    assert platform.asked[0].query == {"workspace": ["churn"], "state": ["busy", "ended"]}


def test_output_is_followed_by_number_until_the_kernel_has_ended(platform: StandIn) -> None:
    stretches = [
        {"last": 4, "next": 2, "more": True, "entries": [entry(1), entry(2)]},
        {"last": 4, "next": 4, "more": False, "entries": [entry(3), entry(4)]},
        {"last": 4, "next": 4, "more": False, "entries": []},
    ]
    platform.answer("GET", f"{AT}/output", *stretches)
    platform.answer("GET", AT, {**KERNEL, "state": "ended"})
    with Studiolo(platform.url, "key") as client:
        assert [seen["number"] for seen in client.kernels.follow_output(str(KERNEL["id"]))] == [1, 2, 3, 4]
    asked = [asked.query["after"] for asked in platform.asked if asked.path.endswith("/output")]
    assert asked == [["0"], ["2"], ["4"]]


async def test_a_kernel_that_is_not_there_is_named(platform: StandIn) -> None:
    platform.refuse("GET", AT, "not-found", "kernel-not-found", 404)
    async with AsyncStudiolo(platform.url, "key") as client:
        with pytest.raises(NotFound) as caught:
            await client.kernels.get(str(KERNEL["id"]))
    assert caught.value.code == "kernel-not-found"


def test_a_spec_is_made_and_removed(platform: StandIn) -> None:
    spec = {"name": "big", "display_name": "big", "language": "python", "base": "python3"}
    platform.answer("POST", "/workspaces/churn/kernelspecs", spec, status=201)
    platform.answer("DELETE", "/workspaces/churn/kernelspecs/big", None, status=204)
    with Studiolo(platform.url, "key") as client:
        assert client.kernels.create_spec("churn", "big", memory="8g", variables={"A": "1"}).base == "python3"
        client.kernels.remove_spec("churn", "big")
    assert platform.asked[0].body == {"name": "big", "memory": 8 << 30, "variables": {"A": "1"}}


def test_log_and_specs_are_read(platform: StandIn) -> None:
    platform.answer("GET", f"{AT}/log", {"lines": ["one"]})
    spec = {"name": "python3", "display_name": "Python 3", "language": "python", "is_default": True}
    platform.answer("GET", "/workspaces/churn/kernelspecs", [spec])
    with Studiolo(platform.url, "key") as client:
        assert client.kernels.log(str(KERNEL["id"]), lines=5).lines == ["one"]
        assert [found.is_default for found in client.kernels.specs("churn")] == [True]
    assert platform.asked[0].query == {"lines": ["5"]}

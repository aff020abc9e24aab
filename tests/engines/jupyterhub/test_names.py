"""Names at the Hub, and settings that would make people each other."""

import re

import pytest
from pydantic import ValidationError

from studiolo.contract.errors import NotFound
from studiolo.contract.ids import IdKind, new_id
from studiolo.engines.jupyterhub.names import ServerNames, user_of
from studiolo.engines.jupyterhub.settings import HubSettings

# The Hub's own rule (jupyterhub.slugs.is_valid_safe_slug, 6.1).
SLUG = re.compile(r"[a-z](?:-?[a-z0-9])*")


def settings(**values: object) -> HubSettings:
    return HubSettings.model_validate({"url": "http://hub.test:8000", "token_file": "/run/token", **values})


@pytest.mark.parametrize("launch", [1, 42, 9999])
def test_a_servers_name_is_one_that_the_hub_takes_and_tells_what_it_runs(launch: int) -> None:
    names, workload_id = ServerNames("lab"), new_id(IdKind.SESSION)
    name = names.of(workload_id, launch)
    assert SLUG.fullmatch(name)
    assert len(name) <= 30
    assert names.read(name) == (workload_id, launch)


@pytest.mark.parametrize("name", ["", "gpu", "s-1-000000", "s-0123456789abcdef-1", "s-0123456789abcdef-x-000000"])
def test_servers_that_we_did_not_start_are_not_ours(name: str) -> None:
    assert ServerNames("lab").read(name) is None


def test_two_platforms_at_one_hub_know_their_own_servers_only() -> None:
    name = ServerNames("lab").of("s-0123456789abcdef", 1)
    assert ServerNames("other").read(name) is None


def test_people_have_their_own_name_at_the_hub_unless_the_settings_say_another() -> None:
    assert user_of("ana", settings()) == "ana"
    assert user_of("ana", settings(user="{person}@example.org")) == "ana@example.org"
    assert user_of("ana", settings(users={"ana": "aruiz"})) == "aruiz"
    assert user_of("{0.__class__}", settings(user="x-{person}")) == "x-{0.__class__}"


def test_who_is_nobody_at_the_hub_is_refused_by_name() -> None:
    with pytest.raises(NotFound, match="no user for ana") as caught:
        user_of("ana", settings(user="", users={"leo": "leo"}))
    assert caught.value.code == "engine-person-unknown"


@pytest.mark.parametrize(
    ("url", "upstream"),
    [
        ("http://hub.test", "http://hub.test:80"),
        ("https://hub.test/jupyter/", "https://hub.test:443"),
        ("http://10.0.0.5:8000", "http://10.0.0.5:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_the_front_door_dials_the_hubs_proxy(url: str, upstream: str) -> None:
    assert settings(url=url).upstream == upstream


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"url": "hub.test"}, "this is no address"),
        ({"url": "ftp://hub.test"}, "this is no address"),
        ({"url": "http://hub.test/?x"}, "this is no address"),
        ({"url": "http://user:word@hub.test"}, "this is no address"),
        ({"url": "http://hub.test:99999"}, "out of range"),
        ({"user": "shared"}, "all people would be one user"),
        ({"timeout_seconds": 5}, "greater than or equal to 30"),
        ({"isolation": "L9"}, "'L0', 'L1'"),
        ({"tokenfile": "/x"}, "not permitted"),
    ],
)
def test_wrong_settings_are_named(wrong: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(why)):
        settings(**wrong)

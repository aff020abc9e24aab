"""What the form "Open with…" offers and foresees."""

from typing import Any

import pytest

from studiolo.contract.errors import InvalidInput
from studiolo.contract.models import Reason, SessionState
from studiolo.contract.resources import Capacity, Enforcement, EngineInfo, MemoryDeath, Resources
from studiolo.contract.sizes import used_of
from studiolo.server.settings.resources import ResourceSettings
from studiolo.server.web import amounts
from studiolo.server.web.launch_choices import (
    Choice,
    choice_of,
    foresee,
    last_choice,
    list_tiles,
    more_memory,
)
from web.test_templates import NOW, session, workspace

GIB = 1024**3
SETTINGS = ResourceSettings(overcommit=1)


def engine(**capacity: Any) -> EngineInfo:
    room = Capacity(**({"cpu": 8, "memory": 32 * GIB, "gpu": 0} | capacity))
    return EngineInfo(
        name="local", isolation="L0", healthy=True, enforcement=Enforcement(), capacity=room, images=False
    )


def test_the_sentence_tells_size_engine_and_what_is_left() -> None:
    outlook = foresee(Choice(profile="large"), workspace(), SETTINGS, engine(), running=0, most=3)
    assert outlook.sentence == "Starts 4 CPU, 16 GiB on local; leaves you 2 sessions of 3."
    assert outlook.refusal is None


def test_numbers_of_ones_own_win_over_the_profile() -> None:
    choice = Choice(profile="small", memory="3g", name="wide")
    outlook = foresee(choice, workspace(), SETTINGS, engine(), running=1, most=2)
    assert outlook.sentence.startswith("Starts 1 CPU, 3 GiB")
    assert outlook.command == "studiolo start ana/churn --name wide --profile small --memory 3Gi"
    assert "resources={'memory': '3Gi'}" in outlook.python


def test_a_refusal_says_why_and_what_to_do() -> None:
    full = engine(memory_claimed=31 * GIB)
    outlook = foresee(Choice(profile="large"), workspace(), SETTINGS, full, running=0, most=3)
    assert outlook.refusal
    assert "16 GiB" in outlook.refusal
    assert outlook.hint
    assert outlook.sentence == ""


def test_unreadable_numbers_name_their_field() -> None:
    outlook = foresee(Choice(memory="lots"), workspace(), SETTINGS, engine(), running=0, most=3)
    assert outlook.refusal
    assert outlook.refusal.startswith("Memory: 'lots' is no size")
    with pytest.raises(InvalidInput, match="CPU"):
        Choice(cpu="many").read("w-1")


def test_the_last_session_allowed_is_refused_with_its_limit() -> None:
    outlook = foresee(Choice(), workspace(), SETTINGS, engine(), running=3, most=3)
    assert outlook.refusal == "You have 3 sessions running, which is the limit for one person."


def test_tiles_say_what_starts_at_once() -> None:
    tiles = list_tiles(workspace(), SETTINGS, engine(cpu=4, memory=8 * GIB, memory_claimed=5 * GIB))
    notes = {tile.title: tile.note for tile in tiles}
    assert notes == {
        "As the workspace": "starts at once",
        "Small": "starts at once",
        "Medium": "none free now",
        "Large": "more than this machine",
        "X-large": "more than this machine",
    }
    assert next(tile for tile in tiles if tile.title == "X-large").amount == "8 CPU, 32 GiB"


def test_the_form_comes_filled_from_last_time() -> None:
    last = session(SessionState.STOPPED, profile="medium", resources=Resources(cpu=2, memory=6 * GIB))
    assert last_choice(last, SETTINGS) == Choice(profile="medium", memory="6Gi")
    assert last_choice(session(SessionState.STOPPED, profile="gone"), SETTINGS) == Choice()
    assert last_choice(None, SETTINGS) == Choice()


def test_the_address_holds_the_filled_form() -> None:
    choice = Choice(profile="large", memory="20g")
    assert choice.query == "profile=large&memory=20g"
    assert choice_of({"profile": "large", "memory": "20g", "csrf": "x"}) == choice
    assert choice_of({}) is None


def test_twice_the_memory_follows_what_ran_out() -> None:
    reason = Reason(code="out-of-memory", message="", at=NOW, memory_limit=16 * GIB)
    assert more_memory(session(SessionState.FAILED, reason=reason)) == 32 * GIB
    death = MemoryDeath(at=NOW, what="kernel", name=None, peak=GIB, limit=2 * GIB, message="")
    assert more_memory(session(SessionState.RUNNING, last_death=death)) == 4 * GIB
    assert more_memory(session(SessionState.RUNNING)) is None


def test_amounts_read_as_people_say_them() -> None:
    assert used_of(7.4 * GIB, 16 * GIB) == "7.4 of 16 GiB"
    assert used_of(512 * 1024**2, 16 * GIB) == "512 MiB of 16 GiB"
    assert used_of(None, GIB) == "\N{EN DASH}"
    assert amounts.processors_of(3.21, 4) == "3.2 of 4 CPU"
    assert amounts.processors_of(0.04, None) == "0.04 CPU"
    assert [amounts.hours(number) for number in (0, 0.0001, 0.0124, 3.254)] == ["0.00", "0.001", "0.012", "3.25"]
    assert amounts.describe(Resources()) == "no limits"

"""Which GPUs a launch gets, and whose turn it is to be told; decided purely."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.contract.errors import StudioloError
from studiolo.engines.base import GPU
from studiolo.server.gpus.choosing import TURN, Lease, Wait, choose_gpus, decide_turn, gpu_variables

NOW = datetime(2026, 11, 22, 14, 2, tzinfo=UTC)
CARDS = [GPU("GPU-1", "a100"), GPU("GPU-2", "a100"), GPU("GPU-3", "v100")]


def lease(gpu: str, holder: str = "s-leo", person: str = "Leo") -> Lease:
    return Lease(gpu, holder, person, NOW)


def choose(*leases: Lease, count: int = 1, kind: str | None = None, holder: str = "s-ana") -> list[str]:
    return choose_gpus(CARDS, leases, count=count, kind=kind, holder=holder, engine="local")


def test_a_launch_gets_what_nobody_has() -> None:
    assert choose(lease("GPU-1"), count=2) == ["GPU-2", "GPU-3"]
    assert choose(kind="v100") == ["GPU-3"]


def test_a_relaunch_keeps_what_it_has() -> None:
    assert choose(lease("GPU-2", "s-ana", "Ana")) == ["GPU-2"]


def test_who_asks_for_taken_ones_is_told_who_has_them_since_when() -> None:
    with pytest.raises(StudioloError) as caught:
        choose(lease("GPU-1"), lease("GPU-2"), count=2)
    assert caught.value.code == "gpus-taken"
    assert caught.value.message == (
        "You asked for 2 GPUs; 1 of 3 on local is free. Held by Leo (2) since 22 Nov 14:02 UTC."
    )
    assert "studiolo gpus notify --count 2" in str(caught.value.hint)
    assert caught.value.extra["held"] == [{"person": "Leo", "since": NOW.isoformat(), "gpus": 2}]


@pytest.mark.parametrize(
    ("count", "kind", "code"),
    [(4, None, "gpu-not-available"), (2, "v100", "gpu-not-available"), (1, "h100", "gpu-type-unknown")],
)
def test_what_is_never_there_is_refused_as_such(count: int, kind: str | None, code: str) -> None:
    with pytest.raises(StudioloError) as caught:
        choose(count=count, kind=kind)
    assert caught.value.code == code


@given(st.lists(st.integers(0, 3), max_size=6))
def test_no_two_ever_hold_the_same(wishes: list[int]) -> None:
    held: list[Lease] = []
    for number, count in enumerate(wishes):
        if len(held) + count > len(CARDS):
            with pytest.raises(StudioloError):
                choose(*held, count=count, holder=f"s-{number}")
        else:
            held += [lease(gpu, f"s-{number}") for gpu in choose(*held, count=count, holder=f"s-{number}")]
    assert len({one.gpu for one in held}) == len(held)


class TestTurns:
    def turn(self, *waits: Wait, taken: tuple[str, ...] = ()) -> tuple[list[str], list[str]]:
        turn = decide_turn(CARDS, taken, waits, NOW)
        return [wait.person_id for wait in turn.told], [wait.person_id for wait in turn.over]

    def test_those_are_told_in_turn_for_whom_there_is_enough(self) -> None:
        ana, leo, mia = Wait("ana", 2, None, None), Wait("leo", 2, None, None), Wait("mia", 1, None, None)
        assert self.turn(ana, leo, mia) == (["ana", "mia"], [])

    def test_a_type_is_waited_for_by_itself(self) -> None:
        ana, leo = Wait("ana", 1, "v100", None), Wait("leo", 1, "a100", None)
        assert self.turn(ana, leo, taken=("GPU-3",)) == (["leo"], [])

    def test_who_was_told_has_a_head_start(self) -> None:
        ana, leo = Wait("ana", 3, None, NOW - TURN / 2), Wait("leo", 1, None, None)
        assert self.turn(ana, leo) == ([], [])
        late = Wait("ana", 3, None, NOW - TURN - timedelta(seconds=1))
        assert self.turn(late, leo) == (["leo"], ["ana"])

    def test_nobody_is_told_of_none(self) -> None:
        assert self.turn(Wait("ana", 1, None, None), taken=("GPU-1", "GPU-2", "GPU-3")) == ([], [])


def test_a_launch_without_gpus_sees_none_where_they_are_leased() -> None:
    assert gpu_variables(CARDS, []) == {"CUDA_VISIBLE_DEVICES": ""}
    assert gpu_variables(CARDS, ["GPU-1", "GPU-3"]) == {"CUDA_VISIBLE_DEVICES": "GPU-1,GPU-3"}
    assert gpu_variables([], []) == {}

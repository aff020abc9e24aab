"""What engines answer, as it comes in."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from studiolo.engines.base import Exit, Phase, WorkloadSpec
from studiolo.server.engines.calls import MOST_WORDS, observe
from studiolo.testing.fake_engine import FakeEngine

LONG = "The node was low on memory. " * 2500


async def test_words_as_long_as_a_log_are_clipped_and_show_it() -> None:
    engine = FakeEngine()
    handle = await engine.start(WorkloadSpec("s-1", 1, Path("/w"), Path("/e"), "/s/x/", secret="secret"))
    engine.say(handle, message=LONG)
    said = (await observe(engine, handle)).message
    workload = engine.workloads["s-1", 1]
    workload.phase, workload.exit = Phase.ENDED, Exit("evicted", LONG, datetime.now(UTC), memory_limit=3)
    ended = (await observe(engine, handle)).exit
    assert said is not None
    assert ended is not None
    for words in (said, ended.message):
        assert (len(words) <= MOST_WORDS, words[:20], words[-1]) == (True, LONG[:20], "…")
    assert replace(ended, message=LONG) == workload.exit


async def test_words_that_fit_stay_as_they_are() -> None:
    engine = FakeEngine()
    handle = await engine.start(WorkloadSpec("s-1", 1, Path("/w"), Path("/e"), "/s/x/", secret="secret"))
    engine.say(handle, message=LONG[:MOST_WORDS])
    assert (await observe(engine, handle)).message == LONG[:MOST_WORDS]

import re
from datetime import UTC, datetime, timedelta

import pytest

from studiolo.contract.devices import device
from studiolo.contract.models import AuditEvent, PersonRef
from studiolo.server.web.presentation import ago, count, seconds
from studiolo.server.web.render import local
from studiolo.server.web.sentences import _SENTENCES, sentence

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(seconds=3), "just now"),
        (timedelta(seconds=59), "59 s ago"),
        (timedelta(minutes=41), "41 min ago"),
        (timedelta(hours=47), "47 h ago"),
        (timedelta(days=5), "5 days ago"),
        (timedelta(days=-90), "19 Feb 2027"),
        (timedelta(hours=-11), "in 11 h"),
        (timedelta(seconds=-3), "just now"),
        (timedelta(seconds=-40), "in 40 s"),
        (timedelta(minutes=-14, seconds=-58), "in 15 min"),
        (timedelta(minutes=-90, seconds=2), "in 90 min"),
        (timedelta(hours=-12, seconds=9), "in 12 h"),
        (timedelta(days=-7, seconds=1), "in 7 days"),
    ],
)
def test_times_read_as_people_say_them(span: timedelta, words: str) -> None:
    assert ago(NOW - span, NOW) == words


def test_numbers_carry_their_unit() -> None:
    assert (seconds(0.21), seconds(41.4), seconds(185)) == ("0.2 s", "41 s", "3 min 5 s")
    assert (count(1, "session"), count(3, "person", "people")) == ("1 session", "3 people")


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605 Version/18 Safari/605",
            "Safari on Mac",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537 Chrome/140 Safari/537 Edg/140",
            "Edge on Windows",
        ),
        ("curl/8.1 something", "curl/8.1"),
        ("", "Unknown"),
    ],
)
def test_devices_have_names(agent: str, name: str) -> None:
    assert device(agent) == name


@pytest.mark.parametrize(
    "address", ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:x", "", "/a\\b", "/a\nb"]
)
def test_nobody_is_sent_to_another_site(address: str) -> None:
    assert local(address) == "/"


def test_own_addresses_are_kept() -> None:
    assert local("/go/s-1?next=lab%2Ftree") == "/go/s-1?next=lab%2Ftree"


def event(action: str, target: str, *, via: str = "login", actor: str | None = "ana", **detail: object) -> AuditEvent:
    who = PersonRef(id=f"p-{actor}", name=actor, display_name=actor.title()) if actor else None
    return AuditEvent(
        id="a-1",
        sequence=1,
        at=NOW,
        actor=who,
        via=via,
        action=action,
        target=target,
        workspace_id=None,
        detail=detail,
    )


@pytest.mark.parametrize(
    ("happened", "words"),
    [
        (event("policy.revise", "churn", number=3), "Ana set revision 3 of the package policy of churn"),
        (event("member.set", "churn", person="leo", role="editor"), "Ana made leo editor of churn"),
        (event("member.remove", "churn", person="ana"), "Ana left churn"),
        (event("workspace.update", "churn", changes={"name": "churn-2"}), "Ana renamed churn to churn-2"),
        (event("workspace.update", "churn", changes={"description": "x"}), "Ana described churn anew"),
        (event("person.create", "leo", via="operator", actor=None), "The operator added leo"),
        (
            event("session.ended", "lab-1", via="platform", actor=None, reason="out-of-memory"),
            "lab-1 ended: it ran out of memory",
        ),
        (
            event("session.out-of-memory", "lab-1", via="platform", actor=None, what="kernel"),
            "A kernel of lab-1 ran out of memory",
        ),
        (event("key.create", "k-1"), "Ana made the key “?”"),
        (event("quota.raise", "churn"), "Ana: quota.raise churn"),
    ],
)
def test_events_read_as_sentences(happened: AuditEvent, words: str) -> None:
    assert sentence(happened, "p-leo") == words


def test_the_reader_is_called_you() -> None:
    assert sentence(event("session.stop", "lab-1"), "p-ana") == "You stopped lab-1"


def test_a_sentence_reads_well_of_somebody_and_of_oneself() -> None:
    wrong = re.compile(r"\{who\} (?:no longer )?(?:was|is|has|does|\w+(?<!s)s) ")
    assert not [words for words in _SENTENCES.values() if wrong.match(words)]

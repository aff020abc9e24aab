"""What a kernel published and nobody had heard when it ended."""

import json
from pathlib import Path

from studiolo.gateway.bridge.output import LIFE, left_folder, recover_left
from studiolo.gateway.journals.journal import Journal
from studiolo.gateway.journals.records import Entry, Gap
from studiolo.gateway.messages.wire import Signer, build
from studiolo.runtime.spool import Backlog


def publish(backlog: Backlog, text: str) -> None:
    parts = build("stream", {"name": "stdout", "text": text}, session="kernel")
    backlog.add([b"stream", *Signer(b"secret").pack(parts)])


def texts(journal: Journal) -> list[str | int | None]:
    read = journal.read(0, most_bytes=1 << 20)
    return [json.loads(e.parts[3])["text"] if isinstance(e, Entry) else e.messages for e in read]


def test_what_an_ended_kernel_left_is_journalled_once(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal")
    backlog = Backlog(left_folder(journal))
    for text in "abc":
        publish(backlog, text)
    backlog.leave()
    journal.append("iopub", build("stream", {"text": "a"}, session="kernel"), parent="", kernel_number=1)
    recover_left(journal)
    recover_left(journal)
    assert texts(journal) == ["a", "b", "c"]
    assert not left_folder(journal).exists()
    journal.close()


def test_what_is_missing_before_it_is_a_gap_of_known_size(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal")
    backlog = Backlog(left_folder(journal))
    for text in "abc":
        publish(backlog, text)
    backlog.acknowledge(2)
    backlog.leave()
    journal.append("iopub", build("stream", {"text": "z"}, session="kernel"), parent="", kernel_number=3 * LIFE)
    recover_left(journal)
    assert texts(journal) == ["z", 2, "c"]
    assert isinstance(journal.read(1, most_bytes=1)[0], Gap)
    assert journal.kernel_number == 3 * LIFE + 3
    journal.close()

"""A pytest plugin: which tests carry each requirement, and did they pass? Started by `make requirements`."""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

IDS = Path(__file__).parent.parent / "docs" / "reference" / "requirements-ids.txt"
_PROPERTY = "requirement"
_RANK = {"passed": 0, "skipped": 1, "failed": 2}
_HEAD = """# Requirements

Every user-facing item of the source documents, and the tests that exercise it from outside. Made by `make
requirements`. **E**: an exact interface, **B**: a behaviour, **C**: context. An item without a passing test is open.

"""


@dataclass(frozen=True)
class Requirement:
    """One item; `outcomes` maps test ids to passed, skipped or failed."""

    id: str
    kind: str
    text: str
    outcomes: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """open (no test), passed (one at least, none failed), skipped (no test ran) or failed."""
        found = set(self.outcomes.values())
        return "open" if not found else next(s for s in ("failed", "passed", "skipped") if s in found)


def read_requirements() -> dict[str, Requirement]:
    """Return all items by id, in order."""
    rows = (line.split("\t") for line in IDS.read_text().splitlines() if not line.startswith("#"))
    return {row[0]: Requirement(*row) for row in rows}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--requirements", metavar="FILE", help="write which requirement each test closes")


def pytest_configure(config: pytest.Config) -> None:
    if path := config.getoption("--requirements"):
        config.pluginmanager.register(Collector(Path(path)), "requirements-collector")


class Collector:
    """Notes the outcome of each marked test."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = read_requirements()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        unknown = {f"{id_} (at {item.nodeid})" for item in items for id_ in _ids(item) if id_ not in self._known}
        if unknown:
            raise pytest.UsageError(f"no such requirement: {', '.join(sorted(unknown))}")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        # A test may run in a worker: what a report carries reaches the process that writes the page.
        report.user_properties += [(_PROPERTY, id_) for id_ in _ids(item)]
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for id_ in {str(value) for name, value in report.user_properties if name == _PROPERTY}:
            outcomes = self._known[id_].outcomes
            before = outcomes.get(report.nodeid, "passed")
            outcomes[report.nodeid] = max(before, report.outcome, key=lambda outcome: _RANK[outcome])

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        for line in listing(self._known):
            terminalreporter.write_line(line)
        self._path.write_text(page(self._known))
        terminalreporter.write_line(summary(self._known))


def listing(known: Mapping[str, Requirement]) -> Iterator[str]:
    """Yield a line per item and one per test that carries it."""
    for item in known.values():
        yield f"{item.id:8} {item.kind} {item.state:8} {item.text}"
        for test, outcome in sorted(item.outcomes.items()):
            yield f"{'':11}{outcome:8} {test}"


def page(known: Mapping[str, Requirement]) -> str:
    """Return the reference page."""
    rows = ["| Item | | State | Text | Tests |", "|---|---|---|---|---|"]
    for item in known.values():
        tests = "<br>".join(f"`{test}`" for test in sorted(item.outcomes))
        rows.append(f"| {item.id} | {item.kind} | {item.state} | {item.text.replace('|', '&#124;')} | {tests} |")
    return _HEAD + summary(known) + "\n\n" + "\n".join(rows) + "\n"


def summary(known: Mapping[str, Requirement]) -> str:
    """Return how many items are in which state."""
    states = [item.state for item in known.values()]
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("passed", "failed", "skipped", "open"))
    return f"{len(states)} items: {counts}."


def _ids(item: pytest.Item) -> list[str]:
    return [str(id_) for mark in item.iter_markers("req") for id_ in mark.args]

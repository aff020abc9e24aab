"""What pages say of kernels: who may do what, output by request; and what a person does there."""

from typing import Any

import pytest

from studiolo.contract.kernels import KernelInfo, KernelSpecInfo
from studiolo.contract.models import Workspace
from studiolo.server.principal import Principal
from studiolo.server.web.kernel_words import kernel_look, may, runs_of, snippets, spec_size
from web.conftest import Visitors
from web.sample_kernels import ENTRIES, published
from web.stage import Samples

PERSON = {"id": "p-1", "name": "ana", "display_name": "Ana"}
KERNEL = {
    "id": "0b9e2c34-7a51-4f0e-9d35-52d0f6b8a001",
    "name": "python3",
    "display_name": "Python 3",
    "workspace": {"id": "w-1", "name": "churn", "owner": "ana"},
    "person": PERSON,
    "state": "idle",
    "started_at": "2026-11-21T04:00:00Z",
    "api_url": "http://localhost/w/w-1/",
}
EVERYTHING = {"run", "stop", "log", "output"}


def kernel(**values: Any) -> KernelInfo:
    return KernelInfo.model_validate(KERNEL | values)


def workspace(role: str | None) -> Workspace:
    return Workspace.model_construct(role=role)


def principal(person: str, *, is_admin: bool = False) -> Principal:
    return Principal(person, "x", "X", is_admin, via="login", login_id="l-0")


@pytest.mark.parametrize(
    ("role", "person", "is_admin", "session", "allowed"),
    [
        ("owner", "p-2", False, None, EVERYTHING),
        ("editor", "p-2", False, None, EVERYTHING),
        ("viewer", "p-2", False, None, {"output"}),
        (None, "p-2", True, None, {"stop"}),
        ("editor", "p-1", False, "s-1", EVERYTHING),
        ("editor", "p-2", False, "s-1", set()),
        ("owner", "p-2", False, "s-1", {"stop", "log"}),
        ("viewer", "p-1", False, "s-1", set()),
        (None, "p-2", True, "s-1", {"stop"}),
    ],
)
def test_a_page_offers_what_the_service_allows(
    role: str | None, person: str, is_admin: bool, session: str | None, allowed: set[str]
) -> None:
    who = principal(person, is_admin=is_admin)
    assert may(kernel(session_id=session, shared=session is None), workspace(role), who) == allowed


def test_output_stands_below_the_code_that_made_it() -> None:
    first, gap, second = runs_of(ENTRIES)
    assert (first.count, first.person, first.code) == (12, "ana", "fit = survival.fit(bills)\nfit.plot()")
    assert [part.kind for part in first.shown] == ["text", "picture", "note"]
    assert first.shown[0].text == "epoch 1 of 40  loss 0.412\nepoch 2 of 40  loss 0.388\n"
    assert gap.shown[0].text == "3 messages of output are not kept any more."
    assert (second.shown[0].kind, second.shown[0].text) == ("error", "ZeroDivisionError: x")


def test_cleared_output_is_not_shown() -> None:
    text = {"name": "stdout", "text": "old"}
    entries = [published(1, "stream", text), published(2, "clear_output", {}), published(3, "stream", {"text": "new"})]
    assert [part.text for part in runs_of(entries)[0].shown] == ["new"]


def test_what_belongs_to_no_request_stands_together_where_it_came() -> None:
    words = ("one\n", "two\n")
    early = [published(n, "stream", {"name": "stderr", "text": text}, "") for n, text in enumerate(words)]
    late = published(9, "stream", {"name": "stderr", "text": "The kernel died."}, "")
    ran = published(5, "stream", {"name": "stdout", "text": "ran"})
    shown = [[part.text for part in run.shown] for run in runs_of([*early, ran, late])]
    assert shown == [["one\ntwo\n"], ["ran"], ["The kernel died."]]


@pytest.mark.parametrize("entry", [{}, {"message": None}, {"message": {"header": None, "content": None}}])
def test_an_entry_without_a_message_shows_nothing(entry: dict[str, Any]) -> None:
    assert runs_of([entry]) == []


def test_what_widgets_make_a_kernel_say_is_no_output_of_a_cell() -> None:
    message = {"header": {"msg_type": "stream"}, "content": {"name": "stderr", "text": "No such comm: 1"}}
    entry = {"number": 1, "parent": "c", "message": message | {"parent_header": {"msg_type": "comm_close"}}}
    assert runs_of([entry]) == []
    said_by_a_cell = {
        "number": 2,
        "parent": "e",
        "message": message | {"parent_header": {"msg_type": "execute_request"}},
    }
    assert [part.text for part in runs_of([entry, said_by_a_cell])[0].shown] == ["No such comm: 1"]


@pytest.mark.parametrize("state", ["starting", "restarting", "idle", "busy", "dead", "ended", "unknown"])
def test_each_state_has_a_look(state: str) -> None:
    assert kernel_look(kernel(state=state)).word


@pytest.mark.parametrize(
    ("told", "size"),
    [
        ({"cpu": "2", "memory": "8g"}, "2 CPU, 8 GiB"),
        ({"memory": 512 * 2**20}, "512 MiB"),
        ({}, "as the workspace"),
        ({"cpu": "many"}, "as the workspace"),
        ("much", "as the workspace"),
    ],
)
def test_a_kernelspec_tells_its_size(told: Any, size: str) -> None:
    metadata = {"studiolo": {"resources": told}}
    assert spec_size(KernelSpecInfo(name="a", display_name="A", language="python", metadata=metadata)) == size


def test_each_way_to_connect_names_the_kernel() -> None:
    shown = snippets(kernel())
    assert shown.keys() == {"shell", "python", "javascript", "curl"}
    assert all(str(KERNEL["id"]) in text for text in shown.values())


@pytest.mark.browser
def test_nothing_of_what_a_kernel_put_out_acts_on_our_page(visitors: Visitors, samples: Samples) -> None:
    page = visitors.get("ana").open(f"/kernels/{samples.ids['kernel']}")
    assert "alert(1)" not in page.content()
    assert "Open the notebook to see this as it is meant." in page.inner_text("#output")
    page.close()


@pytest.mark.browser
def test_a_kernel_is_stopped_from_its_page(visitors: Visitors, samples: Samples) -> None:
    visitor = visitors.get("ana")
    page = visitor.open(f"/kernels/{samples.ids['quiet kernel']}")
    page.get_by_role("button", name="Interrupt").click()
    assert "Interrupted." in page.inner_text("main")
    page.get_by_role("button", name="Stop").click()
    assert "Stopped." in page.inner_text("main")
    page.close()


@pytest.mark.browser
def test_a_kernelspec_is_made_and_removed_on_the_page_of_kernels(visitors: Visitors, samples: Samples) -> None:
    visitor = visitors.get("ana")
    page = visitor.open(f"/w/{samples.ids['churn']}/kernels")
    page.get_by_text("Add one with a size").click()
    page.get_by_label("Name", exact=True).fill("big")
    page.get_by_label("What people read").fill("Python, 8 GiB")
    page.get_by_label("CPU").fill("2")
    page.get_by_label("Memory").fill("8g")
    page.get_by_label("Variables").fill("MODE=fast\nLEVEL=3")
    page.get_by_role("button", name="Add", exact=True).click()
    assert "Whoever starts a kernel here can choose it." in page.inner_text("main")
    row = page.get_by_role("row").filter(has_text="Python, 8 GiB")
    assert "2 CPU, 8 GiB" in row.inner_text()
    assert page.locator("#name option", has_text="Python, 8 GiB").count() == 1
    row.get_by_role("button", name="Remove").click()
    assert "Kernels that run go on." in page.inner_text("main")
    assert page.get_by_role("row").filter(has_text="Python, 8 GiB").count() == 0
    assert visitor.complaints == []
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("field", "given", "fault"),
    [
        ("Memory", "plenty", "'plenty' is no size"),
        ("CPU", "-1", "greater than or equal to 0.01"),
        ("Variables", "MODE=fast\nLEVEL", "Line 2 is no NAME=VALUE."),
    ],
)
def test_what_is_wrong_with_a_kernelspec_stands_at_its_field(
    visitors: Visitors, samples: Samples, field: str, given: str, fault: str
) -> None:
    page = visitors.get("ana").open(f"/w/{samples.ids['churn']}/kernels")
    page.get_by_text("Add one with a size").click()
    page.get_by_label("Name", exact=True).fill("big")
    page.get_by_label(field).fill(given)
    page.get_by_role("button", name="Add", exact=True).click()
    wrong = page.get_by_label(field)
    assert (wrong.get_attribute("aria-invalid"), wrong.input_value()) == ("true", given)
    assert fault in page.locator(f"#{wrong.get_attribute('aria-describedby')}").inner_text()
    assert page.get_by_label("Name", exact=True).input_value() == "big"
    assert page.locator(".fault").count() == 1
    page.close()


@pytest.mark.browser
def test_a_name_that_another_kernelspec_has_is_told_at_the_name(visitors: Visitors, samples: Samples) -> None:
    visitor = visitors.get("ana")
    page = visitor.open(f"/w/{samples.ids['churn']}/kernels")
    for _ in range(2):
        page.get_by_text("Add one with a size").click()
        page.get_by_label("Name", exact=True).fill("twice")
        page.get_by_role("button", name="Add", exact=True).click()
    assert "There is a kernelspec twice already. Take another name." in page.inner_text("#spec-name-fault")
    page.get_by_role("button", name="Remove twice").click()
    assert page.get_by_role("button", name="Remove twice").count() == 0
    page.close()


@pytest.mark.browser
def test_a_key_for_kernels_is_made_and_shown_once(visitors: Visitors, samples: Samples) -> None:
    page = visitors.get("ana").open("/account")
    page.get_by_text("New key for kernels").click()
    page.fill("#gateway-name", "thebe")
    page.fill("#gateway-workspace", "churn")
    page.get_by_role("button", name="Make key for kernels").click()
    assert page.inner_text("#new-key").startswith("stg_")
    assert "use kernels of one workspace" in page.inner_text("#keys")
    page.close()

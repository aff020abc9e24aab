"""Commands on kernels against a platform that has one of everything."""

import pytest

from cli import samples
from cli.samples import Run, page, published
from studiolo.cli.kernel_text import safe, text_of, text_of_entry
from studiolo.testing.stand_in import StandIn

ID = str(samples.KERNEL["id"])


def test_the_beginning_of_an_id_is_enough(cli: Run, platform: StandIn) -> None:
    ran = cli("kernels", "stop", ID[:8])
    assert (ran.code, ran.out) == (0, f"Stopped {ID}.\n")


def test_an_ambiguous_beginning_names_the_candidates(cli: Run, platform: StandIn) -> None:
    platform.answer("GET", "/kernels", page(samples.KERNEL, {**samples.KERNEL, "id": ID[:-1] + "2"}))
    ran = cli("kernels", "stop", ID[:8])
    assert ran.code == 6
    assert ID in ran.err


def test_a_console_on_a_kernel_that_has_ended_says_how_it_ended(cli: Run, platform: StandIn) -> None:
    reason = {"code": "killed", "message": "It was killed.", "at": samples.MOMENT}
    platform.answer("GET", f"/kernels/{ID}", {**samples.KERNEL, "state": "ended", "reason": reason})
    ran = cli("kernels", "attach", ID)
    assert ran.code == 6
    assert "It was killed." in ran.err
    assert f"kernels output {ID}" in ran.err


def test_an_unknown_kernel_says_where_to_look(cli: Run, platform: StandIn) -> None:
    ran = cli("kernels", "interrupt", "ffff")
    assert ran.code == 5
    assert "kernels list --all" in ran.err


def test_the_table_says_state_clients_and_output(cli: Run, platform: StandIn) -> None:
    ran = cli("kernels", "list")
    assert ran.out.splitlines()[0].split() == [
        "ID",
        "KERNEL",
        "WORKSPACE",
        "NOTEBOOK",
        "ENGINE",
        "STATE",
        "CLIENTS",
        "OUT",
        "ACTIVE",
    ]
    assert ran.out.splitlines()[1].split()[:7] == [
        "0b9e2c34",
        "python3",
        "churn",
        "train.ipynb",
        "local",
        "●",
        "idle",
    ]


def test_a_start_sends_resources_and_variables(cli: Run, platform: StandIn) -> None:
    ran = cli(
        "kernels", "start", "churn", "-k", "bash", "--memory=4g", "-e", "A=1", "-e", "B=x=y", "--engine=gpus", "-q"
    )
    assert ran.out == f"{ID}\n"
    sent = platform.last("POST").body
    assert sent == {
        "workspace": "churn",
        "name": "bash",
        "engine": "gpus",
        "resources": {"memory": 4 << 30},
        "variables": {"A": "1", "B": "x=y"},
    }


def test_a_variable_without_a_value_is_refused(cli: Run, platform: StandIn) -> None:
    ran = cli("kernels", "start", "churn", "--env", "A")
    assert (ran.code, "NAME=VALUE" in ran.err) == (2, True)


def test_output_is_text_in_order_with_gaps_marked(cli: Run, platform: StandIn) -> None:
    entries = [
        published(1, "stream", {"name": "stdout", "text": "epoch 1\n"}),
        {"number": 5, "at": samples.MOMENT, "gap": {"from": 2, "to": 4, "messages": 3, "bytes": 12}},
        published(6, "execute_result", {"execution_count": 3, "data": {"text/plain": "42"}}),
    ]
    platform.answer("GET", f"/kernels/{ID}/output", {"last": 6, "next": 6, "more": False, "entries": entries})
    ran = cli("kernels", "output", ID)
    assert ran.out == "epoch 1\n[3 messages of output could not be kept and is missing here.]\nOut[3]: 42\n"


def test_output_follows_until_the_kernel_has_ended(cli: Run, platform: StandIn) -> None:
    one = published(1, "stream", {"name": "stdout", "text": "a\n"})
    first = {"last": 1, "next": 1, "more": False, "entries": [one]}
    platform.answer("GET", f"/kernels/{ID}/output", first, {**first, "entries": []})
    platform.answer("GET", f"/kernels/{ID}", samples.KERNEL, {**samples.KERNEL, "state": "ended"})
    assert cli("kernels", "output", ID, "--follow").out == "a\n"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]52;c;cm0=\x07", "�]52;c;cm0=�"),
        ("a\tb\r\n", "a\tb\r\n"),
        ("x\u202ey", "x�y"),
        ("\x9b2J", "�2J"),
    ],
)
def test_what_commands_a_terminal_is_made_visible(given: str, shown: str) -> None:
    assert safe(given, colour=False) == shown


def test_colours_stay_where_they_are_wanted() -> None:
    assert safe("\x1b[31mred\x1b[0m\x1b[2J", colour=True) == "\x1b[31mred\x1b[0m�[2J"


def test_an_image_is_named_with_its_size() -> None:
    shown = text_of("display_data", {"data": {"image/png": "A" * 4096}})
    assert shown.startswith("[image/png, 3 KiB")


def test_an_error_is_its_trace() -> None:
    assert text_of("error", {"ename": "E", "evalue": "v", "traceback": ["one", "two"]}) == "one\ntwo\n"
    assert text_of("error", {"ename": "E", "evalue": "v"}) == "E: v\n"


@pytest.mark.parametrize("entry", [{}, {"message": None}, {"message": {"content": None}}, {"message": {"header": {}}}])
def test_an_entry_that_shows_nothing_shows_nothing(entry: dict[str, object]) -> None:
    assert text_of_entry(entry) == ""


def test_a_gateway_key_is_asked_for_by_kind_and_workspace(cli: Run, platform: StandIn) -> None:
    ran = cli("keys", "create", "--name", "thebe", "--gateway", "--workspace", "churn", "--quiet")
    assert ran.out == "stu_secret\n"
    sent = platform.last("POST").body
    assert sent == {"name": "thebe", "expires_in_days": 90, "kind": "gateway", "workspace": "churn"}


def test_only_a_gateway_key_takes_a_workspace(cli: Run, platform: StandIn) -> None:
    ran = cli("keys", "create", "--name", "x", "--workspace", "churn")
    assert (ran.code, "--gateway" in ran.err) == (2, True)

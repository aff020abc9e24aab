"""Package policies on the command line and by the SDK, against a control plane over a socket."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.control_plane import ControlPlane, control_plane
from cli.samples import Run
from studiolo.contract.errors import Conflict, InvalidInput
from studiolo.sdk import Studiolo
from studiolo.sdk.credentials import store


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with control_plane(tmp_path_factory.mktemp("p")) as running:
        yield running


@pytest.fixture
def server(shared: ControlPlane, home: Path) -> ControlPlane:
    """A control plane that the saved credentials name, as after `studiolo up`."""
    store(shared.url, shared.key, shared.person)
    return shared


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "workspace-security.yaml"
    found.write_text("package_management:\n  blocked_packages: [cowsay, socket]\n")
    return found


@pytest.mark.req("S0-72")
def test_a_policy_is_set_shown_and_compared(cli: Run, server: ControlPlane, file: Path) -> None:
    assert cli("create", "set").code == 0
    done = cli("policy", "set", str(file), "set", "--note", "no cows")
    assert done.out == "Set revision 1 of set's policy; policy 1 holds from now on.\n"
    assert "socket is a module of the standard library" in done.err
    shown = cli("policy", "show", "set")
    assert "cowsay" in shown.out
    assert "workspace policy 1, by" in cli("policy", "show", "set", "--json").out
    assert cli("policy", "show", "set", "--source").out == file.read_text()
    assert "+  blocked_packages: [cowsay, socket]" in cli("policy", "history", "set", "--diff").out
    assert cli("info", "set", "--json").data["policy"]["number"] == 1


def test_an_exception_is_shown_with_its_last_day_and_a_limit_once(cli: Run, server: ControlPlane, file: Path) -> None:
    assert cli("create", "excepting").code == 0
    exception = "{spec: cowsay==6.1, until: 2199-12-31, reason: looked at}"
    file.write_text(file.read_text() + f"  exceptions:\n    - {exception}\n")
    assert cli("policy", "set", str(file), "excepting").code == 0
    shown = cli("policy", "show", "excepting")
    assert "looked at, until 31 December 2199" in shown.out
    assert shown.err.count("socket is a module of the standard library") == 1


def test_a_check_ends_by_its_verdict_and_names_the_rule(cli: Run, server: ControlPlane, file: Path) -> None:
    assert cli("create", "checked").code == 0
    assert cli("policy", "set", str(file), "checked").code == 0
    refused = cli("policy", "check", "checked", "cowsay")
    assert refused.code == 4
    assert "blocked_packages: cowsay" in refused.out
    assert cli("policy", "check", "checked", "numpy==2.0.0").code == 0
    assert cli("policy", "check", "checked", "../x").code == 2


def test_a_bad_line_is_named_and_nothing_is_set(cli: Run, server: ControlPlane, file: Path) -> None:
    assert cli("create", "broken").code == 0
    file.write_text("package_management:\n  mode: closed\n")
    ran = cli("policy", "set", str(file), "broken")
    assert ran.code == 2
    assert "line 2, column 9: package_management.mode" in ran.err
    assert cli("policy", "history", "broken").err.startswith("Nobody has set a policy here")


def test_a_policy_is_tried_before_it_is_set(cli: Run, server: ControlPlane, file: Path) -> None:
    assert cli("create", "tried").code == 0
    assert cli("policy", "what-if", str(file), "tried").code == 0
    assert cli("policy", "history", "tried", "--json").data == []
    assert cli("policy", "what-if", str(file), "--platform").code == 0


def test_one_says_whose_policy_is_meant(cli: Run, server: ControlPlane) -> None:
    assert cli("policy", "show").code == 2
    assert cli("policy", "show", "churn", "--platform").code == 2
    assert "conda-forge" in cli("policy", "show", "--platform").out


def test_the_sdk_sets_and_tells_of_changes_between(server: ControlPlane, file: Path) -> None:
    with Studiolo(server.url, key=server.key) as client:
        client.workspaces.create("program")
        made = client.policies.set(file.read_text(), "program", after=0)
        assert made.revision is not None
        assert made.revision.number == 1
        with pytest.raises(Conflict):
            client.policies.set(file.read_text(), "program", after=0)
        with pytest.raises(InvalidInput) as caught:
            client.policies.set("package_management:\n  pins: [numpy]\n", "program")
        assert caught.value.extra["errors"][0]["line"] == 2
        assert client.policies.check("cowsay", "program").code == "blocked"
        assert [one.number for one in client.policies.history("program")] == [1]

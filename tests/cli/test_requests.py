"""Requests for packages and notifications from the command line, against the real control plane."""

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pytest

from cli.control_plane import ControlPlane, control_plane
from cli.samples import Run
from studiolo.sdk import Studiolo
from studiolo.sdk.credentials import store

POLICY = "package_management:\n  approval_required:\n    - tensorflow\n    - pytorch\n    - custom-package\n"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with control_plane(tmp_path_factory.mktemp("p")) as running:
        yield running


@pytest.fixture
def server(shared: ControlPlane, home: Path, cli: Run) -> ControlPlane:
    store(shared.url, shared.key, shared.person)
    if cli("info", "workspace-name").code != 0:
        assert cli("create", "workspace-name").code == 0
        policy = home / "workspace-security.yaml"
        policy.write_text(POLICY)
        assert cli("policy", "set", str(policy), "workspace-name").code == 0
    return shared


@pytest.mark.req("S0-67", "S0-68", "S0-69", "S0-73")
def test_a_package_is_asked_for_reviewed_and_approved(cli: Run, server: ControlPlane) -> None:
    asked = cli("request", "workspace-name", "custom-package", "--for", "the survival model", program="ml jupyter")
    assert asked.code == 0, asked.err
    request_id = asked.out.split()[-1]
    assert asked.out == f"Asked for custom-package in workspace-name: {request_id}\n"
    assert "custom-package needs an approval." in asked.err
    waiting = cli("review", "--pending", program="ml jupyter")
    assert request_id in waiting.out
    assert "ml jupyter review REQUEST" in waiting.err
    shown = cli("review", request_id)
    assert "the survival model" in shown.out
    assert "approval_required: custom-package" in shown.out
    assert "write 2026-12-24" in cli("approve", request_id, "--until", "tomorrow").err
    approved = cli("approve", request_id, "--until", "2090-01-01", "--version", "<3", program="ml jupyter")
    assert approved.out == "Allowed custom-package<3 in workspace-name. It installs by itself.\n"
    assert cli("review", "--pending").out == ""
    # The whole of its last day.
    ends = datetime.fromisoformat(cli("review", request_id, "--json").data["until"]).astimezone()
    assert (ends.date(), ends.hour) == (date(2090, 1, 1), 23)
    assert "approved" in cli("requests", "mine").out
    again = cli("approve", request_id, "--json")
    assert (again.code, again.data["code"]) == (6, "request-decided")
    assert "custom-package<3 in workspace-name" in cli("notifications").out


@pytest.mark.req("S0-70")
def test_a_package_is_denied_with_a_reason(cli: Run, server: ControlPlane) -> None:
    (asked,) = cli("request", "workspace-name", "torch", "--json").data
    # pytorch is what the policy says; torch is the same.
    assert asked["judged"]["rule"] == "approval_required: pytorch"
    assert cli("deny", asked["id"]).code == 2
    denied = cli("deny", asked["id"], "--reason=Security concern", program="ml jupyter")
    assert denied.out == "Denied torch in workspace-name: Security concern\n"
    assert "denied: Security concern" in cli("requests").out
    told = cli("notifications", "--json", "--read").data
    assert any(one["text"].endswith("denied torch in workspace-name: Security concern") for one in told)
    assert cli("notifications").out == ""
    assert "Security concern" in cli("notifications", "--all").out


def test_what_is_allowed_need_not_be_asked_for(cli: Run, server: ControlPlane) -> None:
    refused = cli("request", "workspace-name", "polars")
    assert refused.code == 6
    assert refused.err.startswith("error: polars is allowed in workspace-name already.")
    assert "studiolo install workspace-name 'polars'" in refused.err


def test_what_is_blocked_needs_an_exception(cli: Run, server: ControlPlane) -> None:
    asked = cli("request", "workspace-name", "requests")
    assert "only an exception does" in asked.err
    request_id = asked.out.split()[-1]
    refused = cli("approve", request_id, "--json")
    assert (refused.code, refused.data["code"]) == (6, "approval-not-enough")
    assert cli("approve", request_id, "--exception", "--reason", "The example needs it").code == 0


def test_a_wish_is_taken_back(cli: Run, server: ControlPlane) -> None:
    (asked,) = cli("request", "workspace-name", "tensorflow", "--json").data
    assert cli("requests", "withdraw", asked["id"]).code == 0
    assert cli("requests", "--json", "--workspace", "workspace-name").data[0]["state"] == "withdrawn"
    assert cli("requests", "withdraw", asked["id"]).code == 6
    assert cli("requests", "install", asked["id"]).code == 6
    assert cli("requests", "theirs").code == 2


def test_the_same_from_python(server: ControlPlane) -> None:
    with Studiolo(server.url, server.key) as client:
        asked = client.requests.create("workspace-name", "tensorflow==2.20", purpose="images")
        assert client.requests.get(asked.id).people[0].purpose == "images"
        assert [one.id for one in client.requests.list(state="pending", mine=True)] == [asked.id]
        denied = client.requests.deny(asked.id, "Not now")
        assert (denied.state, denied.reason) == ("denied", "Not now")
        told = next(iter(client.notifications.list(unread=True)))
        client.notifications.read([told.id])
        assert told.id not in [one.id for one in client.notifications.list(unread=True)]

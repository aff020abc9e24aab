"""Engines by command line and client, against the real control plane with two of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.control_plane import ControlPlane, control_plane
from cli.samples import Run
from studiolo.contract.errors import InvalidInput
from studiolo.sdk import Studiolo
from studiolo.sdk.credentials import store
from studiolo.testing.fake_engine import FakeEngine


@pytest.fixture(scope="module")
def pods() -> FakeEngine:
    engine = FakeEngine("pods", isolation="L2")
    engine.runs_images = True
    return engine


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, pods: FakeEngine) -> Iterator[ControlPlane]:
    with control_plane(tmp_path_factory.mktemp("p"), pods) as running:
        yield running


@pytest.fixture
def server(shared: ControlPlane, pods: FakeEngine, home: Path) -> ControlPlane:
    pods.behaviour.has_places = True
    store(shared.url, shared.key, shared.person)
    return shared


def test_engines_are_listed_with_what_they_keep_apart(cli: Run, server: ControlPlane) -> None:
    listed = cli("engines")
    assert "local (default)" in listed.out
    assert "L2: Containers, jobs or pods" in listed.out + listed.err
    assert [one["name"] for one in cli("engines", "--json").data] == ["local", "pods"]


def test_a_workspace_moves_by_one_word(cli: Run, server: ControlPlane, pods: FakeEngine) -> None:
    assert cli("create", "churn").code == 0
    assert cli("start", "churn", "--json").data["engine"] == "local"
    scaled = cli("scale", "churn", "--engine", "pods", "--time-limit", "8h", "--restart", program="ml jupyter")
    assert scaled.code == 0, scaled.err
    assert cli("limits", "churn", "--json").data["engine"] == "pods"
    session = cli("start", "churn", "--json").data
    assert (session["engine"], session["resources"]["time_limit"]) == ("pods", 28_800)
    shown = cli("status", session["id"])
    assert "pods (isolation L2)" in shown.out
    assert pods.workloads[session["id"], 1].spec.limits.seconds == 28_800


def test_a_wait_for_a_place_is_told(cli: Run, server: ControlPlane, pods: FakeEngine) -> None:
    pods.behaviour.has_places = False
    cli("create", "waiting", "--engine", "pods", "--min-isolation", "L1")
    session = cli("start", "waiting", "--no-wait", "--json").data
    with Studiolo() as client:
        for seen in client.sessions.progress(session["id"]):
            if seen.progress is not None:
                assert (seen.progress.message, seen.progress.waiting) == ("In the queue of the fake engine.", True)
                break
    assert "In the queue of the fake engine." in cli("status", session["id"]).out
    assert "◐ waiting" in cli("sessions").out
    assert cli("stop", session["id"]).code == 0


def test_what_an_engine_cannot_is_refused_with_those_that_can(server: ControlPlane) -> None:
    with Studiolo() as client:
        client.workspaces.create("study")
        for asked, code in (
            ({"engine": "slurm"}, "engine-unknown"),
            ({"resources": {"image": "quay.io/x:1"}}, "image-not-supported"),
        ):
            with pytest.raises(InvalidInput) as refused:
                client.sessions.launch("study", **asked)
            assert refused.value.code == code
            assert "pods" in refused.value.extra["candidates"]
        with pytest.raises(InvalidInput) as refused:
            client.workspaces.scale("study", min_isolation="L2")
        assert (refused.value.code, refused.value.extra["candidates"]) == ("isolation-too-low", ["pods"])
        moved = client.workspaces.scale("study", engine="pods", min_isolation="L2")
        assert (moved.engine, moved.min_isolation) == ("pods", "L2")

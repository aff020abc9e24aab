"""Kernels that cannot start: the caller is told why, others notice nothing."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.standing import Gateway, running_gateway, send


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    roots = tmp_path_factory.mktemp("roots")
    _spec(roots / "broken", ["/bin/sh", "-c", "echo the reason is told >&2; exit 3"])
    _spec(roots / "vanished", ["/nowhere/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"])
    _spec(roots / "good", _bash())
    with running_gateway("--kernel-roots", str(roots)) as running:
        yield running


@pytest.mark.parametrize(("name", "words"), [("broken", "the reason is told"), ("vanished", "/nowhere/bin/python")])
def test_a_kernel_that_does_not_start_is_told_with_the_end_of_its_log(gateway: Gateway, name: str, words: str) -> None:
    reply = gateway.http.post("/api/kernels", json={"name": name})
    assert (reply.status_code, reply.json()["code"]) == (500, "kernel-not-started")
    assert words in reply.json()["message"]
    assert "Traceback" not in reply.text
    assert gateway.http.get("/api/kernels").json() == []


def test_a_notebook_whose_kernel_does_not_start_gets_no_session(gateway: Gateway) -> None:
    body = {"path": "n.ipynb", "type": "notebook", "kernel": {"name": "broken"}}
    assert gateway.http.post("/api/sessions", json=body).status_code == 500
    assert gateway.http.get("/api/sessions").json() == []


@pytest.mark.req("S4-62")
def test_a_kernel_of_another_language_runs_beside_them(gateway: Gateway) -> None:
    kernel = gateway.start(name="good")
    assert send(gateway, kernel, "echo $((6 * 7))") == "42\n"
    gateway.http.delete(f"/api/kernels/{kernel}")


def _bash() -> list[str]:
    return [sys.executable, "-m", "bash_kernel", "-f", "{connection_file}"]


def _spec(folder: Path, argv: list[str]) -> None:
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": folder.name, "language": "x"}))


def test_a_folder_that_cannot_be_written_is_said_so_and_mended_without_hands(gateway: Gateway) -> None:
    kernels = gateway.folder / "data" / "kernels"
    kernels.rename(kernels.with_name("away"))
    refused = gateway.http.post("/api/kernels", json={"name": "good"})
    assert (refused.status_code, refused.json()["code"]) == (503, "data-directory-unusable")
    kernels.with_name("away").rename(kernels)
    kernel = gateway.start(name="good")
    gateway.http.delete(f"/api/kernels/{kernel}")

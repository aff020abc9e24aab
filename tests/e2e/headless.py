"""What must hold for headless kernels on any engine that carries them: they run there, and outlive the platform."""

from typing import Any

from e2e.conftest import Platform
from e2e.kernels import channels, execute, send
from e2e.outliving import COUNT, COUNTING
from studiolo.testing.waiting import wait_for

_WHERE = "import os, sys; print(os.getcwd(), sys.prefix, os.environ.get('MODE'))"


def outlive_the_platform(platform: Platform, workspace: str, engine: str) -> None:
    """Kill the control plane and the kernel host here in mid-cell; a plain client reads all output once, in order."""
    client, place = platform.client(), f"/w/{workspace}"
    # As stock clients ask, which know nothing of engines.
    made = client.post(f"{place}/api/kernels", json={"name": "python3", "env": {"MODE": "fast"}}, timeout=120)
    assert made.status_code == 201, made.text
    kernel = made.json()["id"]
    assert made.json()["metadata"]["studiolo"]["engine"] == engine
    other = platform.json("kernels", "start", workspace, "--engine", engine)["id"]
    # They share their place, and it is no session.
    assert platform.json("sessions") == []
    listed = {one["id"]: one for one in platform.json("kernels", "list")}
    assert {listed[one]["engine"] for one in (kernel, other)} == {engine}
    with channels(client, "", kernel, place=place) as socket:
        assert execute(socket, _WHERE).split()[-1] == "fast"
        send(socket, COUNTING)
        wait_for(lambda: '"text": "3\\n"' in str(socket.recv(60)), "it counts")
    for part in ("studiolo.server.main", "studiolo.gateway.host"):
        platform.kill(platform.part(part))
    platform.wait_up()
    wait_for(lambda: _printed(platform, kernel).endswith(f"{COUNT - 1}\n"), "the cell is done", 120)
    printed = _printed(platform, kernel)
    first, _, rest = printed.partition("\n")
    assert first.endswith("fast"), printed
    assert rest == "".join(f"{n}\n" for n in range(COUNT)), printed
    with channels(client, "", kernel, place=place) as socket:
        assert execute(socket, "print(n)") == f"{COUNT - 1}\n"
    for prefix in (place, ""):
        assert {kernel, other} <= {one["id"] for one in client.get(f"{prefix}/api/kernels").json()}
    platform.run("kernels", "stop", other)
    assert client.delete(f"{place}/api/kernels/{kernel}").status_code == 204
    wait_for(lambda: platform.json("kernels", "list") == [], "both have ended", 60)


def _printed(platform: Platform, kernel: str) -> str:
    entries: list[dict[str, Any]] = []
    after = 0
    while (found := platform.json("kernels", "output", kernel, "--after", str(after)))["entries"]:
        entries, after = entries + found["entries"], found["next"]
    assert [entry["number"] for entry in entries] == list(range(1, len(entries) + 1))
    messages = [entry["message"] for entry in entries]
    return "".join(one["content"]["text"] for one in messages if one["header"]["msg_type"] == "stream")

"""Jupyter's own REST API, as stock clients call it."""

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest

from gateway.standing import KEY, SECONDS, Gateway, is_alive, running_gateway, send
from studiolo.testing.waiting import wait_for


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with running_gateway("--allow-origin", "https://app.example") as running:
        yield running


@pytest.fixture(scope="module")
def kernel(gateway: Gateway) -> str:
    return gateway.start(name="python")


@pytest.mark.req("S1-X01")
def test_version_status_and_identity_are_told(gateway: Gateway) -> None:
    assert gateway.http.get("/api").json()["version"].startswith("2.")
    assert set(gateway.http.get("/api/status").json()) == {"started", "last_activity", "kernels", "connections"}
    me = gateway.http.get("/api/me", params={"permissions": '{"kernels": ["read", "fly"]}'}).json()
    assert me["identity"]["username"] == "gateway"
    assert me["permissions"] == {"kernels": ["read"], "updatable_fields": []}


@pytest.mark.req("S1-X01")
def test_the_api_describes_itself(gateway: Gateway) -> None:
    described = gateway.http.get("/api/swagger.json").json()
    assert described == gateway.http.get("/api/swagger.yaml").json()
    paths = described["paths"]
    assert {"get", "post"} == set(paths["/api/sessions"])
    assert "post" in paths["/api/kernels/{kernel}/restart"]
    assert paths["/api/swagger.json"]["get"]["summary"] == "Description"


@pytest.mark.req("S1-X03", "S1-X04")
def test_a_kernel_is_shown_as_jupyter_server_shows_it(gateway: Gateway, kernel: str) -> None:
    shown = gateway.http.get(f"/api/kernels/{kernel}").json()
    assert set(shown) == {"id", "name", "last_activity", "execution_state", "connections"}
    assert shown["name"] == "python3"
    assert shown["last_activity"].endswith("Z")
    assert "." in shown["last_activity"]
    assert kernel in [one["id"] for one in gateway.http.get("/api/kernels/").json()]


@pytest.mark.parametrize(
    "given",
    [
        b"{",
        b"[]",
        b'"x"',
        b'{"name": 1}',
        b'{"env": {"A=B": "x"}}',
        b'{"env": {"A\\u0000": "x"}}',
        b'{"env": {"A\\ud800": "x"}}',
        b'{"env": {"A": 1}}',
        b'{"path": "../x"}',
        b'{"path": "half-\\ud800.ipynb"}',
        b'{"env": {"A": "half-\\ud800"}}',
        b'{"kernel_id": "../../x"}',
        b'{"name": NaN}',
        b"[" * 100_000,
    ],
)
def test_a_body_that_makes_no_sense_is_refused_with_words(gateway: Gateway, given: bytes) -> None:
    reply = gateway.http.post("/api/kernels", content=given)
    assert reply.status_code == 400
    assert set(reply.json()) >= {"message", "reason", "code", "hint"}
    assert reply.json()["reason"] == reply.reason_phrase
    assert reply.json()["traceback"] == ""


def test_a_body_that_is_not_packed_as_it_says_is_refused(gateway: Gateway) -> None:
    reply = gateway.http.post("/api/kernels", content=b"plain", headers={"Content-Encoding": "gzip"})
    assert (reply.status_code, reply.json()["code"]) == (400, "request-invalid")


def test_a_body_of_more_than_a_mebibyte_is_refused(gateway: Gateway) -> None:
    assert gateway.http.post("/api/kernels", content=b" " * (1 << 20) + b"{}").status_code == 413


def test_any_case_finds_a_kernelspec_as_in_jupyter_server(gateway: Gateway) -> None:
    assert gateway.http.get("/api/kernelspecs/Python3").json()["name"] == "python3"
    assert gateway.http.get("/kernelspecs/PYTHON3/logo-64x64.png").headers["content-type"] == "image/png"


def test_nothing_of_a_reply_may_run_in_a_browser(gateway: Gateway) -> None:
    policy = gateway.http.get("/api/kernels").headers["content-security-policy"]
    assert policy == "frame-ancestors 'self'; report-uri /api/security/csp-report; default-src 'none'"
    report = {"csp-report": {"violated-directive": "default-src"}}
    assert gateway.http.post("/api/security/csp-report", json=report).status_code == 204


def test_an_unknown_kernelspec_is_answered_by_those_there_are(gateway: Gateway) -> None:
    reply = gateway.http.post("/api/kernels", json={"name": "cobol"})
    assert (reply.status_code, reply.json()["code"]) == (404, "kernelspec-not-found")
    assert "python3" in reply.json()["message"]
    assert "python3" in gateway.http.get("/api/kernelspecs/cobol").json()["message"]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("name", ["5d2f0c5e-8a3e-4c1b-9f52-0d4b7a6c1e90", "x", "0" * 64])
def test_a_kernel_that_is_not_there_is_not_found(gateway: Gateway, method: str, name: str) -> None:
    reply = gateway.http.request(method, f"/api/kernels/{name}")
    assert (reply.status_code, reply.json()["code"]) == (404, "kernel-not-found")


def test_unknown_addresses_and_methods_are_told_apart(gateway: Gateway) -> None:
    assert gateway.http.get("/api/terminals").status_code == 404
    assert gateway.http.get("/_host/kernels").status_code == 404
    assert gateway.http.put("/api/kernels").status_code == 405


@pytest.mark.parametrize(
    "address",
    [
        "/api/kernels/%2f",
        "/api/kernels%2F",
        "/api%2fkernels",
        "/api/kernels//",
        "//api/kernels",
        "/api//kernels",
        "/./api/kernels",
        "/api/./kernels",
        "/api/kernels/.",
        "/api/kernels/x/..",
        "/api/kernels/%2e",
        "/api/sessions/%2f",
        "/api/sessions//",
        "/studiolo/kernelspecs/%2f",
        "/api/kernels/{}%2frestart",
        "/api/kernels/{}//interrupt",
        "/api/kernels/%2f{}/interrupt",
    ],
)
def test_an_odd_address_is_none_and_does_nothing(gateway: Gateway, kernel: str, address: str) -> None:
    before = gateway.http.get("/api/kernels").json()
    body = {"name": "python3", "path": "odd.ipynb", "type": "notebook", "kernel": {}}
    status, code = _post_as_it_stands(gateway, address.format(kernel), body)
    assert (status, code) == (404, "route-not-found")
    assert {one["id"] for one in gateway.http.get("/api/kernels").json()} == {one["id"] for one in before}


@pytest.mark.req("S1-X06")
@pytest.mark.parametrize(
    "address", ["/api/kernels/{}/interrupt", "/api/kernels/{}/interrupt/", "/kernels/{}/interrupt"]
)
def test_interrupt_answers_at_both_spellings(gateway: Gateway, kernel: str, address: str) -> None:
    assert gateway.http.post(address.format(kernel)).status_code == 204


@pytest.mark.req("S1-X06")
def test_a_restarted_kernel_keeps_its_id(gateway: Gateway) -> None:
    kernel = gateway.start()
    for address in ("/api/kernels/{}/restart", "/kernels/{}/restart"):
        reply = gateway.http.post(address.format(kernel), json={})
        assert (reply.status_code, reply.json()["id"]) == (200, kernel)
    assert gateway.http.delete(f"/api/kernels/{kernel}").status_code == 204


def test_a_kernel_that_was_ended_is_gone_and_ending_it_again_is_no_error(gateway: Gateway) -> None:
    kernel = gateway.start()
    assert [gateway.http.delete(f"/api/kernels/{kernel}").status_code for _ in range(2)] == [204, 204]
    assert gateway.http.get(f"/api/kernels/{kernel}").status_code == 404
    assert gateway.http.get(f"/api/kernels/{kernel}/journal").status_code == 200


def test_a_client_may_name_the_kernels_id_once(gateway: Gateway) -> None:
    wanted = str(uuid.uuid4())
    assert gateway.start(kernel_id=wanted) == wanted
    again = gateway.http.post("/api/kernels", json={"kernel_id": wanted})
    assert (again.status_code, again.json()["code"]) == (409, "kernel-exists")
    gateway.http.delete(f"/api/kernels/{wanted}")


def test_a_kernel_that_is_deleted_while_it_starts_is_ended(gateway: Gateway) -> None:
    wanted = str(uuid.uuid4())
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(gateway.http.post, "/api/kernels", json={"kernel_id": wanted})
        wait_for(lambda: gateway.http.delete(f"/api/kernels/{wanted}").status_code == 204)
        assert starting.result().status_code in (201, 404)
    assert gateway.http.get(f"/api/kernels/{wanted}").status_code == 404
    shim = json.loads((gateway.folder / "data" / "kernels" / wanted / "shim.json").read_text())
    wait_for(lambda: not is_alive(shim["kernel_pid"]))


def test_a_kernel_starts_where_its_client_is_if_that_is_within_the_root(gateway: Gateway, tmp_path: Path) -> None:
    inside = gateway.root / "sub"
    inside.mkdir()
    for given, expected in ((inside, inside), (tmp_path, gateway.root), (gateway.root / "none", gateway.root)):
        kernel = gateway.start(env={"KERNEL_WORKING_DIR": str(given)})
        assert send(gateway, kernel, "import os; print(os.getcwd())") == f"{expected.resolve()}\n"
        if given == inside:
            send(gateway, kernel, "os._exit(1)")
            wait_for(
                lambda kernel=kernel: gateway.http.get(f"/api/kernels/{kernel}").json()["execution_state"] == "dead"
            )
            assert gateway.http.post(f"/api/kernels/{kernel}/restart").status_code == 200
            assert send(gateway, kernel, "import os; print(os.getcwd())") == f"{inside.resolve()}\n"
        gateway.http.delete(f"/api/kernels/{kernel}")


@pytest.mark.parametrize("path", ["n" * 300, "ring/n.ipynb"])
def test_a_path_that_no_file_can_have_starts_at_the_root(gateway: Gateway, path: str) -> None:
    ring = gateway.root / "ring"
    if not ring.is_symlink():
        ring.symlink_to(ring)
    kernel = gateway.start(path=path)
    assert send(gateway, kernel, "import os; print(os.getcwd())") == f"{gateway.root.resolve()}\n"
    gateway.http.delete(f"/api/kernels/{kernel}")


@pytest.mark.req("S1-X07")
def test_a_document_session_lives_from_post_to_delete(gateway: Gateway) -> None:
    body = {"path": "a/n.ipynb", "name": "n.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
    made = gateway.http.post("/api/sessions", json=body)
    session = made.json()
    assert made.status_code == 201
    assert made.headers["Location"] == f"/api/sessions/{session['id']}"
    assert session["notebook"] == {"path": "a/n.ipynb", "name": "n.ipynb"}
    assert gateway.http.post("/api/sessions", json=body).json()["id"] == session["id"]
    moved = gateway.http.patch(f"/api/sessions/{session['id']}", json={"path": "b.ipynb", "name": "b.ipynb"}).json()
    assert (moved["path"], moved["kernel"]["id"]) == ("b.ipynb", session["kernel"]["id"])
    changed = gateway.http.patch(f"/api/sessions/{session['id']}", json={"kernel": {"name": "python3"}}).json()
    assert changed["kernel"]["id"] != session["kernel"]["id"]
    assert gateway.http.get(f"/api/kernels/{session['kernel']['id']}").status_code == 404
    assert gateway.http.delete(f"/api/sessions/{session['id']}").status_code == 204
    assert gateway.http.get(f"/api/sessions/{session['id']}").status_code == 404
    assert gateway.http.get(f"/api/kernels/{changed['kernel']['id']}").status_code == 404


def test_a_document_session_joins_the_kernel_that_the_client_names(gateway: Gateway, kernel: str) -> None:
    body = {"path": "c1", "name": "", "type": "console", "kernel": {"id": kernel}}
    first = gateway.http.post("/api/sessions", json=body).json()
    fresh = str(uuid.uuid4())
    second = gateway.http.post("/api/sessions", json={**body, "path": "c2", "kernel": {"id": fresh}}).json()
    assert (first["kernel"]["id"], second["kernel"]["id"]) == (kernel, fresh)
    assert "notebook" not in first
    gateway.http.delete(f"/api/sessions/{second['id']}")


def test_two_posts_of_one_path_at_once_give_one_session(gateway: Gateway) -> None:
    body = {"path": "same.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: gateway.http.post("/api/sessions", json=body).json(), range(4)))
    assert len({one["id"] for one in made}) == len({one["kernel"]["id"] for one in made}) == 1
    gateway.http.delete(f"/api/sessions/{made[0]['id']}")


def test_a_document_session_without_path_is_refused_in_jupyters_words(gateway: Gateway) -> None:
    reply = gateway.http.post("/api/sessions", json={"type": "notebook"})
    assert reply.json()["message"] == "Missing field in JSON data: path"


@pytest.mark.req("S1-27", "S1-29")
def test_keys_are_taken_in_each_way_that_stock_clients_send_them(gateway: Gateway) -> None:
    for headers, params in (
        ({"Authorization": f"Bearer {KEY}"}, {}),
        ({"Authorization": f"token {KEY}"}, {}),
        ({}, {"token": KEY}),
    ):
        assert httpx.get(f"{gateway.url}/api/kernels", headers=headers, params=params).status_code == 200


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "not-signed-in"),
        ({"Authorization": "token wrong"}, "key-invalid"),
        ({"Authorization": b"token \xff\xfe"}, "key-invalid"),
    ],
)
def test_without_a_key_nothing_is_answered(gateway: Gateway, headers: dict[str, str | bytes], code: str) -> None:
    for address in ("/api", "/api/kernels", "/api/kernels/x/channels"):
        reply = httpx.get(gateway.url + address, headers=headers)
        assert (reply.status_code, reply.json()["code"]) == (401, code)


@pytest.mark.req("S1-X08", "S1-23")
def test_pages_of_allowed_origins_alone_may_read_replies(gateway: Gateway) -> None:
    ours, theirs = {"Origin": "https://app.example"}, {"Origin": "https://evil.example"}
    asked = httpx.options(f"{gateway.url}/api/kernels", headers={**ours, "Access-Control-Request-Method": "POST"})
    assert asked.status_code == 200
    assert asked.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "authorization" in asked.headers["Access-Control-Allow-Headers"]
    assert (
        gateway.http.get("/api/kernels", headers=ours).headers["Access-Control-Allow-Origin"] == "https://app.example"
    )
    assert "Access-Control-Allow-Origin" not in gateway.http.get("/api/kernels", headers=theirs).headers
    assert "Access-Control-Allow-Credentials" not in asked.headers


@pytest.mark.req("S1-X10", "S1-03")
def test_variables_reach_the_kernel_and_its_user_is_the_logins(gateway: Gateway) -> None:
    env = {"KERNEL_FLAVOUR": "mint", "KERNEL_USERNAME": "root", "KERNEL_GATEWAY": "none", "SECRET_PATH": "x"}
    kernel = gateway.start(env=env)
    told = _environ(gateway, kernel)
    assert told["KERNEL_GATEWAY"] == "1"
    assert (told["KERNEL_FLAVOUR"], told["KERNEL_USERNAME"]) == ("mint", "gateway")
    assert "SECRET_PATH" not in told
    assert "STUDIOLO_GATEWAY_KEY" not in told
    gateway.http.delete(f"/api/kernels/{kernel}")


def test_names_that_only_shells_have_reach_the_kernel_as_of_kernel_gateway(gateway: Gateway) -> None:
    # What is not allowed is left out without a word, whatever its name.
    kernel = gateway.start(env={"KERNEL_A-B.C": "1", "KERNEL_É": "2", "BASH_FUNC_which%%": "() { :; }"})
    told = _environ(gateway, kernel)
    assert (told["KERNEL_A-B.C"], told["KERNEL_É"], "BASH_FUNC_which%%" in told) == ("1", "2", False)
    gateway.http.delete(f"/api/kernels/{kernel}")


@pytest.mark.parametrize("name", ["A=B", "", "=", "KERNEL_A=B", "A" * 256])
def test_a_name_that_no_variable_can_have_is_named_and_nothing_starts(gateway: Gateway, name: str) -> None:
    before = len(gateway.http.get("/api/kernels").json())
    reply = gateway.http.post("/api/kernels", json={"env": {"KERNEL_FLAVOUR": "mint", name: "x"}})
    assert (reply.status_code, reply.json()["code"]) == (400, "request-invalid")
    assert f"env: {name[:64]!r} is no name" in reply.json()["message"]
    assert len(gateway.http.get("/api/kernels").json()) == before


@pytest.mark.parametrize(
    ("env", "code"),
    [
        ({"KERNEL_CPUS": "many"}, "request-invalid"),
        ({"KERNEL_MEMORY": "-1"}, "request-invalid"),
        ({"KERNEL_MEMORY": "15M"}, "request-invalid"),
        ({"KERNEL_IMAGE": "x"}, "image-not-supported"),
        ({"KERNEL_GPUS": "1"}, "gpu-not-available"),
    ],
)
def test_resources_that_cannot_be_had_are_refused(gateway: Gateway, env: dict[str, str], code: str) -> None:
    reply = gateway.http.post("/api/kernels", json={"env": env})
    assert (400 <= reply.status_code < 500, reply.json()["code"]) == (True, code)


@pytest.mark.req("S1-X02")
def test_kernelspecs_have_jupyters_shape_and_say_which_environment(gateway: Gateway) -> None:
    listed = gateway.http.get("/api/kernelspecs").json()
    spec = listed["kernelspecs"][listed["default"]]
    assert set(spec) == {"name", "spec", "resources"}
    assert spec["spec"]["metadata"]["studiolo"]["environment"]["hash"].startswith("sha256:")
    logo = gateway.http.get(spec["resources"]["logo-64x64"])
    assert (logo.status_code, logo.headers["Content-Type"]) == (200, "image/png")
    assert gateway.http.get("/kernelspecs/python3/kernel.json").status_code == 404


@pytest.mark.req("S1-04", "S1-08")
def test_a_kernelspec_is_made_used_and_removed(gateway: Gateway) -> None:
    body = {
        "name": "big",
        "base": "python3",
        "display_name": "Big",
        "env": {"SIZE": "big"},
        "resources": {"memory": "512M"},
        "metadata": {"team": "x"},
    }
    assert gateway.http.post("/studiolo/kernelspecs?check=1", json=body).json()["name"] == "big"
    assert "big" not in gateway.http.get("/api/kernelspecs").json()["kernelspecs"]
    made = gateway.http.post("/studiolo/kernelspecs", json=body)
    assert made.status_code == 201, made.text
    spec = gateway.http.get("/api/kernelspecs").json()["kernelspecs"]["big"]["spec"]
    assert (spec["display_name"], spec["metadata"]["team"]) == ("Big", "x")
    assert spec["metadata"]["studiolo"]["resources"] == {"memory": "512M"}
    for again in ("", "?check=1"):
        assert gateway.http.post(f"/studiolo/kernelspecs{again}", json=body).json()["code"] == "kernelspec-exists"
    assert gateway.http.delete("/studiolo/kernelspecs/big?check=1").status_code == 204
    kernel = gateway.start(name="big")
    assert gateway.http.get(f"/api/kernels/{kernel}").json()["name"] == "big"
    assert _environ(gateway, kernel)["SIZE"] == "big"
    gateway.http.delete(f"/api/kernels/{kernel}")
    assert gateway.http.delete("/studiolo/kernelspecs/big").status_code == 204
    assert gateway.http.delete("/studiolo/kernelspecs/python3").status_code == 404


def test_ten_thousand_requests_leave_descriptors_where_they_were(gateway: Gateway) -> None:
    folder = Path(f"/proc/{gateway.process.pid}/fd")
    gateway.http.get("/api/kernels")
    before = len(list(folder.iterdir()))
    connection = HTTPConnection(gateway.url.removeprefix("http://"), timeout=SECONDS)
    with closing(connection):
        for _ in range(10_000):
            connection.request("GET", "/api/kernels", headers={"Authorization": f"token {KEY}"})
            reply = connection.getresponse()
            assert (reply.status, reply.read()[:1]) == (200, b"[")
    assert len(list(folder.iterdir())) <= before + 5


def _post_as_it_stands(gateway: Gateway, address: str, body: object) -> tuple[int, str]:
    """Post to an address that other clients would tidy first; return status and code."""
    with closing(HTTPConnection(gateway.url.removeprefix("http://"), timeout=SECONDS)) as connection:
        connection.request("POST", address, json.dumps(body), headers={"Authorization": f"token {KEY}"})
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())["code"]


def _environ(gateway: Gateway, kernel: str) -> dict[str, str]:
    """Return a kernel's environment variables."""
    environ: dict[str, str] = json.loads(send(gateway, kernel, "import json, os; print(json.dumps(dict(os.environ)))"))
    return environ

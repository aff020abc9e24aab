"""What came around the index of a real platform is found; what came by it is proven."""

import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest

from e2e.conftest import Platform
from e2e.kernels import channels, execute
from environments.wheels import make_wheel
from studiolo.testing.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.mark.req("S0-88")
def test_a_scan_tells_strays_from_what_the_index_delivered(platform: Platform, tmp_path: Path) -> None:
    made = platform.json("create", "strays")
    wait_for(lambda: platform.json("info", "strays")["environment"]["state"] == "ready", "environment is ready", 120)
    assert found_in(platform) == {}, "an untouched workspace has none"
    platform.run("install", "strays", "mypy-extensions==1.1.0", "colorama")
    site = next((platform.data_dir / "environments" / made["id"]).glob("lib/python3*/site-packages"))
    with zipfile.ZipFile(make_wheel(tmp_path, "stray", "1.0")) as archive:
        archive.extractall(site)
    (site / "hook.pth").write_text("import os\n")
    edited = (site / "mypy_extensions.py").read_text() + "import os\n"
    # As editors do: what other environments share is not written through.
    (site / "mypy_extensions.py.new").write_text(edited)
    (site / "mypy_extensions.py.new").replace(site / "mypy_extensions.py")
    assert found_in(platform) == {
        "modified-package": ["mypy-extensions 1.1.0"],
        "start-hook": [f"lib/{site.parent.name}/site-packages/hook.pth"],
        "unverified-package": ["stray 1.0"],
    }
    report = platform.json("security-scan", "strays", "--latest", "--fail-on", "never")
    origins = {package["name"]: package["origin"] for package in report["packages"]}
    assert (origins["mypy-extensions"], origins["colorama"], origins["ipykernel"]) == ("index", "index", "base")


@pytest.mark.req("S0-53", "S0-54", "S0-55")
def test_kernels_heed_code_rules_where_the_policy_says_guard(platform: Platform, tmp_path: Path) -> None:
    made = platform.json("create", "guarded")
    policy = tmp_path / "policy.yaml"
    policy.write_text("package_management:\n  code_rules: guard\n")
    platform.run("policy", "set", str(policy), "guarded", "--note", "as agreed")
    client, place = platform.client(), f"/w/{made['id']}"
    kernel = client.post(f"{place}/api/kernels", json={"name": "python3"}).json()["id"]
    with channels(client, "", kernel, place=place) as socket:
        attempts = ("os.system('id')", "subprocess.run(['id'])", "socket.create_connection(('127.0.0.1', 1))")
        for attempt in attempts:
            module = attempt.partition(".")[0]
            said = execute(socket, f"import {module}\ntry: {attempt}\nexcept OSError as exc: print(exc)")
            assert "is blocked by the package policy of this workspace (rule: " in said
        assert "pip " in execute(socket, "!pip --version")
    told = wait_for(lambda: guarded(client), "the platform heard of each rule")
    assert {(one["actor"]["name"], one["detail"]["kernel"]) for one in told} == {(made["owner"]["name"], kernel)}


def guarded(client: httpx.Client) -> list[dict[str, Any]]:
    """What the guard told of the workspace, once it is all three rules."""
    happened = client.get("/api/v1/jupyter/workspaces/guarded/activity", params={"limit": 100}).json()["items"]
    found = [one for one in happened if one["action"] == "package.guard"]
    return found if {one["target"] for one in found} == {"os.system", "subprocess", "socket"} else []


def found_in(platform: Platform) -> dict[str, list[Any]]:
    """Scan, and return the places of findings by rule, but for vulnerabilities, of which nothing is known here."""
    report = platform.json("security-scan", "strays", "--fail-on", "never")
    found: dict[str, list[Any]] = {}
    for finding in report["findings"]:
        if finding["rule"] != "vulnerabilities-unknown":
            place = finding["place"]
            found.setdefault(finding["rule"], []).append(place["package"] or place["path"])
    return found

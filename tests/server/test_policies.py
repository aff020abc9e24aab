"""Package policies from outside: revisions, what follows from them for a workspace, and who may."""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.conftest import People, eventually
from studiolo.contract.errors import Conflict, InvalidInput
from studiolo.kit.clock import ManualClock
from studiolo.server.packages.closures import Closures
from studiolo.server.packages.variables import read_variables
from studiolo.server.services import Services, build
from studiolo.server.settings import Settings

API = "/api/v1/jupyter"
SEED = """\
package_management:
  trusted_channels: [conda-forge, defaults, pytorch, nvidia, company-internal]
  blocked_packages: [requests, urllib3, socket, subprocess, os.system]
  approval_required: [tensorflow, pytorch, custom-package]
  allowlist: [numpy, pandas, scikit-learn, matplotlib]
"""


async def make(client: httpx.AsyncClient, name: str = "churn", **more: object) -> str:
    made = await client.post(f"{API}/workspaces", json={"name": name, **more})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def at(workspace: str | None) -> str:
    return f"{API}/workspaces/{workspace}/policy" if workspace else f"{API}/policy"


async def policy_of(client: httpx.AsyncClient, workspace: str | None = None) -> dict[str, Any]:
    got = await client.get(at(workspace))
    assert got.status_code == 200, got.text
    return dict(got.json())


async def put(client: httpx.AsyncClient, document: str, workspace: str | None = None, **more: object) -> dict[str, Any]:
    sent = await client.put(at(workspace), json={"document": document, **more})
    assert sent.status_code == 200, sent.text
    return dict(sent.json())


async def judge(client: httpx.AsyncClient, workspace: str | None, name: str, version: str | None = None) -> str:
    params = {"name": name} | ({"version": version} if version else {})
    got = await client.get(f"{at(workspace)}/check", params=params)
    assert got.status_code == 200, got.text
    return f"{got.json()['verdict']} {got.json()['code']}"


async def is_ready(client: httpx.AsyncClient, workspace: str) -> bool:
    return bool((await client.get(f"{API}/workspaces/{workspace}")).json()["environment"]["state"] == "ready")


def rule(entry: str) -> str:
    return f"package_management:\n  blocked_packages: [{entry}]\n"


@pytest.mark.req("S0-47")
@pytest.mark.req("S0-48")
@pytest.mark.req("S0-49")
@pytest.mark.req("S0-50")
@pytest.mark.req("S0-51")
@pytest.mark.req("S0-52")
@pytest.mark.req("S0-53")
@pytest.mark.req("S0-54")
@pytest.mark.req("S0-55")
async def test_the_products_policy_holds_until_somebody_sets_another(ana: httpx.AsyncClient) -> None:
    workspace = await make(ana)
    policy = await policy_of(ana, workspace)
    assert policy["number"] == 1
    assert policy["trusted_channels"] == ["conda-forge", "defaults", "pytorch", "nvidia"]
    assert [(one["entry"], one["kind"]) for one in policy["blocked_packages"]] == [
        ("requests", "distribution"),
        ("urllib3", "distribution"),
        ("socket", "module"),
        ("subprocess", "module"),
        ("os.system", "call"),
    ]
    assert "cannot prevent" in policy["blocked_packages"][2]["limits"]
    for name in ("requests", "urllib3", "socket", "subprocess"):
        assert await judge(ana, workspace, name) == "refuse blocked"
    assert await judge(ana, workspace, "numpy") == "allow allowed"


@pytest.mark.req("S0-19")
@pytest.mark.req("S0-20")
async def test_the_security_section_of_a_workspaces_configuration_holds(ana: httpx.AsyncClient) -> None:
    config = (
        'security:\n  trusted_channels: ["conda-forge", "defaults"]\n  blocked_packages: ["aiohttp", "telnetlib"]\n'
    )
    workspace = await make(ana, config_file=config)
    policy = await policy_of(ana, workspace)
    assert policy["trusted_channels"] == ["conda-forge", "defaults"]
    assert await judge(ana, workspace, "aiohttp") == "refuse blocked"
    assert await judge(ana, workspace, "telnetlib") == "refuse blocked"
    assert await judge(ana, workspace, "requests") == "refuse blocked"
    assert policy["sources"]["trusted_channels"] == "workspace-config.yaml"


@pytest.mark.req("S0-71")
@pytest.mark.req("S0-72")
@pytest.mark.req("S0-73")
@pytest.mark.req("S0-74")
async def test_the_seeds_security_file_holds_once_an_administrator_set_it(
    ana: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    workspace = await make(ana)
    policy = await put(admin, SEED, workspace, note="as in the guide")
    assert policy["trusted_channels"][-1] == "company-internal"
    assert await judge(ana, workspace, "requests") == "refuse blocked"
    assert await judge(ana, workspace, "torch") == "refuse approval-required"
    assert await judge(ana, workspace, "custom_package") == "refuse approval-required"
    assert await judge(ana, workspace, "scikit-learn") == "allow allowed"
    await put(admin, SEED + "  mode: allowlist\n", workspace)
    assert await judge(ana, workspace, "numpy") == "allow allowed"
    assert await judge(ana, workspace, "polars") == "refuse not-allowlisted"


async def test_a_bad_entry_refuses_the_revision_and_is_named_with_its_line(admin: httpx.AsyncClient) -> None:
    sent = await admin.put(
        at(None), json={"document": "package_management:\n  blocked_packages:\n    - six\n    - a b\n"}
    )
    assert (sent.status_code, sent.json()["code"]) == (422, "policy-invalid")
    assert sent.json()["errors"][0]["line"] == 4
    assert "line 4" in sent.json()["detail"]
    assert (await policy_of(admin))["revision"] is None


async def test_revisions_are_numbered_kept_and_recorded(ana: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    workspace = await make(ana)
    await put(ana, rule("six"), workspace, note="no six", after=0)
    await put(ana, rule("attrs"), workspace, after=1)
    late = await ana.put(at(workspace), json={"document": rule("idna"), "after": 1})
    assert (late.status_code, late.json()["code"]) == (409, "policy-changed")
    history = (await ana.get(f"{at(workspace)}/history")).json()["items"]
    assert [(one["number"], one["note"], one["made_by"]["name"]) for one in history] == [
        (2, "", "ana"),
        (1, "no six", "ana"),
    ]
    assert history[1]["document"] == rule("six")
    events = (await admin.get("/api/v1/audit")).json()["items"]
    assert [event["detail"]["number"] for event in events if event["action"] == "policy.revise"] == [2, 1]


async def test_the_effective_number_grows_with_each_change_and_only_then(
    ana: httpx.AsyncClient, admin: httpx.AsyncClient, services: Services
) -> None:
    workspace = await make(ana)
    first = await policy_of(ana, workspace)
    services.policies.forget()
    again = await policy_of(ana, workspace)
    assert (again["number"], again["hash"]) == (first["number"], first["hash"])
    await put(admin, rule("six"))
    changed = await policy_of(ana, workspace)
    assert changed["number"] == first["number"] + 1
    assert changed["hash"] != first["hash"]
    number, policy = await services.policies.effective(workspace)
    assert (number, policy.hash) == (changed["number"], changed["hash"])
    assert (await services.policies.by_hash(policy.hash)) == policy


async def test_an_earlier_process_policy_is_found_by_its_hash(
    ana: httpx.AsyncClient, services: Services, settings: Settings
) -> None:
    workspace = await make(ana)
    _, policy = await services.policies.effective(workspace)
    other = build(settings, engines={}, clock=ManualClock())
    try:
        assert (await other.policies.by_hash(policy.hash)) == policy
        assert (await other.policies.effective(workspace))[1] == policy
    finally:
        await other.db.close()


async def test_the_bases_own_files_are_part_of_every_policy(ana: httpx.AsyncClient, services: Services) -> None:
    _, policy = await services.policies.effective(await make(ana))
    assert len(policy.base_files) > 100
    assert all(len(digest) == 64 for digest in policy.base_files)


async def test_a_file_in_the_workspaces_folder_narrows_and_a_broken_one_is_told(
    ana: httpx.AsyncClient, services: Services
) -> None:
    workspace = await make(ana)
    folder = Path((await ana.get(f"{API}/workspaces/{workspace}")).json()["path"])
    file = folder / "workspace-security.yaml"
    file.write_text("package_management:\n  blocked_packages: [six]\n  wheels_only: false\n  allowlist: [requests]\n")
    services.policies.forget()
    assert await judge(ana, workspace, "six") == "refuse blocked"
    assert await judge(ana, workspace, "requests") == "refuse blocked"
    assert (await policy_of(ana, workspace))["wheels_only"]
    file.write_text("package_management:\n  blocked_packages: [a b]\n")
    services.policies.forget()
    assert await judge(ana, workspace, "six") == "allow allowed"
    assert any("line 2" in note for note in (await policy_of(ana, workspace))["notes"])


async def test_a_workspaces_people_narrow_and_only_administrators_widen(
    ana: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    workspace = await make(ana)
    wide = "package_management:\n  exceptions: [{spec: requests, until: 2099-01-01, reason: needed}]\n"
    own = await put(ana, wide, workspace)
    assert "only an administrator" in own["notes"][0]
    assert await judge(ana, workspace, "requests") == "refuse blocked"
    await put(admin, wide, workspace)
    assert await judge(ana, workspace, "requests") == "allow granted"


async def test_an_exception_that_has_ended_cannot_be_set(admin: httpx.AsyncClient) -> None:
    workspace = await make(admin)
    document = "package_management:\n  exceptions: [{spec: requests, until: 2020-01-01, reason: needed}]\n"
    form = {"document": document}
    for reply in (
        await admin.put(at(workspace), json=form),
        await admin.put(at(None), json=form),
        await admin.post(f"{at(workspace)}/what-if", json=form),
    ):
        assert (reply.status_code, reply.json()["code"]) == (422, "policy-invalid")
        assert "line 2, column 40: package_management.exceptions[0].until" in reply.json()["detail"]
        assert "take the exception out" in reply.json()["detail"]


async def test_what_an_administrator_set_stands_beside_what_owners_set_later(
    ana: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    workspace = await make(ana)
    await put(admin, rule("six"), workspace)
    await put(ana, rule("attrs"), workspace)
    assert await judge(ana, workspace, "six") == "refuse blocked"
    assert await judge(ana, workspace, "attrs") == "refuse blocked"
    copy = (await ana.post(f"{API}/workspaces/{workspace}/duplicate", json={"name": "copied"})).json()["id"]
    await put(ana, rule(""), copy)
    assert await judge(ana, copy, "six") == "refuse blocked"
    assert await judge(ana, copy, "attrs") == "allow allowed"
    await put(admin, rule(""), workspace)
    assert await judge(ana, workspace, "six") == "allow allowed"


async def test_a_copy_keeps_to_the_policy_and_not_to_its_exceptions(
    ana: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    workspace = await make(ana)
    exception = "  exceptions: [{spec: requests, until: 2099-01-01, reason: needed}]\n"
    await put(admin, rule("six") + exception, workspace)
    made = await ana.post(f"{API}/workspaces/{workspace}/duplicate", json={"name": "copied"})
    copy = made.json()["id"]
    assert await judge(ana, workspace, "requests") == "allow granted"
    assert await judge(ana, copy, "six") == "refuse blocked"
    assert await judge(ana, copy, "requests") == "refuse blocked"


async def test_an_erased_person_is_named_by_no_policy(
    ana: httpx.AsyncClient, admin: httpx.AsyncClient, people: People, services: Services
) -> None:
    workspace = await make(ana)
    async with await people.client("mia-who-leaves", is_admin=True) as mia:
        await put(mia, rule("six"))
    before = await policy_of(ana, workspace)
    assert "mia-who-leaves" in before["blocked_packages"][0]["source"]
    erased = await admin.delete("/api/v1/people/mia-who-leaves", params={"confirm": "mia-who-leaves"})
    assert erased.status_code < 300, erased.text
    after = await policy_of(ana, workspace)
    assert after["number"] == before["number"] + 1
    assert "mia-who-leaves" not in str(after)
    with sqlite3.connect(services.settings.data_dir / "studiolo.db") as database:
        assert not [line for line in database.iterdump() if "effective_policies" in line and "mia-who" in line]


async def test_what_if_names_what_would_change_and_changes_nothing(
    ana: httpx.AsyncClient, admin: httpx.AsyncClient, services: Services
) -> None:
    workspace = await make(ana)
    await eventually(lambda: is_ready(ana, workspace))
    site = services.settings.data_dir / "environments" / workspace / "lib" / "python3.11" / "site-packages"
    (site / "six-1.17.0.dist-info").mkdir(parents=True)
    (site / "idna-3.10.dist-info").mkdir()
    (site.parents[2] / "pyvenv.cfg").touch()
    for client, where in ((ana, workspace), (admin, None)):
        sent = await client.post(f"{at(where)}/what-if", json={"document": rule('"six==1.17.0"')})
        assert sent.status_code == 200, sent.text
        (change,) = [one for one in sent.json()["changes"] if one["workspace"] == "churn"]
        assert (change["after"]["name"], change["after"]["version"]) == ("six", "1.17.0")
        assert (change["before"]["verdict"], change["after"]["verdict"]) == ("allow", "hide")
    assert await judge(ana, workspace, "six", "1.17.0") == "allow allowed"
    broken = await ana.post(f"{at(workspace)}/what-if", json={"document": "package_management: 1\n"})
    assert broken.json()["code"] == "policy-invalid"


async def test_what_if_looks_at_what_people_ask_for(ana: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    workspace = await make(ana)
    await put(admin, "package_management:\n  approval_required: [tensorflow]\n")
    asked = await ana.post(f"{API}/workspaces/{workspace}/requests", json={"package": "tensorflow"})
    assert asked.status_code == 201, asked.text
    sent = await ana.post(f"{at(workspace)}/what-if", json={"document": rule("tensorflow")})
    (change,) = [one for one in sent.json()["changes"] if one["where"] == "requested"]
    assert (change["before"]["code"], change["after"]["code"]) == ("approval-required", "blocked")


async def test_the_administrator_sees_what_the_policy_refuses_of_the_base(admin: httpx.AsyncClient) -> None:
    await put(admin, rule("numpy"))
    refused = (await admin.get(f"{at(None)}/base")).json()
    assert {(one["name"], one["code"]) for one in refused} == {("numpy", "blocked")}
    await put(admin, rule(""))
    assert (await admin.get(f"{at(None)}/base")).json() == []


async def test_a_grant_holds_until_its_end_or_until_it_is_revoked(
    ana: httpx.AsyncClient, admin: httpx.AsyncClient, services: Services, people: People, clock: ManualClock
) -> None:
    workspace = await make(ana)
    await put(admin, "package_management:\n  approval_required: [torch]\n")
    mia = await people.add("mia", is_admin=True)
    async with services.db.write() as tx:
        grant = await services.grants.add(
            tx,
            mia,
            kind="approval",
            workspace_id=workspace,
            ecosystem="pypi",
            name="torch",
            specifier="==2.9",
            reason="training",
            until=clock.now() + timedelta(days=1),
        )
    assert await judge(ana, workspace, "torch", "2.9") == "allow granted"
    assert await judge(ana, workspace, "torch", "2.8") == "hide approval-required"
    (told,) = (await policy_of(ana, workspace))["grants"]
    assert (told["id"], told["reason"]) == (grant, "training")
    assert "mia" in told["by"]
    assert (await ana.delete(f"{at(None)}/grants/{grant}")).status_code == 403
    assert (await admin.delete(f"{at(None)}/grants/{grant}")).status_code == 204
    assert await judge(ana, workspace, "torch", "2.9") == "refuse approval-required"
    assert (await admin.delete(f"{at(None)}/grants/g-0")).json()["code"] == "grant-not-found"


LISTED = "package_management:\n  mode: allowlist\n  allowlist: [pandas]\n"


async def test_what_an_allowlisted_package_needs_is_allowed_with_it(
    ana: httpx.AsyncClient, admin: httpx.AsyncClient, services: Services, settings: Settings
) -> None:
    workspace = await make(ana)

    async def resolve(specs: Sequence[str]) -> list[str]:
        assert list(specs) == ["pandas"]
        return ["pandas", "python-dateutil", "Six", "urllib3"]

    services.policy_closures.resolve = resolve
    await put(admin, LISTED)
    assert await judge(ana, workspace, "six") == "refuse not-allowlisted"
    await services.policy_closures.look()
    assert await judge(ana, workspace, "six") == "allow allowed"
    assert await judge(ana, workspace, "urllib3") == "refuse blocked"
    assert await judge(ana, workspace, "polars") == "refuse not-allowlisted"
    before = (await policy_of(ana, workspace))["number"]
    other = build(settings, engines={}, clock=ManualClock())
    try:
        number, policy = await other.policies.effective(workspace)
        assert (number, policy.closure) == (before, ("pandas", "python-dateutil", "six", "urllib3"))
    finally:
        await other.db.close()
    await put(admin, LISTED + "  transitive: explicit\n")
    assert await judge(ana, workspace, "six") == "refuse not-allowlisted"


async def test_entries_that_fit_not_together_are_resolved_by_themselves() -> None:
    async def resolve(specs: Sequence[str]) -> list[str]:
        if len(specs) > 1 or specs[0] == "gone":
            raise Conflict("package-unsolvable", "They do not fit together.")
        return [specs[0], f"{specs[0]}-dependency"]

    closures = Closures()
    closures.resolve = resolve
    assert closures.find(("gone", "numpy", "pandas")) is None
    await closures.look()
    assert closures.find(("gone", "numpy", "pandas")) == ("numpy", "numpy-dependency", "pandas", "pandas-dependency")
    assert closures.find(("gone",)) is None
    await closures.look()
    assert closures.find(("gone",)) is None


@pytest.mark.parametrize("name", ["six @ https://host/x", "../six", "-r", "requ\u0435sts", ""])
async def test_a_check_takes_names_alone(ana: httpx.AsyncClient, name: str) -> None:
    got = await ana.get(f"{at(None)}/check", params={"name": name})
    assert (got.status_code, got.json()["code"]) == (422, "request-invalid")


@pytest.fixture
def variable(monkeypatch: pytest.MonkeyPatch) -> str:
    """A variable of the control plane, set before that is built."""
    monkeypatch.setenv("FETCHML_JUPYTER_BLOCKED_PACKAGES", "requests,urllib3,httpx")
    return "FETCHML_JUPYTER_BLOCKED_PACKAGES"


@pytest.mark.req("S0-21")
@pytest.mark.req("S0-23")
async def test_the_variable_replaces_the_blocked_list_of_all_policies(variable: str, ana: httpx.AsyncClient) -> None:
    workspace = await make(ana, config_file="security:\n  blocked_packages: [aiohttp]\n")
    assert await judge(ana, workspace, "httpx") == "refuse blocked"
    assert await judge(ana, workspace, "aiohttp") == "allow allowed"
    policy = await policy_of(ana, workspace)
    assert [one["entry"] for one in policy["blocked_packages"]] == ["requests", "urllib3", "httpx"]
    assert policy["blocked_packages"][0]["source"] == variable


def settings_with(**values: str) -> Callable[[Path], Settings]:
    return lambda folder: Settings(data_dir=folder, run_dir=folder, **values)  # type: ignore[arg-type]


def test_of_two_variables_ours_wins_and_a_difference_is_told(tmp_path: Path) -> None:
    settings = settings_with(jupyter_blocked_packages="six")(tmp_path)
    found = read_variables(settings, {"FETCHML_JUPYTER_BLOCKED_PACKAGES": "attrs"})
    assert found.blocked is not None
    assert [one.entry for one in found.blocked.rules] == ["six"]
    assert "differ" in found.notes[0]


def test_off_empty_and_broken_variables_are_three_things(tmp_path: Path) -> None:
    settings = settings_with()(tmp_path)
    blocked, startup = "FETCHML_JUPYTER_BLOCKED_PACKAGES", "FETCHML_JUPYTER_STARTUP_BLOCKED_PACKAGES"
    assert read_variables(settings, {}) == read_variables(settings, {"OTHER": "x"})
    off = read_variables(settings, {blocked: "off", startup: "off"})
    assert (off.blocked and off.blocked.rules, off.startup_blocked and off.startup_blocked.rules, off.notes) == (
        (),
        (),
        (),
    )
    empty = read_variables(settings, {blocked: "", startup: " "})
    assert (empty.blocked, len(empty.notes)) == (None, 2)
    assert empty.startup_blocked is not None
    assert empty.startup_blocked.rules == ()
    with pytest.raises(InvalidInput, match=f"{blocked}: 'a b'"):
        read_variables(settings, {blocked: "six,a b"})


async def test_what_a_guard_refused_is_told_once_a_minute_for_each_rule(
    ana: httpx.AsyncClient, people: People, services: Services, clock: ManualClock
) -> None:
    workspace = await make(ana)
    await put(ana, "package_management:\n  blocked_packages: [socket, subprocess]\n  code_rules: guard\n", workspace)
    launched = await ana.post(f"{API}/sessions", json={"workspace": "churn"}, params={"wait": 30})
    session = launched.json()["id"]
    # The key that the session's kernels find in their own files.
    key = services.session_secrets.api_key(session, 1)
    async with people.anonymous({"Authorization": f"Bearer {key}"}) as kernel:

        async def tell(rule: str, call: str, kernel_id: str = "k-1") -> int:
            form = {"kernel": kernel_id, "rule": rule, "call": call}
            return (await kernel.post(f"{at(workspace)}/guard", json=form)).status_code

        assert [await tell("socket", "socket.connect") for _ in range(3)] == [204, 204, 204]
        assert await tell("subprocess", "subprocess.Popen") == 204
        # No rule of the policy: nothing is written.
        assert await tell("shutil", "shutil") == 204
        assert await tell("socket", "print('secret')") == 422
        clock.advance(timedelta(minutes=1))
        assert await tell("socket", "socket.getaddrinfo") == 204
    happened = (await ana.get(f"{API}/workspaces/churn/activity")).json()["items"]
    found = [one for one in happened if one["action"] == "package.guard"]
    assert [(one["target"], one["detail"]["call"]) for one in found] == [
        ("socket", "socket.getaddrinfo"),
        ("subprocess", "subprocess.Popen"),
        ("socket", "socket.connect"),
    ]
    assert {(one["actor"]["name"], one["detail"]["session"], one["detail"]["kernel"]) for one in found} == {
        ("ana", session, "k-1")
    }


async def test_a_guards_report_is_of_the_own_workspace_alone(ana: httpx.AsyncClient, leo: httpx.AsyncClient) -> None:
    workspace = await make(ana)
    told = await leo.post(f"{at(workspace)}/guard", json={"rule": "socket", "call": "socket.connect"})
    assert (told.status_code, told.json()["code"]) == (404, "workspace-not-found")


async def test_the_advice_at_the_start_names_what_is_refused_of_the_shipped_base(admin: httpx.AsyncClient) -> None:
    got = await admin.get(f"{API}/policy/base")
    # MLflow and JupyterLab need both; the base's own files install all the same.
    assert {"requests", "urllib3"} <= {one["name"] for one in got.json()}

"""Packages are asked for, decided, installed by themselves, and people hear of it; policies are the real ones."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import httpx
import pytest

from server.conftest import People, eventually
from studiolo.contract.environments import BuildState, Ecosystem, Plan, PlannedPackage
from studiolo.contract.errors import Conflict, StudioloError, Unavailable
from studiolo.kit.clock import ManualClock
from studiolo.kit.reconcile import running
from studiolo.packages.policy.decisions import Subject
from studiolo.packages.policy.effective import Policy
from studiolo.server.environments.installing import Resolved
from studiolo.server.packages.effective import Policies
from studiolo.server.principal import Principal
from studiolo.server.requests.following import Following
from studiolo.server.requests.grounds import BuildOutcome, Facts
from studiolo.server.services import Services
from studiolo.server.settings import Settings
from studiolo.server.settings.packages import PackageSettings

V1 = "/api/v1/jupyter"
W = f"{V1}/workspaces"
POLICY = """\
package_management:
  approval_required:
    - tensorflow
    - pytorch
    - custom-package
"""


class Surroundings:
    """Plans, facts and builds as a script has them: what is asked of them is the domain's own doing."""

    def __init__(self) -> None:
        self.trouble: StudioloError | None = None
        self.begun: list[tuple[str, str, str]] = []
        self.state: BuildState = "building"
        self.message: str | None = None

    async def plan(
        self, workspace_id: str | None, specs: Sequence[str], ecosystem: Ecosystem
    ) -> tuple[Plan, list[Resolved]]:
        if self.trouble is not None:
            raise self.trouble
        known: dict[str, Any] = {"ecosystem": ecosystem, "is_there": False}
        asked = PlannedPackage(
            name="tensorflow",
            version="2.20",
            verdict="refuse",
            code="approval-required",
            because="It must be.",
            **known,
        )
        needed = PlannedPackage(
            name="urllib3", version="2.8", verdict="refuse", code="blocked", via=["tensorflow"], **known
        )
        there = PlannedPackage(name="numpy", version="2.4", verdict="allow", code="base", **{**known, "is_there": True})
        files = [Resolved("tensorflow", "2.20", "tensorflow-2.20-py3-none-any.whl"), Resolved("urllib3", "2.8")]
        return Plan(packages=[there, needed, asked], violations=[], tree=[]), files

    async def find(self, workspace_id: str, ecosystem: Ecosystem, package: Resolved) -> Facts:
        return Facts(size_bytes=5, licence="MIT") if package.name == "tensorflow" else Facts()

    async def prepare(self, workspace_id: str) -> bool:
        return True

    async def begin(self, workspace_id: str, spec: str, ecosystem: Ecosystem, *, by: Principal) -> int:
        self.begun.append((workspace_id, spec, by.name))
        return len(self.begun)

    async def outcome(self, workspace_id: str, number: int) -> BuildOutcome:
        return BuildOutcome(self.state, self.message)


@pytest.fixture
async def around(services: Services) -> AsyncIterator[Surroundings]:
    scripted = Surroundings()
    following = Following(
        services.db, services.live, services.requests, services.notifications, scripted, scripted, scripted
    )
    services.requests.on_asked = services.request_decisions.on_approved = following.runner.hint
    async with running(following.runner):
        yield scripted


@pytest.fixture
async def churn(ana: httpx.AsyncClient, leo: httpx.AsyncClient) -> str:
    made: str = (await ana.post(W, json={"name": "churn"})).json()["id"]
    await ana.put(f"{W}/{made}/members", json={"person": "leo", "role": "editor"})
    await require_approval(ana, made)
    return made


async def require_approval(owner: httpx.AsyncClient, workspace: str) -> None:
    reply = await owner.put(f"{W}/{workspace}/policy", json={"document": POLICY, "note": "As the team agreed"})
    assert reply.status_code == 200, reply.text


async def ask(client: httpx.AsyncClient, workspace: str, package: str, **more: str) -> httpx.Response:
    return await client.post(f"{W}/{workspace}/requests", json={"package": package, **more})


class Files:
    """The files of every project, as an index would tell of them."""

    def __init__(self, policies: Policies, workspace: str, *files: Subject) -> None:
        self.policies = policies
        self.workspace = workspace
        self.files = files

    async def __call__(self, name: str, policy: Policy) -> Sequence[Subject]:
        if policy.hash != (await self.policies.effective(self.workspace))[1].hash:
            raise Unavailable("packages-unavailable", "Nobody knows this policy.")
        return self.files


async def test_what_is_left_out_for_its_file_alone_can_be_asked_for_and_needs_an_exception(
    services: Services, ana: httpx.AsyncClient, admin: httpx.AsyncClient, churn: str, around: Surroundings
) -> None:
    document = "package_management:\n  cooldown_days: 7\n"
    assert (await ana.put(f"{W}/{churn}/policy", json={"document": document, "note": "x"})).status_code == 200
    now = services.requests._clock.now()
    services.requests.list_files = Files(
        services.policies,
        churn,
        Subject("pypi", "fresh", "1.0", "fresh-1.0-py3-none-any.whl", "defaults", now - timedelta(days=90), True),
        Subject("pypi", "fresh", "2.0", "fresh-2.0-py3-none-any.whl", "defaults", now, True),
    )
    for passing in ("fresh", "fresh==1.0"):
        assert (await ask(ana, churn, passing)).json()["code"] == "package-allowed"
    asked = (await ask(ana, churn, "fresh==2.0")).json()
    assert (asked["state"], asked["judged"]["code"]) == ("pending", "too-new")
    reply = await admin.post(f"{V1}/requests/{asked['id']}/approve", json={})
    assert reply.json()["code"] == "approval-not-enough"
    form = {"exception": True, "reason": "The fix"}
    assert (await admin.post(f"{V1}/requests/{asked['id']}/approve", json=form)).json()["state"] == "approved"


async def told(client: httpx.AsyncClient) -> list[str]:
    return [one["text"] for one in (await client.get("/api/v1/notifications")).json()["items"]]


async def until_state(client: httpx.AsyncClient, request_id: str, **wanted: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def is_so() -> bool:
        found.update((await client.get(f"{V1}/requests/{request_id}")).json())
        return all(found[name] == value for name, value in wanted.items())

    await eventually(is_so, timedelta(seconds=30))
    return found


@pytest.mark.req("S0-63", "S0-67", "S0-73")
async def test_who_asks_for_the_same_joins_one_request(
    admin: httpx.AsyncClient, ana: httpx.AsyncClient, leo: httpx.AsyncClient, churn: str, around: Surroundings
) -> None:
    made = await ask(ana, churn, "TensorFlow", purpose="forecasts")
    assert made.status_code == 201, made.text
    first = made.json()
    assert (first["name"], first["state"], first["judged"]["code"]) == ("tensorflow", "pending", "approval-required")
    second = (await ask(leo, churn, "tensorflow==2.20", purpose="images")).json()
    assert second["id"] == first["id"]
    assert [(one["person"]["name"], one["purpose"]) for one in second["people"]] == [
        ("ana", "forecasts"),
        ("leo", "images"),
    ]
    # Asking again changes one's words, not the request.
    again = (await ask(ana, churn, "tensorflow", purpose="better forecasts")).json()
    assert [one["purpose"] for one in again["people"]] == ["better forecasts", "images"]
    again = (await ask(ana, churn, "tensorflow")).json()
    assert again["people"][0]["purpose"] == "better forecasts"
    assert await told(admin) == ["ana asks for tensorflow in churn."]
    mine = (await leo.get(f"{V1}/requests", params={"mine": True})).json()["items"]
    assert [one["id"] for one in mine] == [first["id"]]


@pytest.mark.req("S0-64", "S0-68")
async def test_administrators_see_all_that_would_come_along(
    admin: httpx.AsyncClient, ana: httpx.AsyncClient, churn: str, around: Surroundings
) -> None:
    asked = (await ask(ana, churn, "tensorflow")).json()
    assert asked["closure"]["state"] == "pending"

    async def is_worked_out() -> bool:
        found = (await admin.get(f"{V1}/requests", params={"state": "pending"})).json()["items"]
        return bool(found[0]["closure"]["state"] == "ready")

    await eventually(is_worked_out, timedelta(seconds=30))
    closure = (await admin.get(f"{V1}/requests/{asked['id']}")).json()["closure"]
    shown = [(one["name"], one["judged"]["code"], one["licence"]) for one in closure["packages"]]
    # What was asked for comes first, what is there already last; unknown stays unknown.
    assert shown == [("tensorflow", "approval-required", "MIT"), ("urllib3", "blocked", None), ("numpy", "base", None)]
    assert closure["packages"][0]["vulnerabilities"] is None


@pytest.mark.parametrize(
    ("why", "state"),
    [
        (Conflict("package-unsolvable", "No version fits."), "unknown"),
        # Tried again: it may answer later.
        (Unavailable("packages-unavailable", "The index does not answer."), "pending"),
    ],
)
async def test_what_cannot_be_worked_out_is_said(
    ana: httpx.AsyncClient, churn: str, around: Surroundings, why: StudioloError, state: str
) -> None:
    around.trouble = why
    asked = (await ask(ana, churn, "tensorflow")).json()

    async def is_said() -> bool:
        found = (await ana.get(f"{V1}/requests/{asked['id']}")).json()["closure"]
        return bool((found["state"], found["message"]) == (state, why.message))

    await eventually(is_said, timedelta(seconds=30))


@pytest.mark.req("S0-65", "S0-66", "S0-69")
async def test_what_is_approved_is_allowed_and_installs_by_itself(
    admin: httpx.AsyncClient,
    ana: httpx.AsyncClient,
    leo: httpx.AsyncClient,
    services: Services,
    churn: str,
    around: Surroundings,
) -> None:
    asked = (await ask(ana, churn, "tensorflow==2.20")).json()
    await ask(leo, churn, "tensorflow==2.20")
    assert (await leo.post(f"{V1}/requests/{asked['id']}/approve", json={})).status_code == 403
    done = (await admin.post(f"{V1}/requests/{asked['id']}/approve", json={})).json()
    assert (done["state"], done["scope"], done["decided_by"]["name"]) == ("approved", "workspace", "boss")
    assert (await services.requests.judge(churn, "pypi", "tensorflow", "==2.20")).is_allowed
    assert not (await services.requests.judge(churn, "pypi", "tensorflow", "==2.21")).is_allowed
    await until_state(ana, asked["id"], install_state="building")
    assert around.begun == [(churn, "tensorflow==2.20", "boss")]
    around.state = "ready"
    await until_state(ana, asked["id"], install_state="installed")
    for person in (ana, leo):
        assert set(await told(person)) == {
            "tensorflow==2.20 is installed in churn.",
            "boss allowed tensorflow==2.20 in churn. It installs by itself.",
        }
    refused = await ask(ana, churn, "tensorflow==2.20")
    assert (refused.status_code, refused.json()["code"]) == (409, "package-allowed")
    assert refused.json()["hint"] == "Install it: studiolo install churn 'tensorflow==2.20'"
    events = (await ana.get(f"{W}/{churn}/activity")).json()["items"]
    actions = [one["action"] for one in events if one["action"].startswith("package.")]
    assert actions == ["package.approved", "package.requested", "package.requested"]


async def test_a_failed_installation_is_told_with_its_reason_and_can_be_tried_again(
    admin: httpx.AsyncClient, ana: httpx.AsyncClient, churn: str, around: Surroundings
) -> None:
    around.state, around.message = "failed", "urllib3 is blocked. tensorflow needs it."
    asked = (await ask(ana, churn, "tensorflow")).json()
    await admin.post(f"{V1}/requests/{asked['id']}/approve", json={})
    failed = await until_state(ana, asked["id"], install_state="failed")
    assert failed["install_message"] == "urllib3 is blocked. tensorflow needs it."
    assert any("could not be installed: urllib3 is blocked." in text for text in await told(ana))
    around.state = "ready"
    assert (await admin.post(f"{V1}/requests/{asked['id']}/install")).status_code == 200
    await until_state(ana, asked["id"], install_state="installed")
    assert len(around.begun) == 2
    assert (await admin.post(f"{V1}/requests/{asked['id']}/install")).json()["code"] == "request-decided"


async def test_an_approval_everywhere_answers_all_who_ask_for_that_name(
    admin: httpx.AsyncClient,
    ana: httpx.AsyncClient,
    leo: httpx.AsyncClient,
    services: Services,
    churn: str,
    around: Surroundings,
) -> None:
    other = (await leo.post(W, json={"name": "other"})).json()["id"]
    await require_approval(leo, other)
    asked = (await ask(ana, churn, "tensorflow")).json()
    elsewhere = (await ask(leo, other, "tensorflow")).json()
    assert elsewhere["id"] != asked["id"]
    await admin.post(f"{V1}/requests/{asked['id']}/approve", json={"scope": "global"})
    assert (await leo.get(f"{V1}/requests/{elsewhere['id']}")).json()["state"] == "approved"
    for place in (churn, other):
        assert (await services.requests.judge(place, "pypi", "tensorflow", "")).is_allowed
    around.state = "ready"
    await until_state(leo, elsewhere["id"], install_state="installed")
    assert sorted(place for place, _, _ in around.begun) == sorted([churn, other])


async def test_an_approval_ends_with_its_day(
    admin: httpx.AsyncClient,
    ana: httpx.AsyncClient,
    services: Services,
    clock: ManualClock,
    churn: str,
    around: Surroundings,
) -> None:
    asked = (await ask(ana, churn, "tensorflow")).json()
    approve = f"{V1}/requests/{asked['id']}/approve"
    past = (clock.now() - timedelta(days=1)).isoformat()
    assert (await admin.post(approve, json={"until": past})).json()["code"] == "request-invalid"
    until = (clock.now() + timedelta(days=7)).isoformat()
    assert (await admin.post(approve, json={"until": until, "version": "<3"})).status_code == 200
    assert (await services.requests.judge(churn, "pypi", "tensorflow", "==2.20")).is_allowed
    clock.advance(timedelta(days=8))
    assert not (await services.requests.judge(churn, "pypi", "tensorflow", "==2.20")).is_allowed


async def test_what_is_blocked_may_be_asked_for_and_needs_an_exception(
    admin: httpx.AsyncClient, ana: httpx.AsyncClient, services: Services, churn: str, around: Surroundings
) -> None:
    asked = (await ask(ana, churn, "requests")).json()
    assert asked["judged"]["code"] == "blocked"
    approve = f"{V1}/requests/{asked['id']}/approve"
    refused = await admin.post(approve, json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "approval-not-enough")
    assert "--exception" in refused.json()["hint"]
    assert (await admin.post(approve, json={"exception": True})).json()["code"] == "request-invalid"
    assert not (await services.requests.judge(churn, "pypi", "requests", "")).is_allowed
    done = await admin.post(approve, json={"exception": True, "reason": "The API example needs it."})
    assert done.status_code == 200, done.text
    assert (await services.requests.judge(churn, "pypi", "requests", "")).is_allowed


async def test_what_it_needs_is_allowed_with_it_if_asked_for(
    admin: httpx.AsyncClient, ana: httpx.AsyncClient, services: Services, churn: str, around: Surroundings
) -> None:
    asked = (await ask(ana, churn, "tensorflow")).json()

    async def is_worked_out() -> bool:
        found = (await admin.get(f"{V1}/requests/{asked['id']}")).json()
        return bool(found["closure"]["state"] == "ready")

    await eventually(is_worked_out, timedelta(seconds=30))
    approve, form = f"{V1}/requests/{asked['id']}/approve", {"with_dependencies": True}
    # Of what it needs, urllib3 is blocked.
    refused = await admin.post(approve, json=form)
    assert (refused.status_code, refused.json()["code"]) == (409, "approval-not-enough")
    assert "urllib3 is blocked" in refused.json()["detail"]
    done = await admin.post(approve, json=form | {"exception": True, "reason": "Reviewed"})
    assert done.status_code == 200, done.text
    for name in ("tensorflow", "urllib3"):
        assert (await services.requests.judge(churn, "pypi", name, "")).is_allowed
    assert not (await services.requests.judge(churn, "pypi", "requests", "")).is_allowed


@pytest.mark.req("S0-70")
async def test_who_is_denied_reads_why(
    admin: httpx.AsyncClient, ana: httpx.AsyncClient, services: Services, churn: str, around: Surroundings
) -> None:
    asked = (await ask(ana, churn, "tensorflow")).json()
    deny = f"{V1}/requests/{asked['id']}/deny"
    assert (await admin.post(deny, json={"reason": "  "})).status_code == 422
    denied = (await admin.post(deny, json={"reason": "Security concern"})).json()
    assert (denied["state"], denied["reason"]) == ("denied", "Security concern")
    assert await told(ana) == ["boss denied tensorflow in churn: Security concern"]
    for decide, body in (("approve", {}), ("deny", {"reason": "Again"})):
        reply = await admin.post(f"{V1}/requests/{asked['id']}/{decide}", json=body)
        assert (reply.status_code, reply.json()["code"]) == (409, "request-decided")
    assert not (await services.requests.judge(churn, "pypi", "tensorflow", "")).is_allowed
    # Who was denied may ask anew.
    assert (await ask(ana, churn, "tensorflow")).json()["id"] != asked["id"]


async def test_the_last_ones_withdrawal_withdraws_the_request(
    ana: httpx.AsyncClient, leo: httpx.AsyncClient, churn: str, around: Surroundings
) -> None:
    asked = (await ask(ana, churn, "tensorflow")).json()
    await ask(leo, churn, "tensorflow")
    withdraw = f"{V1}/requests/{asked['id']}/withdraw"
    assert (await ana.post(withdraw)).json()["state"] == "pending"
    assert (await ana.post(withdraw)).status_code == 404
    assert (await leo.post(withdraw)).json()["state"] == "withdrawn"
    assert (await leo.post(withdraw)).json()["code"] == "request-decided"


async def test_nobody_sees_requests_of_foreign_workspaces(
    people: People, ana: httpx.AsyncClient, churn: str, around: Surroundings
) -> None:
    asked = (await ask(ana, churn, "tensorflow")).json()
    async with await people.client("sam") as sam:
        assert (await sam.get(f"{V1}/requests")).json()["items"] == []
        foreign = await sam.get(f"{V1}/requests/{asked['id']}")
        assert (foreign.status_code, foreign.json()["code"]) == (404, "request-not-found")
        assert (await sam.post(f"{V1}/requests/{asked['id']}/withdraw")).status_code == 404
        assert (await ask(sam, churn, "tensorflow")).status_code == 404


async def test_who_is_erased_is_named_nowhere(
    admin: httpx.AsyncClient, people: People, ana: httpx.AsyncClient, churn: str, around: Surroundings
) -> None:
    async with await people.client("quentin") as quentin:
        await ana.put(f"{W}/{churn}/members", json={"person": "quentin", "role": "editor"})
        asked = (await ask(quentin, churn, "tensorflow", purpose="Quentin's thesis")).json()
    assert await told(admin) == ["quentin asks for tensorflow in churn."]
    erased = await admin.delete("/api/v1/people/quentin", params={"confirm": "quentin"})
    assert erased.status_code == 204, erased.text
    (asker,) = (await ana.get(f"{V1}/requests/{asked['id']}")).json()["people"]
    assert (asker["person"]["display_name"], asker["purpose"]) == ("Somebody who left", "")
    assert await told(admin) == ["Somebody who left asks for tensorflow in churn."]


async def test_two_who_ask_at_once_share_one_request(
    ana: httpx.AsyncClient, leo: httpx.AsyncClient, churn: str, around: Surroundings
) -> None:
    replies = await asyncio.gather(*(ask(client, churn, "tensorflow") for client in (ana, leo, ana, leo)))
    assert len({reply.json()["id"] for reply in replies}) == 1


@pytest.mark.parametrize(
    "package", ["", "https://evil.example/six.whl", "six @ file:///six", "-i x", "six; x", "six torch"]
)
async def test_what_names_no_package_is_refused(
    ana: httpx.AsyncClient, churn: str, around: Surroundings, package: str
) -> None:
    reply = await ask(ana, churn, package)
    assert (reply.status_code, reply.json()["code"] in {"package-invalid", "request-invalid"}) == (422, True)


class TestSwitchedOff:
    """The whole process is optional."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"packages": PackageSettings(requests=False)})

    @pytest.mark.req("S0-63")
    async def test_who_asks_is_told_whom_to_talk_to(
        self, admin: httpx.AsyncClient, ana: httpx.AsyncClient, churn: str
    ) -> None:
        reply = await ask(ana, churn, "tensorflow")
        assert (reply.status_code, reply.json()["code"]) == (403, "requests-off")
        assert reply.json()["hint"] == "Talk to boss."

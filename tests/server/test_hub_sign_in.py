"""Signing in with a JupyterHub, from the page and for the command line, and what hostile browsers and Hubs get."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from server.conftest import ADDRESS, People
from server.oauth_hub import SECRET, OAuthHub, oauth_hub
from studiolo.contract.errors import InvalidInput
from studiolo.kit.clock import ManualClock
from studiolo.server.accounts.hub_sign_in import CALLBACK
from studiolo.server.principal import OPERATOR
from studiolo.server.services import Services
from studiolo.server.settings import Settings, load_settings

Browser = httpx.AsyncClient


@pytest.fixture
async def hub() -> AsyncIterator[OAuthHub]:
    async with oauth_hub(ADDRESS + CALLBACK) as made:
        yield made


@pytest.fixture
def settings(tmp_path: Path, hub: OAuthHub) -> Settings:
    token_file = tmp_path / "hub.token"
    token_file.write_text(f"{SECRET}\n")
    jupyterhub = {"url": hub.url, "token_file": str(token_file), "create_people": True, "timeout_seconds": 5}
    return Settings(
        data_dir=tmp_path / "data", port=28888, run_dir=tmp_path / "run", accounts={"jupyterhub": jupyterhub}
    )


@pytest.fixture
async def browser(people: People) -> AsyncIterator[Browser]:
    async with people.anonymous() as client:
        yield client


def change(services: Services, **values: object) -> None:
    """Change settings of the running control plane."""
    for name, value in values.items():
        setattr(services.settings.accounts.jupyterhub, name, value)


async def come_in(browser: Browser, hub: OAuthHub, next_: str = "/") -> httpx.Response:
    """Sign in as the Hub's user; return what the browser gets as it comes back."""
    there = await browser.get("/sign-in/jupyterhub", params={"next": next_})
    return await browser.get(CALLBACK, params=hub.sign_in(there.headers["location"]))


async def name_of(browser: Browser) -> str | None:
    """Return who the browser is signed in as."""
    reply = await browser.get("/api/v1/me")
    return str(reply.json()["name"]) if reply.is_success else None


async def acts(services: Services) -> list[str]:
    page = await services.audit.list_(OPERATOR)
    return [event.action for event in page.items]


def shown(reply: httpx.Response) -> str:
    found = re.search(r'role="alert".*?<strong>(.*?)</strong>', reply.text, re.DOTALL)
    assert found, reply.text
    return found[1].replace("&#39;", "'")


async def test_a_user_of_the_hub_comes_in_and_has_the_same_account_ever_after(
    browser: Browser, people: People, hub: OAuthHub, services: Services
) -> None:
    page = await browser.get("/sign-in", params={"next": "/account?a=b"})
    assert f'href="{ADDRESS}/sign-in/jupyterhub?next=/account%3Fa%3Db"' in page.text
    reply = await come_in(browser, hub, "/account?a=b")
    assert (reply.status_code, reply.headers["location"]) == (303, "/account?a=b")
    first = (await browser.get("/api/v1/me")).json()
    assert (first["name"], first["is_admin"], first["has_password"]) == ("ana", False, False)
    async with people.anonymous() as other:
        await come_in(other, hub)
        assert (await other.get("/api/v1/me")).json()["id"] == first["id"]
    assert await acts(services) == ["account.sign-in", "account.sign-in", "person.arrive"]


async def test_nothing_of_the_hub_stays_with_us_or_counts_there(browser: Browser, hub: OAuthHub) -> None:
    await come_in(browser, hub)
    assert not hub.tokens
    assert not [name for name in browser.cookies if "hub" in name]


async def test_the_command_line_signs_in_by_way_of_the_hub(browser: Browser, hub: OAuthHub) -> None:
    begun = (await browser.post("/api/v1/sign-in/device", json={"key_name": "laptop"})).json()
    asked = await browser.get(begun["verification_uri_complete"])
    assert asked.headers["location"].startswith("/sign-in?next=")
    next_ = parse_qs(urlsplit(asked.headers["location"]).query)["next"][0]
    back = await come_in(browser, hub, next_)
    page = await browser.get(back.headers["location"])
    csrf = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert csrf, page.text
    await browser.post("/sign-in/device/approve", data={"csrf": csrf[1], "code": begun["user_code"]})
    key = (await browser.post("/api/v1/sign-in/device/token", json={"device_code": begun["device_code"]})).json()
    async with httpx.AsyncClient(
        transport=browser._transport, base_url=ADDRESS, headers={"Authorization": f"Bearer {key['key']}"}
    ) as program:
        assert await name_of(program) == "ana"


async def test_programs_are_told_what_people_sign_in_with(browser: Browser) -> None:
    assert (await browser.get("/api/v1/platform")).json()["signs_in_with"] == "JupyterHub"


# Who is let in


async def test_an_equal_name_opens_nobodys_account(
    browser: Browser, people: People, hub: OAuthHub, services: Services
) -> None:
    who = await people.add("ana")
    for name in ("ana", "ana@example.com", who.person_id):
        hub.user["name"] = name
        assert (await come_in(browser, hub)).status_code == 403
        assert await name_of(browser) is None
    assert await acts(services) == ["person.create"]


async def test_an_administrators_link_opens_an_account(
    browser: Browser, people: People, hub: OAuthHub, services: Services
) -> None:
    who = await people.add("ana")
    hub.user["name"] = "aruiz"
    change(services, people={"aruiz": "ana"}, create_people=False)
    await come_in(browser, hub)
    assert (await browser.get("/api/v1/me")).json()["id"] == who.person_id


@pytest.mark.parametrize("linked", ["ana@example.com", "nobody"])
async def test_a_link_names_an_account_by_its_name_alone(
    browser: Browser, people: People, hub: OAuthHub, services: Services, linked: str
) -> None:
    await people.add("ana")
    change(services, people={"ana": linked})
    reply = await come_in(browser, hub)
    assert reply.status_code == 403
    assert "nobody here is called so" in shown(reply)


async def test_without_leave_no_account_is_made(browser: Browser, hub: OAuthHub, services: Services) -> None:
    change(services, create_people=False)
    reply = await come_in(browser, hub)
    assert (reply.status_code, await name_of(browser)) == (403, None)
    assert shown(reply) == "The JupyterHub says that you are 'ana' there, but no account here belongs to it."
    assert 'name="password"' in reply.text


async def test_who_is_suspended_or_erased_stays_out(browser: Browser, hub: OAuthHub, services: Services) -> None:
    await come_in(browser, hub)
    await services.suspension.suspend(OPERATOR, "ana")
    reply = await come_in(browser, hub)
    assert (shown(reply), await name_of(browser)) == ("Your account here is suspended.", None)
    await services.suspension.erase(OPERATOR, "ana", confirm="ana")
    assert "was erased" in shown(await come_in(browser, hub))


async def test_two_first_sign_ins_at_once_make_one_account(people: People, hub: OAuthHub) -> None:
    async with people.anonymous() as one, people.anonymous() as other:
        replies = await asyncio.gather(come_in(one, hub), come_in(other, hub))
        assert [reply.status_code for reply in replies] == [303, 303]
        assert await name_of(one) == await name_of(other) == "ana"


async def test_administrators_of_the_hub_are_none_here_unless_the_settings_say_so(
    browser: Browser, hub: OAuthHub, services: Services
) -> None:
    hub.user["admin"] = True
    await come_in(browser, hub)
    assert not (await browser.get("/api/v1/me")).json()["is_admin"]
    change(services, administrators=True)
    await come_in(browser, hub)
    assert (await browser.get("/api/v1/me")).json()["is_admin"]
    assert (await acts(services))[:2] == ["account.sign-in", "person.promote"]


async def test_who_is_administrator_no_more_at_the_hub_is_none_here_unless_the_last(
    browser: Browser, people: People, hub: OAuthHub, services: Services
) -> None:
    change(services, administrators=True)
    hub.user["admin"] = True
    await come_in(browser, hub)
    hub.user["admin"] = False
    await come_in(browser, hub)
    assert (await browser.get("/api/v1/me")).json()["is_admin"]
    await people.add("boss", is_admin=True)
    await come_in(browser, hub)
    assert not (await browser.get("/api/v1/me")).json()["is_admin"]


# Hostile browsers


async def test_a_browser_that_did_not_begin_cannot_finish(browser: Browser, people: People, hub: OAuthHub) -> None:
    there = await browser.get("/sign-in/jupyterhub")
    back = hub.sign_in(there.headers["location"])
    async with people.anonymous() as victim:
        reply = await victim.get(CALLBACK, params=back)
        assert (reply.status_code, await name_of(victim)) == (401, None)
        await victim.get("/sign-in/jupyterhub")
        assert (await victim.get(CALLBACK, params=back)).status_code == 401
    assert shown(reply).startswith("This sign-in was not begun by this browser")


async def test_a_sign_in_is_finished_once(browser: Browser, hub: OAuthHub) -> None:
    there = await browser.get("/sign-in/jupyterhub")
    kept = dict(browser.cookies)
    assert (await browser.get(CALLBACK, params=hub.sign_in(there.headers["location"]))).status_code == 303
    browser.cookies.clear()
    browser.cookies.update(kept)
    again = await browser.get(CALLBACK, params=hub.sign_in(there.headers["location"]))
    assert (again.status_code, await name_of(browser)) == (401, None)


async def test_a_code_counts_once_and_for_its_own_sign_in(browser: Browser, people: People, hub: OAuthHub) -> None:
    there = await browser.get("/sign-in/jupyterhub")
    back = hub.sign_in(there.headers["location"])
    async with people.anonymous() as other:
        own = hub.sign_in((await other.get("/sign-in/jupyterhub")).headers["location"])
        # Another's code: the verifier is not the one that it was asked with.
        stolen = await other.get(CALLBACK, params={**own, "code": back["code"]})
        assert (stolen.status_code, await name_of(other)) == (401, None)
    assert (await browser.get(CALLBACK, params=back)).status_code == 401
    assert await name_of(browser) is None


@pytest.mark.parametrize("params", [{}, {"state": "é"}, {"state": "x", "code": "y"}, {"error": "access_denied"}])
async def test_what_no_hub_sent_is_refused(browser: Browser, params: dict[str, str]) -> None:
    browser.cookies.set(f"studiolo-hub-{'0' * 8}", "1.2.3")
    assert (await browser.get(CALLBACK, params=params)).status_code == 401


async def test_who_says_no_at_the_hub_is_not_let_in(browser: Browser, hub: OAuthHub) -> None:
    state = hub.sign_in((await browser.get("/sign-in/jupyterhub")).headers["location"])["state"]
    reply = await browser.get(CALLBACK, params={"error": "access_denied", "state": state})
    assert (reply.status_code, shown(reply)) == (401, "The JupyterHub let nobody in.")


async def test_a_sign_in_takes_ten_minutes_at_most(browser: Browser, hub: OAuthHub, clock: ManualClock) -> None:
    there = await browser.get("/sign-in/jupyterhub")
    clock.advance(timedelta(minutes=10))
    assert (await browser.get(CALLBACK, params=hub.sign_in(there.headers["location"]))).status_code == 401


@pytest.mark.parametrize("next_", ["https://evil.test/", "//evil.test", "/\\evil.test", "javascript:alert(1)"])
async def test_no_sign_in_leads_elsewhere(browser: Browser, hub: OAuthHub, next_: str) -> None:
    assert (await come_in(browser, hub, next_)).headers["location"] == "/"


async def test_a_wrong_way_back_is_no_way_in(browser: Browser, hub: OAuthHub) -> None:
    there = await browser.get("/sign-in/jupyterhub")
    back = hub.sign_in(there.headers["location"])
    hub.callback = "http://elsewhere.test/callback"
    assert (await browser.get(CALLBACK, params=back)).status_code == 401


# Hubs that lie, or are away


@pytest.mark.parametrize("name", ["../root", "Ana", "ana\n", "p-7k2m9q4x0c5t8v1b", "a" * 64, "<script>", "\u0430na"])
async def test_a_name_that_nobody_can_have_here_makes_nobody(browser: Browser, hub: OAuthHub, name: str) -> None:
    hub.user["name"] = name
    reply = await come_in(browser, hub)
    assert (reply.status_code, await name_of(browser)) == (403, None)
    assert "<script>" not in reply.text.partition("<main")[2]


@pytest.mark.parametrize(
    "answer",
    ["[]", "{}", "no JSON", '{"kind": "service", "name": "ana"}', '{"kind": "user", "name": ["ana"]}', "9" * 2**20],
)
async def test_an_answer_that_is_none_of_a_hub_lets_nobody_in(browser: Browser, hub: OAuthHub, answer: str) -> None:
    hub.answers["/hub/api/user"] = answer
    reply = await come_in(browser, hub)
    assert (reply.status_code, await name_of(browser)) == (503, None)
    assert 'name="password"' in reply.text


async def test_a_wrong_token_of_ours_is_said_to_no_visitor(browser: Browser, hub: OAuthHub, settings: Settings) -> None:
    token_file = settings.accounts.jupyterhub.token_file
    assert token_file
    token_file.write_text("another")
    reply = await come_in(browser, hub)
    assert reply.status_code == 503
    assert "another" not in reply.text


async def test_while_the_hub_is_away_people_are_told_and_passwords_count(
    browser: Browser, hub: OAuthHub, services: Services
) -> None:
    change(services, timeout_seconds=1)
    hub.hangs = asyncio.Event()
    reply = await browser.get("/sign-in/jupyterhub", params={"next": "/account"})
    assert reply.status_code == 503
    assert shown(reply).startswith("The JupyterHub does not answer")
    assert 'name="next" value="/account"' in reply.text


async def test_a_platform_without_a_hub_has_no_such_door(browser: Browser, services: Services, hub: OAuthHub) -> None:
    change(services, url="")
    assert (await browser.get("/sign-in/jupyterhub")).status_code == 404
    assert (await browser.get(CALLBACK, params={"state": "x"})).status_code == 404


@pytest.mark.parametrize("table", [{"url": "hub.example.org"}, {"url": "https://hub.example.org"}, {"admins": True}])
def test_settings_that_cannot_be_meant_are_refused(tmp_path: Path, table: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match=r"accounts\.jupyterhub"):
        load_settings(data_dir=tmp_path, accounts={"jupyterhub": table})

"""People of a real JupyterHub sign in to a whole platform, in a browser and for their command line."""

import os
import re
import secrets
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from e2e.conftest import BIN, Platform, make_platform  # noqa: F401

pytestmark = [pytest.mark.engine, pytest.mark.engine_hub, pytest.mark.e2e, pytest.mark.timeout(600)]
PASSWORD = "test"
WITH_HUB = "Sign in with JupyterHub"


@pytest.fixture
def platform(make_platform: Callable[..., Platform], hub: dict[str, str]) -> Platform:  # noqa: F811
    """A platform where the Hub's configuration says that one is, since the way back must fit to the letter."""
    made = make_platform(
        port=int(os.environ["STUDIOLO_TEST_HUB_SIGN_IN_PORT"]),
        STUDIOLO_ACCOUNTS__JUPYTERHUB__URL=hub["url"],
        STUDIOLO_ACCOUNTS__JUPYTERHUB__TOKEN_FILE=hub["token_file"],
        STUDIOLO_ACCOUNTS__JUPYTERHUB__CREATE_PEOPLE="true",
    )
    made.up()
    return made


def sign_in_at_the_hub(page: Page, name: str) -> None:
    page.get_by_role("link", name=WITH_HUB).click()
    page.locator("#username_input").fill(name)
    page.locator("#password_input").fill(PASSWORD)
    page.locator("#login_submit").click()


@pytest.mark.browser
def test_a_person_of_the_hub_signs_in_and_lets_their_command_line_in(
    platform: Platform, chromium: Browser, hub: dict[str, str], tmp_path: Path
) -> None:
    name = f"ana-{secrets.token_hex(4)}"
    context = chromium.new_context()
    context.set_default_timeout(60_000)
    page = context.new_page()
    with subprocess.Popen(
        [BIN / "studiolo", "login", platform.address, "--json"],
        env={**platform.variables, "XDG_CONFIG_HOME": str(tmp_path / "another-machine")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stderr is not None
        link = next(found[0] for line in program.stderr if (found := re.search(r"http://\S+code=\S+", line)))
        page.goto(link)
        sign_in_at_the_hub(page, name)
        page.wait_for_url(link)
        page.get_by_role("button", name="Approve").click()
        said, _ = program.communicate(timeout=60)
    assert f'"name": "{name}"' in said, said

    headers = {"Authorization": f"token {Path(hub['token_file']).read_text().strip()}"}
    tokens = httpx.get(f"{hub['url']}/hub/api/users/{name}/tokens", headers=headers, timeout=30).json()["api_tokens"]
    assert not [token for token in tokens if token.get("oauth_client") not in ("JupyterHub", None)], tokens

    page.goto(f"{platform.address}/account")
    page.get_by_role("button", name="Sign out", exact=True).first.click()
    page.goto(f"{platform.address}/sign-in")
    # The Hub knows this browser.
    page.get_by_role("link", name=WITH_HUB).click()
    page.wait_for_url(f"{platform.address}/")

    platform.run("people", "suspend", name, "--yes")
    page.goto(f"{platform.address}/sign-in")
    page.get_by_role("link", name=WITH_HUB).click()
    expect(page.get_by_role("alert")).to_contain_text("Your account here is suspended.")

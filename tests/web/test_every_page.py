"""Each page in each of its states: readable for everybody, nothing outside the policy."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from web.conftest import Visitors
from web.stage import Samples

pytestmark = pytest.mark.browser

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()

# Name of the state, who looks, address.
PAGES: dict[str, tuple[str | None, str]] = {
    "sign-in": (None, "/sign-in"),
    "sign-in with a used link": (None, "/sign-in?link=nope"),
    "signed out": (None, "/signed-out"),
    "home": ("ana", "/"),
    "home, empty": ("nils", "/"),
    "home, many": ("mia", "/"),
    "workspaces, many": ("mia", "/workspaces"),
    "workspaces, none": ("nils", "/workspaces"),
    "workspaces, filtered away": ("ana", "/workspaces?q=zzz"),
    "workspace": ("ana", "/w/{churn}"),
    "workspace of others": ("ana", "/w/{reading}"),
    "workspace's sessions": ("ana", "/w/{churn}/sessions"),
    "workspace's sessions for a viewer": ("ana", "/w/{reading}/sessions"),
    "workspace's people": ("ana", "/w/{churn}/people"),
    "workspace's people for a viewer": ("ana", "/w/{reading}/people"),
    "output while you were away": ("ana", "/w/{churn}/away"),
    "output while you were away, none": ("ana", "/w/{reading}/away"),
    "workspace's activity": ("ana", "/w/{churn}/activity"),
    "workspace's settings": ("ana", "/w/{churn}/settings"),
    "workspace's environment": ("ana", "/w/{churn}/environment"),
    "workspace's environment for a viewer": ("ana", "/w/{reading}/environment"),
    "workspace's security": ("ana", "/w/{churn}/security"),
    "workspace's security, not scanned": ("ana", "/w/{reading}/security"),
    "workspace's policy": ("ana", "/w/{churn}/policy"),
    "workspace's policy for a viewer": ("ana", "/w/{reading}/policy"),
    "policy for an administrator": ("mia", "/admin/policy"),
    "starting": ("ana", "/go/{starting}"),
    "running": ("ana", "/sessions/{running}"),
    "stopped": ("ana", "/go/{stopped}"),
    "failed": ("ana", "/go/{failed}"),
    "session password": ("ana", "/go/{secret}"),
    "out of memory": ("ana", "/sessions/{hungry}"),
    "trash": ("ana", "/trash"),
    "trash, empty": ("nils", "/trash"),
    "workspace's settings for a viewer": ("ana", "/w/{reading}/settings"),
    "deleted, with undo": ("ana", "/?said=deleted&undo={churn}"),
    "clone": ("ana", "/w/{churn}/clone"),
    "move": ("ana", "/w/{churn}/move"),
    "datasets, none": ("ana", "/datasets"),
    "bases": ("ana", "/bases"),
    "engines": ("ana", "/engines"),
    "bases for an administrator": ("mia", "/bases"),
    "datasets for an administrator": ("mia", "/datasets"),
    "import": ("ana", "/workspaces/import"),
    "open with": ("ana", "/w/{churn}/launch"),
    "open with, refused": ("ana", "/w/{churn}/launch?profile=large&memory=lots&cpu=2&name=wide"),
    "sign in a program": ("ana", "/sign-in/device"),
    "sign in a program, wrong code": ("ana", "/sign-in/device?code=WRNG-CODE"),
    "sign in a program, asked": ("ana", "/sign-in/device?code={device}"),
    "workspace's kernels": ("ana", "/w/{churn}/kernels"),
    "workspace's kernels, ended": ("ana", "/w/{churn}/kernels?ended=true"),
    "workspace's kernels, many": ("mia", "/w/{study}/kernels"),
    "workspace's kernels, none, host away": ("leo", "/w/{reading}/kernels"),
    "workspace's kernels for a viewer": ("mia", "/w/{churn}/kernels"),
    "kernel": ("ana", "/kernels/{kernel}"),
    "kernel for a viewer": ("mia", "/kernels/{kernel}"),
    "kernel without output": ("leo", "/kernels/{quiet kernel}"),
    "kernel of somebody's session": ("leo", "/kernels/{kernel of a session}"),
    "kernel, ended": ("ana", "/kernels/{ended kernel}"),
    "kernel, missing": ("ana", "/kernels/nothing"),
    "everybody's kernels": ("mia", "/admin/kernels"),
    "everybody's sessions": ("mia", "/admin/sessions"),
    "account": ("ana", "/account"),
    "notifications": ("ana", "/notifications"),
    "notifications, none": ("nils", "/notifications"),
    "health": ("mia", "/admin"),
    "backups": ("mia", "/admin/backups"),
    "people": ("mia", "/admin/people"),
    "people, filtered away": ("mia", "/admin/people?q=zzz&kind=suspended"),
    "person": ("mia", "/admin/people/ana"),
    "person, missing": ("mia", "/admin/people/nobody"),
    "banner": ("mia", "/admin/banner"),
    "join, used": (None, "/join?invitation=nope"),
    "join": (None, "/join?invitation={invitation}"),
    "audit": ("mia", "/admin/audit"),
    "find": ("mia", "/find?q=s"),
    "requests": ("mia", "/requests"),
    "requests, denying": ("mia", "/requests?request={asked}&reason=Security+concern"),
    "requests, all": ("mia", "/requests?all=yes"),
    "requests of a member": ("ana", "/requests?request={asked}"),
    "request, denied": ("leo", "/requests?request={denied}"),
    "requests, none": ("nils", "/requests"),
    "ask for a package": ("ana", "/w/{churn}/request"),
    "ask for a package, refused": ("ana", "/w/{churn}/request?package=pytorch"),
    "ask for a package, asked already": ("leo", "/w/{churn}/request?package=tensorflow"),
    "ask for a package, blocked": ("ana", "/w/{churn}/request?package=requests"),
    "ask for a package, hidden": ("ana", "/w/{churn}/request?package=lightgbm==4.0"),
    "ask for a package, allowed": ("ana", "/w/{churn}/request?package=polars"),
    "missing": ("ana", "/w/nothing"),
    "forbidden": ("ana", "/admin/audit"),
}


def violations(page: Page, *rules: str) -> list[str]:
    """Run axe in the page, with all rules or these; return what it found."""
    found: dict[str, Any] = page.evaluate(
        """async ([source, rules]) => {
            if (!window.axe) (0, eval)(source);
            const only = rules.length ? {runOnly: rules} : {};
            return await axe.run(document, {resultTypes: ["violations"], ...only});
        }""",
        [AXE, rules],
    )
    return [
        f"{violation['id']}: {node['html'][:160]} {node['failureSummary']}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize("state", PAGES)
def test_axe_finds_nothing_in_light_and_dark(visitors: Visitors, samples: Samples, state: str) -> None:
    who, path = PAGES[state]
    visitor = visitors.get(who)
    page = visitor.open(path.format(**samples.ids))
    assert violations(page) == []
    # The same page, in other colours.
    page.emulate_media(color_scheme="dark")
    assert violations(page, "color-contrast") == []
    assert visitor.complaints == []
    page.close()

"""What people read of installations: changes, refusals with their way out, trees."""

import json
from pathlib import Path

import pytest

from cli.samples import BUILD, PLAN, PLANNED, Run
from studiolo.testing.stand_in import StandIn

CHURN = "/jupyter/workspaces/churn"
BLOCKED = {**PLANNED, "name": "urllib3", "version": "2.8.0", "verdict": "refuse", "code": "blocked"}
BLOCKED |= {"rule": "blocked_packages: urllib3", "source": "the product's default policy"}
BLOCKED |= {"because": "urllib3 is blocked.", "path": ["tool", "urllib3"], "passing": ["1.26.20"]}
REFUSED = {**BUILD, "state": "failed", "code": "package-refused", "changes": [], "violations": [BLOCKED]}
REFUSED |= {
    "message": "urllib3 is blocked (rule: blocked_packages: urllib3). tool needs it. "
    "Ask for it: studiolo request churn urllib3"
}


def test_an_install_prints_what_changed(cli: Run, platform: StandIn) -> None:
    ran = cli("install", "churn", "numpy")
    assert (ran.code, ran.out) == (0, "+ numpy 2.4.0\nBuild 2 is ready.\n")


@pytest.mark.req("S0-59")
def test_the_seeds_spelling_installs(cli: Run, platform: StandIn) -> None:
    assert cli("install", "churn", "numpy", program="ml jupyter").code == 0


def test_a_refusal_names_rule_way_and_what_passes(cli: Run, platform: StandIn) -> None:
    platform.answer("GET", f"{CHURN}/environment/builds/2", REFUSED)
    ran = cli("install", "churn", "tool")
    assert ran.code == 4
    for line in ("Refused: urllib3 2.8.0", "blocked_packages: urllib3", "tool", "1.26.20", "request churn urllib3"):
        assert line in ran.err
    told = json.loads(cli("install", "churn", "tool", "--json").out)
    assert (told["code"], told["violations"][0]["name"]) == ("package-refused", "urllib3")


def test_a_build_that_failed_otherwise_can_be_tried_again(cli: Run, platform: StandIn) -> None:
    failed = {**BUILD, "state": "failed", "code": "internal", "message": "An unexpected fault.", "changes": []}
    platform.answer("GET", f"{CHURN}/environment/builds/2", failed)
    assert cli("install", "churn", "tool").code == 8


def test_a_check_shows_the_tree_and_ends_as_denied(cli: Run, platform: StandIn) -> None:
    root = {"name": "tool", "version": "1.0", "verdict": "allow", "is_there": False, "needs": []}
    bad = {**root, "name": "urllib3", "version": "2.8.0", "verdict": "refuse"}
    tool = {**PLANNED, "name": "tool", "version": "1.0"}
    plan = {**PLAN, "packages": [tool, BLOCKED], "violations": [BLOCKED], "tree": [{**root, "needs": [bad]}]}
    platform.answer("POST", f"{CHURN}/packages/check", plan)
    ran = cli("check-package", "tool", "--workspace", "churn")
    assert ran.code == 4
    assert "✓ tool 1.0\n  ✕ urllib3 2.8.0   urllib3 is blocked.\n" in ran.out
    assert "request churn urllib3" in ran.err


def test_a_file_is_sent_as_it_stands(cli: Run, platform: StandIn, tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("numpy==1.24.0\n")
    assert cli("install", "churn", "-r", str(file)).code == 0
    assert platform.last("POST").body["file"] == {"name": "requirements.txt", "text": "numpy==1.24.0\n"}


def test_nothing_to_install_is_said_at_once(cli: Run, platform: StandIn) -> None:
    assert cli("install", "churn").code == 2

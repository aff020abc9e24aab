"""Inviting, suspending and handing over from the command line and Python, against the real control plane."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.control_plane import ControlPlane, control_plane
from cli.samples import Run
from studiolo.contract.errors import NotFound, NotSignedIn
from studiolo.sdk import Studiolo
from studiolo.sdk.credentials import store

PASSWORD = "violet-harbour-otter"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with control_plane(tmp_path_factory.mktemp("p")) as running:
        yield running


@pytest.fixture
def server(shared: ControlPlane, home: Path) -> ControlPlane:
    store(shared.url, shared.key, shared.person)
    return shared


def join(cli: Run, server: ControlPlane, name: str, *words: str) -> Studiolo:
    """Invite somebody, and have them join; returns their client."""
    invited = cli("people", "invite", name, *words, "--json")
    assert invited.code == 0, invited.err
    with Studiolo(server.url, server.key) as anybody:
        key = anybody.invitations.accept(invited.data["url"], name, PASSWORD).key
    return Studiolo(server.url, key)


@pytest.mark.req("S0-93")
def test_who_is_invited_joins_with_a_role(cli: Run, server: ControlPlane) -> None:
    cli("create", "shared")
    shown = cli("people", "invite", "kim", "--workspace", "shared=viewer")
    assert "/join?invitation=" in shown.out
    assert "kim" in cli("people", "invitations").out
    assert "/join?invitation=" in cli("people", "renew", "kim").out
    assert cli("people", "withdraw", "kim").code == 0
    with join(cli, server, "kim", "--workspace", "shared=viewer") as kim:
        assert kim.workspaces.get("shared").role == "viewer"
    assert "shared" in cli("people", "show", "kim").out
    assert "invitation by" in cli("members", "shared").out


def test_a_suspended_person_is_out_until_reinstated(cli: Run, server: ControlPlane) -> None:
    with join(cli, server, "mo") as mo:
        assert mo.me.get().name == "mo"
        assert cli("people", "suspend", "mo", "--yes").out == "Suspended mo.\n"
        with pytest.raises(NotSignedIn):
            mo.me.get()
        assert cli("people", "list", "--suspended", "--json").data[0]["name"] == "mo"
        assert cli("people", "reset", "mo", "--json").data["code"] == "person-suspended"
        assert cli("people", "reinstate", "mo").code == 0
        assert "/sign-in?link=" in cli("people", "reset", "mo").out
    refused = cli("people", "suspend", server.person, "--yes", "--json")
    assert (refused.code, refused.data["code"]) == (4, "own-account")


def test_who_leaves_hands_over_and_is_erased(cli: Run, server: ControlPlane) -> None:
    with join(cli, server, "lee") as lee:
        lee.workspaces.create("legacy")
    assert cli("people", "erase", "lee", "--yes", "--json").data["code"] == "owns-workspaces"
    assert f"{server.person} owns legacy" in cli("people", "hand-over", "lee", "--to", server.person, "--yes").out
    assert cli("people", "erase", "lee", "--yes").code == 0
    with Studiolo(server.url, server.key) as admin:
        assert admin.workspaces.get("legacy").role == "owner"
        with pytest.raises(NotFound):
            admin.people.access("lee")


def test_administrators_are_made_and_unmade_and_one_remains(cli: Run, server: ControlPlane) -> None:
    with join(cli, server, "pat"):
        assert cli("people", "promote", "pat").out == "pat is administrator.\n"
        assert [p["name"] for p in cli("people", "list", "--admins", "--json").data] == [server.person, "pat"]
        assert cli("people", "demote", "pat").code == 0
        last = cli("people", "demote", server.person, "--json")
        assert (last.code, last.data["code"]) == (6, "last-admin")


def test_a_member_leaves(cli: Run, server: ControlPlane) -> None:
    cli("create", "left")
    with join(cli, server, "uma", "--workspace", "left=editor") as uma:
        uma.workspaces.leave("left")
        with pytest.raises(NotFound):
            uma.workspaces.get("left")
    assert cli("leave", "left", "--yes", "--json").data["code"] == "last-owner"


def test_everybody_is_told(cli: Run, server: ControlPlane) -> None:
    assert cli("banner", "post", "Restart at noon", "--warning", "--minutes", "5").out == "Restart at noon\n"
    with join(cli, server, "ivo") as ivo:
        told = ivo.banners.get()
        assert told is not None
        assert (told.text, told.level) == ("Restart at noon", "warning")
    assert cli("banner", "clear").code == 0
    assert cli("banner", "--json").data == {"banner": None}

"""Shortcuts at the front door: who holds one is not asked about, and only what is theirs goes through it."""

from pathlib import Path

import pytest

from supervisor.conftest import Door

SESSION = "s-0123456789abcdef"
KEY = "sto_" + "A" * 38
PATH = f"/s/{SESSION}/lab"


def open_for(door: Door, holder: str, session: str = SESSION) -> Path:
    """Open a shortcut as the control plane does."""
    folder = door.settings.shortcuts
    folder.mkdir(exist_ok=True)
    name = f"{session}.{holder[:26]}"
    (folder / f"{name}.s").symlink_to(door.session_socket)
    (folder / name).touch()
    return folder / name


async def test_whoever_holds_a_shortcut_is_not_asked_about(door: Door) -> None:
    open_for(door, KEY)
    reply = await door.http.get(PATH, headers={"Authorization": f"token {KEY}", "X-Studiolo-Person": "forged"})
    assert reply.status_code == 200
    assert not door.questions
    sent = door.session.seen[-1].headers
    assert "authorization" not in sent
    assert not [name for name in sent if name.startswith("x-studiolo")]


async def test_the_platforms_cookies_do_not_go_through_a_shortcut(door: Door) -> None:
    token = "t" * 43
    open_for(door, token)
    cookies = (
        f"studiolo-login-{door.settings.instance}=secret; _xsrf=2|a; {door.settings.entry_cookie}={token}; "
        f"__Host-studiolo-nonce-1=n; mystudiolo-x=kept"
    )
    reply = await door.http.get(PATH, headers={"Cookie": cookies})
    assert reply.status_code == 200
    assert not door.questions
    sent = door.session.seen[-1].header("cookie") or ""
    assert [pair.strip() for pair in sent.split(";") if pair.strip()] == ["_xsrf=2|a", "mystudiolo-x=kept"]


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", PATH, {"Authorization": f"token {KEY}"}),
        ("GET", PATH, {"Authorization": "token sto_" + "B" * 38}),
        ("GET", PATH, {}),
        ("GET", PATH, {"Authorization": f"Basic {KEY}"}),
        ("GET", "/s/s-fedcba9876543210/lab", {"Authorization": f"token {KEY}"}),
        ("GET", PATH, {"Cookie": f"other={KEY}"}),
        (
            "GET",
            PATH,
            {
                "Authorization": f"token {KEY}",
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
                "Sec-WebSocket-Version": "13",
            },
        ),
    ],
)
async def test_everything_else_is_asked_about(door: Door, method: str, path: str, headers: dict[str, str]) -> None:
    open_for(door, KEY)
    await door.http.request(method, path, headers=headers)
    assert len(door.questions) == 1


async def test_a_shortcut_that_was_closed_leads_to_the_question_again(door: Door) -> None:
    name = open_for(door, KEY)
    headers = {"Authorization": f"token {KEY}"}
    await door.http.get(PATH, headers=headers)
    name.unlink()
    await door.http.get(PATH, headers=headers)
    assert len(door.questions) == 1


async def test_a_failed_request_is_logged_without_what_was_sent(door: Door) -> None:
    door.session_socket.unlink()
    reply = await door.http.get(f"{PATH}?token=hush", headers={"Authorization": "token hush"})
    assert reply.status_code == 502
    log = (door.settings.data_dir / "caddy.log").read_text()
    assert "of-launch" not in log
    assert "hush" not in log

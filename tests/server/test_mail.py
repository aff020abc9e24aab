"""Invitations by mail, through a real SMTP server on this machine."""

import asyncio
from collections.abc import AsyncIterator
from email import message_from_string
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import httpx
import pytest

from studiolo.server.accounts.mail import Mail
from studiolo.server.services import Services
from studiolo.server.settings.mail import MailSettings

V1 = "/api/v1"


class Post:
    """An SMTP server that keeps what it is given; `refuses`: an address that it does not take."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.logins: list[str] = []
        self.refuses = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(line: str) -> None:
            writer.write(f"{line}\r\n".encode())

        say("220 post")
        while line := (await reader.readline()).decode().strip():
            verb = line[:4].upper()
            if verb == "EHLO":
                say("250-post")
                say("250 AUTH PLAIN")
            elif verb == "AUTH":
                self.logins.append(line)
                say("235 come in")
            elif verb == "RCPT":
                say("550 nobody of this name" if self.refuses and self.refuses in line else "250 fine")
            elif verb == "DATA":
                say("354 go on")
                await writer.drain()
                text = (await reader.readuntil(b"\r\n.\r\n")).decode()
                self.mails.append(
                    message_from_string(text.removesuffix("\r\n.\r\n"), _class=EmailMessage, policy=default)
                )
                say("250 kept")
            elif verb == "QUIT":
                say("221 bye")
                break
            else:
                say("250 fine")
            await writer.drain()
        writer.close()


@pytest.fixture
async def post(services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Post]:
    kept = Post()
    (tmp_path / "password").write_text("secret\n")
    async with await asyncio.start_server(kept.serve, "127.0.0.1", 0) as server:
        settings = MailSettings(
            host="127.0.0.1",
            port=server.sockets[0].getsockname()[1],
            tls="off",
            user="studiolo",
            password_file=tmp_path / "password",
            sender="studiolo@example.com",
        )
        monkeypatch.setattr(services.invitations, "_mail", Mail(settings, domain="localhost"))
        yield kept


async def test_an_invitation_is_sent_with_its_link(post: Post, admin: httpx.AsyncClient) -> None:
    made = (await admin.post(f"{V1}/invitations", json={"to": "nora@example.com"})).json()
    (mail,) = post.mails
    assert (mail["to"], mail["from"]) == ("nora@example.com", "studiolo@example.com")
    assert made["url"] in mail.get_content()
    assert (made["problem"], len(post.logins)) == (None, 1)
    assert (await admin.get(f"{V1}/invitations")).json()["items"][0]["mailed_at"] is not None


async def test_a_refusal_is_told_and_the_link_still_shown(post: Post, admin: httpx.AsyncClient) -> None:
    post.refuses = "nora@example.com"
    made = (await admin.post(f"{V1}/invitations", json={"to": "nora@example.com"})).json()
    assert "does not take mail for this address" in made["problem"]
    assert "/join?invitation=" in made["url"]
    assert made["mailed_at"] is None


async def test_a_server_that_is_away_is_told(
    services: Services, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing listens on port 1.
    settings = MailSettings(host="127.0.0.1", port=1, tls="off", timeout_seconds=5)
    monkeypatch.setattr(services.invitations, "_mail", Mail(settings, domain="localhost"))
    made = (await admin.post(f"{V1}/invitations", json={"to": "nora@example.com"})).json()
    assert made["problem"].startswith("The mail was not sent:")
    assert made["url"]


async def test_by_name_no_mail_is_sent(post: Post, admin: httpx.AsyncClient) -> None:
    made = (await admin.post(f"{V1}/invitations", json={"to": "nora"})).json()
    assert (post.mails, made["mailed_at"], made["problem"]) == ([], None, None)

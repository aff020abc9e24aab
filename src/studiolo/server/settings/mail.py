"""Settings of outgoing mail. Without a host no mail is sent: links are shown, to be sent by hand."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field


class MailSettings(BaseModel):
    """The server that takes our mail."""

    host: str = Field("", max_length=255, description="Name of the SMTP server; empty: no mail is sent.")
    port: int = Field(587, ge=1, le=65535, description="Its port.")
    tls: Literal["starttls", "tls", "off"] = Field(
        "starttls", description="`tls`: encrypted from the first byte, usually port 465; `off`: for a server close by."
    )
    user: str = Field("", max_length=255, description="Name to sign in with; empty: without signing in.")
    password_file: Path | None = Field(None, description="File that holds its password, read when a mail is sent.")
    sender: str = Field("", max_length=254, description="Address that mail comes from; empty: `user`.")
    timeout_seconds: float = Field(10.0, gt=0, le=60, description="How long the server may take for each answer.")

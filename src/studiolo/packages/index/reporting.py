"""What was delivered and refused: written to the host's own journal first, then told to the platform, each once.

An entry is {kind, id, workspace, session, person, ecosystem, channel, name, version, file, policy, cause, at} and, of
kind `delivery`, {sha256, fingerprint}; of kind `refusal`, {code, rule, because, enforced}. The platform knows
entries by their id, so that one that is told again has no second effect.
"""

import asyncio
import hashlib
import logging
import secrets
import sqlite3
import time
from datetime import UTC, datetime
from typing import Any

from studiolo.contract.errors import StudioloError
from studiolo.packages.index.callers import Caller
from studiolo.packages.index.control import ControlPlane
from studiolo.packages.index.store import Store
from studiolo.packages.policy.decisions import Decision, Subject

_BATCH = 200
# Installers come in bursts: so long more entries are waited for.
_GATHER_SECONDS = 0.2
_RETRY_SECONDS = 2.0
_MOST_REMEMBERED = 20_000

_log = logging.getLogger(__name__)


class Reports:
    """Tells the platform."""

    def __init__(self, store: Store, control: ControlPlane) -> None:
        self._store = store
        self._control = control
        self._hint = asyncio.Event()
        # What was left from an earlier run.
        self._hint.set()
        self._refused: dict[str, None] = {}

    def deliver(self, caller: Caller, subject: Subject, *, sha256: str, fingerprint: str | None) -> None:
        """Note a file that is about to be sent whole."""
        told = {"kind": "delivery", "id": secrets.token_hex(16), "sha256": sha256, "fingerprint": fingerprint}
        self._note(told | _common(caller, subject))

    def refuse(self, caller: Caller, subject: Subject, decision: Decision, *, enforced: bool = True) -> None:
        """Note a refusal, once a minute for each session, name and code. `enforced`: not so in a dry run."""
        minute = int(time.time()) // 60
        whom = (caller.workspace, caller.session, caller.person, subject.ecosystem, subject.name, decision.code)
        name = hashlib.sha256(repr((whom, minute)).encode()).hexdigest()[:32]
        if name in self._refused:
            return
        if len(self._refused) >= _MOST_REMEMBERED:
            self._refused.clear()
        self._refused[name] = None
        told: dict[str, Any] = {"kind": "refusal", "id": name, "code": decision.code, "rule": decision.rule}
        told |= {"because": decision.because, "enforced": enforced}
        self._note(told | _common(caller, subject))

    async def tell_forever(self) -> None:
        """Tell what stands in the journal, as long as the host runs."""
        while True:
            await self._hint.wait()
            await asyncio.sleep(_GATHER_SECONDS)
            self._hint.clear()
            try:
                await self.tell_all()
            except (StudioloError, sqlite3.Error) as exc:
                _log.warning("the platform was not told: %r", exc)
                self._hint.set()
                await asyncio.sleep(_RETRY_SECONDS)

    async def tell_all(self) -> None:
        """Tell everything that stands in the journal. Raises errors of ControlPlane."""
        while True:
            number, entries = self._store.untold(_BATCH)
            if not entries:
                return
            await self._control.ask("deliveries", {"entries": entries})
            self._store.forget(number)

    def _note(self, told: dict[str, Any]) -> None:
        self._store.note(told)
        self._hint.set()


def _common(caller: Caller, subject: Subject) -> dict[str, Any]:
    return {
        "workspace": caller.workspace,
        "session": caller.session,
        "person": caller.person,
        "ecosystem": subject.ecosystem,
        "channel": subject.channel or "",
        "name": subject.name,
        "version": subject.version or "",
        "file": subject.file or "",
        "policy": caller.policy,
        "cause": caller.cause,
        "at": datetime.now(UTC).isoformat(),
    }

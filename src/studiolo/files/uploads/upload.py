"""One upload: what was announced, and how far it is. Kept as a small file beside its bytes."""

import dataclasses
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from studiolo.contract.errors import NotFound

KEPT = timedelta(days=7)
_ID = re.compile(r"[0-9a-f]{32}")
_NONE = type(None)
# What members of a kept state may be.
_UPLOAD: dict[str, tuple[type, ...]] = {
    "id": (str,),
    "person": (str,),
    "expires": (int, float),
    "unverified": (int, _NONE),
}
_WISH: dict[str, tuple[type, ...]] = {
    "path": (str,),
    "size": (int,),
    "overwrite": (bool,),
    "if_match": (str, _NONE),
    "sha256": (str, _NONE),
    "modified": (int, float, _NONE),
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What an upload is to become. `path`: of the wire; `size` in bytes.

    `overwrite`: whether an existing file may be replaced; `if_match`: only the one of this ETag. `sha256`: of the
    whole, in hexadecimal digits, checked before it is placed. `modified`: seconds since 1970 that the file shall tell.
    """

    path: str
    size: int
    overwrite: bool = False
    if_match: str | None = None
    sha256: str | None = None
    modified: float | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload. `expires`: seconds since 1970; `unverified`: where a part begins whose checksum is not known yet."""

    id: str
    person: str
    wish: Wish
    expires: float
    unverified: int | None = None

    @property
    def expires_at(self) -> datetime:
        """When it is removed unless it goes on."""
        return datetime.fromtimestamp(self.expires, UTC)

    @property
    def data_name(self) -> str:
        """Name of the file that gathers its bytes."""
        return f"{self.id}.data"

    @property
    def state_name(self) -> str:
        """Name of the file that holds what is said here."""
        return state_name(self.id)


def announce(wish: Wish, person: str, now: datetime) -> Upload:
    """Return a new upload."""
    return Upload(secrets.token_hex(16), person, wish, (now + KEPT).timestamp())


def state_name(upload_id: str) -> str:
    """Return the name of an upload's state. Raises NotFound for what is no id."""
    if not _ID.fullmatch(upload_id):
        raise no_upload()
    return f"{upload_id}.json"


def to_json(upload: Upload) -> bytes:
    """Return an upload as its state is kept."""
    return json.dumps(dataclasses.asdict(upload)).encode()


def from_json(raw: bytes) -> Upload:
    """Read a kept state: anybody with a terminal may have written it. Raises NotFound."""
    try:
        found = json.loads(raw)
        wish = Wish(**found.pop("wish"))
        upload = Upload(**found, wish=wish)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
        raise no_upload() from exc
    if not (_is_of(upload, _UPLOAD) and _is_of(wish, _WISH)) or wish.size < 0 or (upload.unverified or 0) < 0:
        raise no_upload()
    return upload


def _is_of(one: object, kinds: Mapping[str, tuple[type, ...]]) -> bool:
    return all(type(getattr(one, name)) in allowed for name, allowed in kinds.items())


def no_upload() -> NotFound:
    """The error for an upload that is not there, or another person's."""
    return NotFound(
        "upload-not-found",
        "There is no such upload: it was finished, given up, or has expired.",
        hint="Look whether the file is there; if not, begin anew.",
    )

"""The bases of all wire models."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, model_validator

_NO_TEXT = re.compile("[\0\ud800-\udfff]")


def _in_utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError as exc:
        raise ValueError("outside the years 1 to 9999") from exc


# A time that people or programs send, with its zone.
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class Shape(BaseModel):
    """Frozen."""

    model_config = ConfigDict(frozen=True)


class Strict(Shape):
    """What people send: unknown members are refused."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _check_text(cls, given: Any) -> Any:
        """Refuse what neither file systems nor databases take as text: NUL, and half of a surrogate pair."""
        parts = [given]
        while parts:
            part = parts.pop()
            if isinstance(part, str) and _NO_TEXT.search(part):
                raise ValueError("a text has a NUL byte, or half of a surrogate pair")
            if isinstance(part, dict):
                parts += [*part.keys(), *part.values()]
            elif isinstance(part, list):
                parts += part
        return given

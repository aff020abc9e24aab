"""Durations in settings: a number of seconds, or words such as 90s, 5m, 8h, 2d."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator

from studiolo.contract.durations import read_words


def _parse(value: Any) -> Any:
    length = read_words(value) if isinstance(value, str) else None
    # What words do not say, the type's own reader may know: ISO 8601, or numbers.
    return value if length is None else length


Duration = Annotated[timedelta, BeforeValidator(_parse)]

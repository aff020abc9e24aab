"""What a check found."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from studiolo.contract.errors import StudioloError

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Result:
    """One check's finding. `remedy`: what to do about it, or what to know; None when there is nothing."""

    name: str
    status: Status
    finding: str
    remedy: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return {name, status, finding, remedy}."""
        return asdict(self)


def failed(name: str, error: StudioloError) -> Result:
    """Return the result for an error that names what is wrong and what to do."""
    return Result(name, "fail", error.message, error.hint)

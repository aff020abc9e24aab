"""Read what a form sent into a request model."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from studiolo.contract.errors import InvalidInput, StudioloError

Model = TypeVar("Model", bound=BaseModel)


def read(model: type[Model], **values: Any) -> Model:
    """Return the model; raises InvalidInput (`request-invalid`) that names the first wrong field and lists all."""
    try:
        return model(**values)
    except ValidationError as exc:
        errors = [
            {"location": ".".join(map(str, one["loc"])), "message": _sentence(one["msg"])} for one in exc.errors()
        ]
        field, told = errors[0]["location"].replace("_", " ").capitalize(), errors[0]["message"]
        raise InvalidInput("request-invalid", f"{field}: {told[0].lower()}{told[1:]}", errors=errors) from exc


def faults_of(problem: StudioloError | None, by_code: Mapping[str, str]) -> dict[str, str]:
    """Return what is wrong with which field: as `read` found it, or as `by_code` says for a code."""
    if problem is None:
        return {}
    told = {str(one["location"]).partition(".")[0]: str(one["message"]) for one in problem.extra.get("errors") or ()}
    if not told and problem.code in by_code:
        told = {by_code[problem.code]: problem.message + (f" {problem.hint}" if problem.hint else "")}
    return told


def _sentence(message: str) -> str:
    words = message.removeprefix("Value error, ")
    return f"{words[:1].upper()}{words[1:]}."

"""Read what a form sent into a request model."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from studiolo.contract.errors import InvalidInput

Model = TypeVar("Model", bound=BaseModel)


def read(model: type[Model], **values: Any) -> Model:
    """Return the model; raises InvalidInput (`request-invalid`) that names the first wrong field."""
    try:
        return model(**values)
    except ValidationError as exc:
        first = exc.errors()[0]
        field = ".".join(str(part) for part in first["loc"]).replace("_", " ").capitalize()
        raise InvalidInput("request-invalid", f"{field}: {first['msg'][0].lower()}{first['msg'][1:]}.") from exc

"""Build request bodies, with our own error for what cannot be right."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from studiolo.contract.errors import InvalidInput

Form = TypeVar("Form", bound=BaseModel)


def fill(form: type[Form], **given: Any) -> Form:
    """Return a request body of what is not None; what is None is left to the platform.

    Raises InvalidInput (`request-invalid`, `extra["errors"]`) where the platform would refuse it anyway.
    """
    try:
        return form.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as exc:
        errors = [
            {"location": ".".join(map(str, fault["loc"])), "message": fault["msg"].removeprefix("Value error, ")}
            for fault in exc.errors(include_url=False, include_input=False, include_context=False)
        ]
        said = "; ".join(f"{error['location']}: {error['message']}" for error in errors[:3])
        raise InvalidInput("request-invalid", f"This cannot be right: {said}.", errors=errors) from exc

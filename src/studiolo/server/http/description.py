"""The API's description (OpenAPI): what is true of every operation is said here once."""

from typing import Any

from fastapi import FastAPI

from studiolo.contract.models import Problem
from studiolo.server.http import idempotency


def install(app: FastAPI) -> None:
    """Add problem replies and repeatable requests to the description that the framework makes."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            description = FastAPI.openapi(app)
            description["components"]["schemas"]["Problem"] = Problem.model_json_schema()
            idempotency.describe(description)
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]

"""The API's description (OpenAPI): what is true of every operation is said here once."""

from typing import Any

from fastapi import FastAPI

from studiolo.contract.models import Problem
from studiolo.contract.operations import OPERATIONS, Access
from studiolo.server.http import idempotency
from studiolo.server.http.identity import check_operations


def install(app: FastAPI) -> None:
    """Add problem replies and repeatable requests to the description that the framework makes."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            description = FastAPI.openapi(app)
            description["components"]["schemas"]["Problem"] = Problem.model_json_schema()
            idempotency.describe(description)
            _describe_access(app, description)
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _describe_access(app: FastAPI, description: dict[str, Any]) -> None:
    """Say of each operation whether a key is needed, as the table of operations has it."""
    description["components"]["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "A key of a person: studiolo keys create."}
    }
    for method, path, name in check_operations(app.routes):
        operation = description["paths"].get(path, {}).get(method.lower())
        if operation is not None:
            operation["security"] = [] if OPERATIONS[name].access is Access.PUBLIC else [{"key": []}]

"""Hand a route the service that the composition root built."""

from collections.abc import Callable
from typing import Any

from starlette.requests import HTTPConnection


def service(name: str) -> Callable[[HTTPConnection], Any]:
    """Return a dependency that finds the service `name` on the application."""

    def find(connection: HTTPConnection) -> Any:
        return getattr(connection.app.state.services, name)

    return find

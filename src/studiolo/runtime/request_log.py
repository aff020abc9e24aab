"""A line for each request that a session's server answers, with the id by which the platform's logs name it."""

import logging
import re

from jupyter_server.prometheus.log_functions import prometheus_log_method
from tornado.web import RequestHandler

REQUEST_ID_HEADER = "X-Request-Id"
_REQUEST_ID = re.compile(r"[0-9a-f-]{36}")


def log_request(handler: RequestHandler) -> None:
    """Called by Tornado with each handler that is done. Queries are left out: they may hold what people look for."""
    request, status = handler.request, handler.get_status()
    level = logging.DEBUG if status < 400 else logging.WARNING if status < 500 else logging.ERROR
    given = request.headers.get(REQUEST_ID_HEADER, "")
    logger = getattr(handler, "log", None) or logging.getLogger("tornado.access")
    logger.log(
        level,
        "request status=%d method=%s path=%r ms=%.1f request_id=%s",
        status,
        request.method,
        request.path[:256],
        1000 * request.request_time(),
        given if _REQUEST_ID.fullmatch(given) else "-",
    )
    prometheus_log_method(handler)  # type: ignore[no-untyped-call]

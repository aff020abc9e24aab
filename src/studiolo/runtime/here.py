"""What the platform has to say inside JupyterLab: our plug-in asks its own server, which asks the platform.

POST {base}studiolo/here {tab, open: [path, …], do?} answers {notices, others, links} (see contract/lab.py). Of all tabs
together: the platform hears once in some seconds, whatever the number of tabs.
"""

import json
import time
from typing import Any

from jupyter_server.base.handlers import APIHandler
from jupyter_server.serverapp import ServerApp
from tornado.httpclient import HTTPClientError
from tornado.routing import PathMatches, Rule
from tornado.web import HTTPError, authenticated

from studiolo.runtime.launch import LaunchRequest
from studiolo.runtime.platform import Platform

# Plug-ins ask each quarter of a minute.
_REMEMBER_SECONDS = 5.0
_TAB_SECONDS = 40.0
_MOST_TABS = 50
_MOST_OPEN = 200
_LONGEST_PATH = 1024
_DEEDS = ("keep-running", "stop")
_UNREACHABLE: dict[str, Any] = {
    "id": "platform",
    "level": "info",
    "text": "Studiolo itself is restarting. This notebook, its kernels and running cells go on.",
    "until": None,
    "actions": [],
}


def serve_here(server: ServerApp, request: LaunchRequest) -> None:
    """Have `server`, once initialised, answer our plug-in."""
    asker = Asker(request)
    route = Rule(PathMatches(f"{server.base_url}studiolo/here$"), HereHandler, {"asker": asker})
    server.web_app.default_router.rules.insert(0, route)


class Asker:
    """Asks the platform for all tabs of this session."""

    def __init__(self, request: LaunchRequest) -> None:
        self._platform = Platform(request)
        self._tabs: dict[str, tuple[float, list[str]]] = {}
        self._answer: dict[str, Any] = {"notices": [], "others": {}, "links": {}}
        self._asked: tuple[float, list[str]] = (0.0, [])

    async def ask(self, tab: str, paths: list[str], do: str | None) -> dict[str, Any]:
        """Return what to show. Raises HTTPError with words when something asked for was refused."""
        now = time.monotonic()
        self._tabs = {name: known for name, known in self._tabs.items() if now - known[0] < _TAB_SECONDS}
        if tab in self._tabs or len(self._tabs) < _MOST_TABS:
            self._tabs[tab] = (now, paths)
        everything = sorted({path for _, known in self._tabs.values() for path in known})[:_MOST_OPEN]
        asked_at, asked = self._asked
        if self._platform.is_known and (do or everything != asked or now - asked_at >= _REMEMBER_SECONDS):
            self._asked = (now, everything)
            self._answer = await self._ask_platform(everything, do)
        return self._answer

    async def _ask_platform(self, paths: list[str], do: str | None) -> dict[str, Any]:
        try:
            form = {"open": paths} | ({"do": do} if do else {})
            return dict(json.loads(await self._platform.post("here", form)))
        except HTTPClientError as exc:
            if do and exc.response is not None and exc.code < 500:
                raise HTTPError(exc.code, _words(exc.response.body)) from exc
        except (OSError, ValueError):
            pass
        # What was known stays known while the platform is away.
        return {**self._answer, "notices": [_UNREACHABLE]}


class HereHandler(APIHandler):
    """Answers the plug-in, for the person of the session."""

    def initialize(self, asker: Asker) -> None:
        """Called by Tornado for each request."""
        self._asker = asker

    @authenticated
    async def post(self) -> None:
        """Take what is open in a tab; answer what to show."""
        form = self.get_json_body()
        if not isinstance(form, dict) or not isinstance(form.get("tab"), str) or len(form["tab"]) > 64:
            raise HTTPError(400, "A tab's name is missing.")
        paths, do = form.get("open", []), form.get("do")
        if not isinstance(paths, list) or do not in (None, *_DEEDS):
            raise HTTPError(400, "Not understood.")
        good = [path for path in paths if isinstance(path, str) and 0 < len(path) <= _LONGEST_PATH]
        self.finish(json.dumps(await self._asker.ask(form["tab"], good[:_MOST_OPEN], do)))


def _words(body: bytes) -> str:
    try:
        problem = json.loads(body)
        return f"{problem['detail']} {problem.get('hint') or ''}".strip()
    except (ValueError, KeyError, TypeError):
        return "Studiolo refused it."

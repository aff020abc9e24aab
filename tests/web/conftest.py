"""One stage with samples and one browser for all tests of pages."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from web.stage import PASSWORD, Samples, Stage


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samples]:
    with Stage(tmp_path_factory.mktemp("stage")) as stage:
        filled = Samples(stage)
        stage.do(filled.fill())
        yield filled


class Visitor:
    """A signed-in browser of one person. What its pages complain about is collected in `complaints`."""

    def __init__(self, context: BrowserContext, stage: Stage, name: str | None) -> None:
        self._context = context
        self.stage = stage
        self.complaints: list[str] = []
        if name is not None:
            page = self.open("/sign-in")
            page.fill("#name", name)
            page.fill("#password", PASSWORD)
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_url(stage.address + "/")
            page.close()

    def open(self, path: str) -> Page:
        page = self._context.new_page()
        page.on("console", lambda said: self._hear(said.type, said.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(self.stage.address + path)
        return page

    def post(self, path: str, /, **form: str) -> int:
        """Send a form as a foreign program with this browser's cookies would; return the status."""
        reply = self._context.request.post(self.stage.address + path, form=form, max_redirects=0)
        return reply.status

    def _hear(self, kind: str, text: str) -> None:
        # Chromium reports the document's own 404, which some tests ask for.
        if kind in ("error", "warning") and "the server responded with a status of 4" not in text:
            self.complaints.append(text)


class Visitors:
    """Makes visitors; each keeps its login for all tests that look the same way."""

    def __init__(self, browser: Browser, stage: Stage) -> None:
        self._browser = browser
        self._stage = stage
        self._known: dict[tuple[str | None, str], Visitor] = {}

    def get(self, name: str | None, look: str = "light") -> Visitor:
        if (name, look) not in self._known:
            self._known[name, look] = self.new(name, look)
        visitor = self._known[name, look]
        visitor.complaints.clear()
        return visitor

    def new(self, name: str | None, look: str = "light", **options: object) -> Visitor:
        is_phone = look == "phone"
        context = self._browser.new_context(
            viewport={"width": 390, "height": 844} if is_phone else {"width": 1280, "height": 800},
            color_scheme="dark" if look == "dark" else "light",
            is_mobile=is_phone,
            has_touch=is_phone,
            reduced_motion="reduce",
            **options,  # type: ignore[arg-type]
        )
        # Pages share two cores with whole platforms, and what makes previews loads libraries first.
        context.set_default_timeout(60_000)
        return Visitor(context, self._stage, name)


@pytest.fixture(scope="session")
def visitors(chromium: Browser, samples: Samples) -> Visitors:
    return Visitors(chromium, samples.stage)

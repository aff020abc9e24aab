"""Pages that were made, by what they were made of, within a bound."""

from collections import OrderedDict
from datetime import datetime

from studiolo.packages.index.judging import judge_page
from studiolo.packages.index.pages import Page
from studiolo.packages.index.projects import Project
from studiolo.packages.index.store import Store
from studiolo.packages.policy.effective import Policy

_MOST_BYTES = 96 << 20
# What a file takes in a page that was made in both formats, packed and plain.
_FILE_BYTES = 1000
_PAGE_BYTES = 2000
# In a workspace's place. No name of one begins so.
_SHARED, _UNEXPLAINED, _EXPLAINED = "", "/", "?"
_Key = tuple[str, str, str, str]


class KeptPages:
    """Makes pages, and keeps what they were made to."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: OrderedDict[_Key, tuple[Page, int]] = OrderedDict()
        self._size_bytes = 0

    def get(
        self, policy: Policy, workspace: str, project: Project, now: datetime, *, is_explained: bool = False
    ) -> Page:
        """Return a project's page as a policy leaves it. `workspace`: the name that refusals say.

        `is_explained`: it says of versions that are left out why they are.
        """
        name = f"{project.channel}/{project.name}"
        # Where nothing is refused or explained, no workspace is named, and all of one policy share the page.
        for named in (_SHARED, _EXPLAINED + workspace) if is_explained else (_SHARED, _UNEXPLAINED, workspace):
            key = (policy.hash, named, name, project.digest)
            found = self._kept.get(key)
            if found is not None and (found[0].until is None or now < found[0].until):
                self._kept.move_to_end(key)
                return found[0]
        judged = judge_page(policy, project, self._store.digests(project.channel, project.name), now)
        if not any(decision for _, decision in judged.listed):
            if not judged.left_out:
                key = (policy.hash, _SHARED, name, project.digest)
            elif not is_explained:
                key = (policy.hash, _UNEXPLAINED, name, project.digest)
        page = Page(project, judged, workspace, " ".join(key), is_explained=is_explained)
        self._keep(key, page, _FILE_BYTES * len(project.files) + _PAGE_BYTES)
        return page

    def _keep(self, key: _Key, page: Page, size_bytes: int) -> None:
        if (earlier := self._kept.pop(key, None)) is not None:
            self._size_bytes -= earlier[1]
        self._kept[key] = (page, size_bytes)
        self._size_bytes += size_bytes
        while self._size_bytes > _MOST_BYTES and len(self._kept) > 1:
            self._size_bytes -= self._kept.popitem(last=False)[1][1]

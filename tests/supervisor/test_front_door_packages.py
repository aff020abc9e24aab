"""The package index through the front door: asked about, carried, and nothing of the credential carried on."""

import pytest

from studiolo.server.packages.door import find_place
from supervisor.conftest import Door

CARRIED = (
    "/pypi/simple/numpy/",
    "/pypi/files/numpy/numpy-2.0-py3-none-any.whl.metadata",
    "/conda/conda-forge/noarch/repodata.json",
    "/w/churn/pypi/simple/numpy/",
    "/w/ana~churn/conda/forge/noarch/repodata_shards.msgpack.zst",
)
OURS = ("/pypis/simple", "/w/churn", "/w/churn/pypie", "/w/churn/x/pypi/simple/", "/condas")


@pytest.mark.parametrize("path", CARRIED)
async def test_packages_are_asked_about_and_carried_to_the_index(door: Door, path: str) -> None:
    door.allow(**{"x-studiolo-index": "caller"})
    sent = {"X-Studiolo-Index": "forged", "Authorization": "Basic c2Vzc2lvbjprZXk="}
    assert (await door.http.get(path, headers=sent)).json() == {"by": "session"}
    assert find_place(path) is not None
    assert (door.questions[0].header("x-forwarded-uri"), door.questions[0].header("authorization")) == (
        path,
        sent["Authorization"],
    )
    seen = door.session.seen[-1]
    assert (seen.path, seen.header("x-studiolo-index"), seen.header("authorization")) == (path, "caller", None)


@pytest.mark.parametrize("path", OURS)
async def test_what_only_looks_like_it_is_the_platforms(door: Door, path: str) -> None:
    assert (await door.http.get(path)).json() == {"by": "control"}
    assert (door.questions, find_place(path)) == ([], None)

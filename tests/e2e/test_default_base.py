"""The environment that every workspace begins with, as it is shipped: a platform of its own, since others' is small."""

from collections.abc import Callable

import pytest

from e2e.conftest import Platform
from e2e.kernels import channels, execute, start_kernel
from studiolo import __version__

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

_CELL = """
import jupyterlab, matplotlib, mlflow, numpy, pandas, sklearn, studiolo.sdk
from notebooks import NotebookLauncher, WorkspaceManager
print(studiolo.__version__, studiolo.__file__.startswith(__import__('sys').prefix), mlflow.__version__[0])
"""


@pytest.mark.req("S3-19")
def test_a_new_kernel_has_the_client_and_an_installation_leaves_it(make_platform: Callable[..., Platform]) -> None:
    platform = make_platform(lock=None)
    platform.up()
    platform.run("create", "whole")
    session = platform.json("start", "whole")["id"]
    client = platform.client()
    kernel = start_kernel(client, session)
    with channels(client, session, kernel) as socket:
        assert execute(socket, _CELL, timeout=120).split() == [__version__, "True", "3"]
    before = _versions(platform)
    platform.run("install", "whole", "iniconfig")
    after = _versions(platform)
    assert after.pop("iniconfig")
    assert after == before
    assert after["studiolo"] == (__version__, True)
    # From the lock alone, on the base.
    platform.run("environment", "rebuild", "whole")
    assert {name for name, (_, of_base) in _versions(platform).items() if not of_base} == {"iniconfig"}


def _versions(platform: Platform) -> dict[str, tuple[str, bool]]:
    return {one["name"]: (one["version"], one["from_base"]) for one in platform.json("packages", "whole")}

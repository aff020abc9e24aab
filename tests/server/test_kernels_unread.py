"""Output that came while nobody was connected: who is told of it, and who may put it into the notebook."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from server.conftest import People
from server.kernel_host import Host, add_kernel, standing_in
from studiolo.contract.errors import Denied, NotFound
from studiolo.contract.models import MemberSet, WorkspaceCreate
from studiolo.contract.operations import Role
from studiolo.server.services import Services
from studiolo.server.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    run_dir = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
    yield Settings(data_dir=tmp_path / "data", port=28888, run_dir=run_dir)
    shutil.rmtree(run_dir)


@pytest.fixture
async def host(services: Services) -> AsyncIterator[Host]:
    async with standing_in(services) as host:
        yield host


async def test_only_kernels_that_were_left_with_output_are_told(services: Services, people: People, host: Host) -> None:
    ana = await people.add("ana")
    own = await services.workspaces.create(ana, WorkspaceCreate(name="churn"))
    rows = {
        "left": {"path": "a.ipynb", "output": 9},
        "seen": {"path": "b.ipynb", "output": 9},
        "watched": {"path": "c.ipynb", "output": 9, "connections": 1},
        "no notebook": {"output": 9},
    }
    ids = {name: await add_kernel(services, own.id, ana.person_id, **values) for name, values in rows.items()}
    host.kernels = [{"id": one, "unread_after": None if name == "seen" else 4} for name, one in ids.items()]
    for workspace in (None, own.id):
        unread = await services.kernels.list_unread(ana, workspace=workspace)
        assert [(one.kernel.id, one.after) for one in unread] == [(ids["left"], 4)]


async def test_a_host_that_does_not_answer_hides_no_page(services: Services, people: People) -> None:
    ana = await people.add("ana")
    own = await services.workspaces.create(ana, WorkspaceCreate(name="churn"))
    await add_kernel(services, own.id, ana.person_id, path="a.ipynb", output=9)
    assert await services.kernels.list_unread(ana) == []


async def test_output_is_inserted_by_who_may_run_code_only(services: Services, people: People, host: Host) -> None:
    ana, leo, mia = await people.add("ana"), await people.add("leo"), await people.add("mia")
    own = await services.workspaces.create(ana, WorkspaceCreate(name="churn"))
    await services.members.set_member(ana, own.id, MemberSet(person="leo", role=Role.VIEWER))
    kernel = await add_kernel(services, own.id, ana.person_id, path="a.ipynb", output=9)
    with pytest.raises(Denied):
        await services.kernels.insert_output(leo, kernel)
    with pytest.raises(NotFound):
        await services.kernels.insert_output(mia, kernel)
    assert not any(seen.path.endswith("/notebook") for seen in host.app.seen)
    await services.kernels.insert_output(ana, kernel)
    assert host.app.seen[-1].path == f"/w/{own.id}/api/kernels/{kernel}/notebook"

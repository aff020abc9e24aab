"""The chart's PostgreSQL really runs, by Podman: a platform keeps its database there, and comes back from a backup."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from base_environments import give_base, small_lock
from deploy.charts import PostgreSQL
from deploy.images import call
from e2e.conftest import Platform, make_platform
from engines.container.conftest import podman
from studiolo.testing.fixtures import run_dir

__all__ = ["make_platform", "podman", "run_dir"]
pytestmark = [pytest.mark.engine, pytest.mark.engine_podman, pytest.mark.e2e, pytest.mark.timeout(600)]

IMAGE = "localhost/studiolo-postgresql:test"
# What images of PostgreSQL on Debian are: its programs on the path, and an account 999.
RECIPE = """
ARG BASE
FROM ${BASE}
RUN mkdir /etc/postgresql-common && echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf \\
 && apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends postgresql >/dev/null \\
 && groupmod --gid 999 postgres && usermod --uid 999 --gid 999 postgres && ln -s /usr/lib/postgresql/*/bin/* /usr/local/bin/
"""


@pytest.fixture(scope="module")
def image(podman: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image of Debian's PostgreSQL, on the Debian of all such tests."""
    folder = tmp_path_factory.mktemp("image")
    (folder / "Containerfile").write_text(RECIPE)
    base = f"BASE={os.environ['STUDIOLO_TEST_PODMAN_IMAGE']}"
    call("build", "--isolation=chroot", "--layers", "--build-arg", base, "--tag", IMAGE, folder, seconds=500)
    return IMAGE


@pytest.fixture
def make_database(image: str, run_dir: Path) -> Iterator[Callable[[str, str], PostgreSQL]]:
    """Make PostgreSQLs in a folder of a name, with a password; they end with the test."""
    run_dir.chmod(0o755)
    made: list[PostgreSQL] = []

    def make(name: str, password: str) -> PostgreSQL:
        folder = run_dir / f"{run_dir.name}-{name}"
        folder.mkdir(exist_ok=True)
        made.append(PostgreSQL(folder, image, password))
        made[-1].up()
        return made[-1]

    yield make
    for each in made:
        each.remove()


def test_a_platform_keeps_its_database_there_and_comes_back_from_a_backup_of_it(
    make_database: Callable[[str, str], PostgreSQL],
    make_platform: Callable[..., Platform],
) -> None:
    database = make_database("one", "first")
    assert database.run("id", "--user") == "999"
    platform = make_platform("one", STUDIOLO_DATABASE_URL=database.url())
    platform.up()
    made = platform.json("create", "churn", "--description", "Who leaves")
    assert not (platform.data_dir / "studiolo.db").exists()
    tables = ["psql", "--username=postgres", "--host=/run/postgresql", "--no-align", "--tuples-only", "studiolo"]
    assert database.run(*tables, "--command=SELECT name FROM workspaces") == "churn"
    backup = platform.json("backup", str(platform.folder / "to"))
    platform.down()
    # As if its node had ended it: what is there stays, and the Secret's password is the one that counts.
    assert database.down() == 0, database.log()
    database = make_database("one", "second")
    platform.variables["STUDIOLO_DATABASE_URL"] = database.url()
    platform.up()
    assert platform.json("info", "churn")["id"] == made["id"]
    platform.down()
    platform.variables["STUDIOLO_DATABASE_URL"] = database.url().replace("second", "first")
    refused = platform.run("up", "--detach", check=False)
    assert (refused.returncode != 0, "database" in refused.stderr) == (True, True), refused
    # A new release, whose database is empty.
    other = make_platform("two", STUDIOLO_DATABASE_URL=make_database("two", "third").url())
    other.run("restore", backup["folder"], "--data-dir", str(other.folder / "restored"))
    other.data_dir = other.folder / "restored"
    other.variables["STUDIOLO_DATA_DIR"] = str(other.data_dir)
    give_base(other.data_dir, small_lock())
    other.up()
    assert other.json("info", "churn")["description"] == "Who leaves"

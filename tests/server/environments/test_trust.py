"""What members put into an environment does not run when the platform builds in it, and leads no write out of it."""

import sys
from pathlib import Path

import httpx
import pytest

from server.environments.conftest import install
from studiolo.runtime import landlock
from studiolo.server.environments.programs import point_programs


async def test_a_build_runs_neither_the_environments_interpreter_nor_what_that_loads(
    ana: httpx.AsyncClient, churn: Path, tmp_path: Path
) -> None:
    await install(ana, "leaf==1.0")
    ran = tmp_path / "ran"
    site = next(churn.glob("lib/python3*/site-packages"))
    (site / "evil.pth").write_text(f"import pathlib; pathlib.Path({str(ran)!r}).touch()\n")
    (site / "sitecustomize.py").write_text(f"import pathlib; pathlib.Path({str(ran)!r}).touch()\n")
    for name in ("python", "python3"):
        (churn / "bin" / name).unlink()
        (churn / "bin" / name).write_text(f"#!/bin/sh\ntouch {ran}\nexec {sys.executable} $@\n")
        (churn / "bin" / name).chmod(0o755)

    build = await install(ana, "stem")

    assert build["state"] == "ready", build
    assert list(churn.glob("lib/python3*/site-packages/stem/__init__.py"))
    assert not ran.exists()


@pytest.mark.skipif(landlock.find_version() == 0, reason="this kernel has no Landlock")
async def test_a_link_in_an_environment_leads_no_build_out_of_it(
    ana: httpx.AsyncClient, churn: Path, tmp_path: Path
) -> None:
    await install(ana, "leaf==1.0")
    outside = tmp_path / "outside"
    site = next(churn.glob("lib/python3*/site-packages"))
    site.rename(outside)
    site.symlink_to(outside)
    before = sorted(outside.iterdir())

    build = await install(ana, "stem")

    assert build["state"] == "failed", build
    assert sorted(outside.iterdir()) == before


def test_programs_run_with_the_python_beside_them_wherever_they_are_moved(tmp_path: Path) -> None:
    prefix, ours = tmp_path / "fresh", tmp_path / "base/bin/python"
    for folder in (prefix / "bin", ours.parent):
        folder.mkdir(parents=True)
    beside = """#!/bin/sh\n'''exec' "$(dirname -- "$(realpath -- "$0")")"/'python' "$0" "$@"\n' '''\n"""
    heads = {
        "plain": f"#!{ours}\n",
        "long": f"""#!/bin/sh\n'''exec' '{ours}' "$0" "$@"\n' '''\n""",
        "relative": beside.replace("'python'", "'../../base/bin/python'"),
    }
    others = {"own": beside, "shell": f"#!/bin/sh\necho {ours}\n", "another": "#!/usr/bin/python\n"}
    for name, head in (heads | others).items():
        (prefix / "bin" / name).write_text(f"{head}print(1)\n")
        (prefix / "bin" / name).chmod(0o755)
    (prefix / "bin/link").symlink_to("/etc/passwd")

    point_programs(prefix, ours)

    for name in heads:
        assert (prefix / "bin" / name).read_text() == f"{beside}print(1)\n"
        assert (prefix / "bin" / name).stat().st_mode & 0o111
    for name, head in others.items():
        assert (prefix / "bin" / name).read_text() == f"{head}print(1)\n"

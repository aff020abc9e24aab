import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import samples
from cli.samples import EVENT, KEY, LINK, ME, MEMBER, PERSON, PLATFORM, SESSION, WORKSPACE, Ran, Run, page
from studiolo.cli.main import run
from studiolo.testing.stand_in import StandIn, stand_in


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home of the test's own, no platform named, nobody at the terminal, no browser."""
    for name in ("URL", "KEY", "KEY_FILE", "PORT", "DATA_DIR", "CA_FILE"):
        monkeypatch.delenv(f"STUDIOLO_{name}", raising=False)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    return tmp_path


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in this process."""

    def call(*args: str, program: str = "studiolo") -> Ran:
        capsys.readouterr()
        code = run(program, args)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return call


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A platform that has one of everything, named by the environment."""
    with stand_in() as running:
        monkeypatch.setenv("STUDIOLO_URL", running.url)
        monkeypatch.setenv("STUDIOLO_KEY", "stu_abcdef")
        workspace = f"/jupyter/workspaces/{WORKSPACE['id']}"
        running.answer("GET", "/platform", PLATFORM)
        running.answer("GET", "/me", ME)
        running.answer("GET", "/me/keys", [KEY])
        running.answer("POST", "/me/keys", {**KEY, "key": "stu_secret"})
        running.answer("DELETE", "/me/keys/k-1", None, status=204)
        running.answer("GET", "/people", page(PERSON))
        running.answer("POST", "/people", LINK)
        running.answer("GET", "/invitations", page(samples.INVITATION))
        running.answer("POST", "/invitations", samples.INVITED, status=201)
        running.answer("POST", "/invitations/i-1/renew", samples.INVITED)
        running.answer("DELETE", "/invitations/i-1", None, status=204)
        for name in ("ana", str(samples.ANA["id"])):
            running.answer("GET", f"/people/{name}", samples.ACCESS)
            running.answer("PATCH", f"/people/{name}", samples.ACCESS)
            running.answer("DELETE", f"/people/{name}", None, status=204)
            running.answer("POST", f"/people/{name}/sign-in-link", LINK)
            running.answer("POST", f"/people/{name}/hand-over", samples.HANDED)
            for verb in ("suspend", "reinstate"):
                running.answer("POST", f"/people/{name}/{verb}", None, status=204)
        running.answer("GET", "/banner", {"banner": samples.BANNER})
        running.answer("PUT", "/banner", {"banner": samples.BANNER})
        running.answer("DELETE", "/banner", None, status=204)
        asked = f"/jupyter/requests/{samples.REQUEST['id']}"
        running.answer("GET", "/jupyter/requests", page(samples.REQUEST))
        running.answer("GET", asked, samples.REQUEST)
        running.answer("POST", "/jupyter/workspaces/churn/requests", samples.REQUEST, status=201)
        for verb in ("withdraw", "approve", "deny", "install"):
            running.answer("POST", f"{asked}/{verb}", samples.REQUEST)
        running.answer("GET", "/notifications", page(samples.NOTIFICATION))
        running.answer("POST", "/notifications/read", None, status=204)
        running.answer("GET", "/audit", page(EVENT))
        running.answer("GET", "/jupyter/workspaces", page(WORKSPACE))
        running.answer("POST", "/jupyter/workspaces", WORKSPACE)
        for path in ("/jupyter/workspaces/churn", workspace):
            running.answer("GET", path, WORKSPACE)
            running.answer("PATCH", path, WORKSPACE)
            running.answer("DELETE", path, None, status=204)
            running.answer("GET", f"{path}/members", [MEMBER])
            running.answer("PUT", f"{path}/members", MEMBER)
            running.answer("DELETE", f"{path}/members/ana", None, status=204)
            running.answer("DELETE", f"{path}/members/{samples.ANA['id']}", None, status=204)
            for name, sample in (("limits", samples.LIMITS), ("metadata", samples.METADATA), ("stats", samples.STATS)):
                running.answer("GET", f"{path}/{name}", sample)
            running.answer("GET", f"{path}/export", samples.EXPORT)
            running.answer("GET", f"{path}/report", b"<!doctype html><p>Report", content_type="text/html")
            running.answer("POST", f"{path}/scale", samples.LIMITS)
            running.answer("POST", f"{path}/clear-cache", {"freed": 5 << 20})
            running.answer("GET", f"{path}/files", page(samples.FILE))
            running.answer("GET", f"{path}/files/info", samples.FILE)
            running.answer("GET", f"{path}/files/search", samples.FOUND)
            running.answer("DELETE", f"{path}/files", None, status=204)
            for verb in ("folders", "move"):
                running.answer("POST", f"{path}/files/{verb}", samples.FILE)
            for verb in ("duplicate", "transfer", "reset"):
                running.answer("POST", f"{path}/{verb}", WORKSPACE)
        running.answer("GET", "/jupyter/bases", page(samples.BASE))
        running.answer("POST", "/jupyter/bases", samples.BASE, status=201)
        running.answer("POST", "/jupyter/bases/geo/default", page(samples.BASE))
        running.answer("DELETE", "/jupyter/bases/geo", None, status=204)
        churn = "/jupyter/workspaces/churn"
        running.answer("GET", f"{churn}/packages", page(samples.INSTALLED))
        for verb in ("packages", "packages/remove"):
            running.answer("POST", f"{churn}/{verb}", samples.BUILD, status=202)
        running.answer("POST", "/jupyter/packages/check", samples.PLAN)
        running.answer("GET", f"{churn}/packages/conda/numpy", page(samples.PLANNED))
        running.answer("GET", f"{churn}/environment", samples.ENVIRONMENT)
        running.answer("GET", f"{churn}/environment/builds", page(samples.BUILD))
        running.answer("GET", f"{churn}/environment/builds/2", samples.BUILD)
        running.answer("DELETE", f"{churn}/environment/builds/2", samples.BUILD)
        running.answer("POST", f"{churn}/environment/images", samples.IMAGE, status=202)
        running.answer("GET", f"{churn}/environment/images", page(samples.IMAGE))
        running.answer("GET", f"{churn}/environment/images/{samples.IMAGE['id']}", samples.IMAGE)
        running.answer("DELETE", f"{churn}/environment/images/{samples.IMAGE['id']}", None, status=204)
        running.answer("GET", f"{churn}/environment/difference", samples.BUILD_DIFFERENCE)
        running.answer("GET", f"{churn}/environment/lock", b'lock-version = "1.0"\n', content_type="application/toml")
        running.answer("GET", f"{churn}/environment/sbom", b"{}", content_type="application/vnd.cyclonedx+json")
        for verb in ("rollback", "undo", "rebuild", "restore"):
            running.answer("POST", f"{churn}/environment/{verb}", samples.BUILD, status=202)
        trashed = f"/jupyter/trash/{samples.TRASHED['id']}"
        running.answer("GET", "/jupyter/trash", page(samples.TRASHED))
        running.answer("POST", f"{trashed}/restore", WORKSPACE)
        running.answer("DELETE", trashed, None, status=204)
        files, kept = "/jupyter/workspaces/churn/files", samples.VERSION["id"]
        running.answer("GET", f"{files}/versions", page(samples.VERSION))
        running.answer("GET", f"{files}/versions/{kept}", b"print(1)\n", content_type="application/octet-stream")
        running.answer("POST", f"{files}/versions/{kept}/restore", samples.VERSION)
        running.answer("GET", f"{files}/difference", samples.DIFFERENCE)
        running.answer("GET", f"{files}/trash", page(samples.DELETED_FILE))
        running.answer("POST", f"{files}/trash/{kept}/restore", {"path": "a.ipynb"})
        running.answer("DELETE", f"{files}/trash/{kept}", None, status=204)
        running.answer("GET", "/profiles", samples.PROFILES)
        running.answer("GET", "/engines", [samples.ENGINE])
        running.answer("GET", "/gpus", samples.GPUS)
        running.answer("PUT", "/gpus/notify", samples.GPU_WAIT)
        running.answer("DELETE", "/gpus/notify", None, status=204)
        running.answer("GET", "/admin/health", samples.HEALTH)
        running.answer("GET", "/admin/disk", samples.DISK)
        running.answer("POST", "/admin/disk/free", samples.FREED)
        running.answer("POST", f"{workspace}/clone", samples.CLONE, status=202)
        running.answer("GET", f"{workspace}/clone", samples.CLONE)
        running.answer("POST", f"{churn}/move", samples.MOVE, status=202)
        running.answer("GET", f"{churn}/move", samples.MOVE)
        running.answer("GET", "/datasets", page(samples.DATASET))
        for policy in (
            "/jupyter/policy",
            *(f"/jupyter/workspaces/{one}/policy" for one in ("churn", samples.WORKSPACE["id"])),
        ):
            running.answer("GET", policy, samples.POLICY)
            running.answer("PUT", policy, samples.POLICY)
            running.answer("GET", f"{policy}/history", page(samples.REVISION))
            running.answer("POST", f"{policy}/what-if", samples.OUTLOOK)
            running.answer("GET", f"{policy}/check", samples.JUDGEMENT)
        running.answer("DELETE", "/jupyter/policy/grants/g-1", None, status=204)
        scans = "/jupyter/workspaces/churn/scans"
        running.answer("POST", scans, samples.SCAN_PROGRESS, status=202)
        running.answer("GET", f"{scans}/current", samples.SCAN_PROGRESS)
        running.answer("PUT", f"{scans}/accepted/f-1", {"id": "f-1", "reason": "a test key", "by": "ana"})
        running.answer("DELETE", f"{scans}/accepted/f-2", None, status=204)
        for scan in ("c-1", "latest"):
            running.answer("GET", f"{scans}/{scan}", samples.SCAN)
            running.answer("GET", f"{scans}/{scan}/file", samples.SCAN_TEXT.encode(), content_type="text/plain")
        running.answer("POST", "/datasets", samples.DATASET, status=201)
        running.answer("PATCH", "/datasets/billing", samples.DATASET)
        running.answer("DELETE", "/datasets/billing", None, status=204)
        running.answer("POST", "/jupyter/workspaces/import", samples.IMPORTED, status=201)
        running.answer("GET", "/admin/backups", samples.BACKUPS)
        running.answer("POST", "/admin/backups", samples.BACKUP_PROGRESS)
        running.answer("DELETE", "/admin/backups/current", None, status=204)
        running.answer("GET", "/jupyter/sessions", page(SESSION))
        running.answer("POST", "/jupyter/sessions", SESSION)
        for name in ("lab-1", str(SESSION["id"])):
            session = f"/jupyter/sessions/{name}"
            running.answer("GET", session, SESSION)
            running.answer("POST", f"{session}/start", SESSION)
            running.answer("POST", f"{session}/stop", {**SESSION, "state": "stopped", "desired": "stopped"})
            running.answer("POST", f"{session}/restart", SESSION)
            running.answer("POST", f"{session}/snooze", SESSION)
            running.answer("GET", f"{session}/usage", samples.USAGE)
            running.answer("GET", f"{session}/log", {"lines": ["one", "two"], "truncated": False})
        kernel = f"/kernels/{samples.KERNEL['id']}"
        running.answer("GET", "/kernels", page(samples.KERNEL))
        running.answer("POST", "/kernels", samples.KERNEL, status=201)
        running.answer("GET", kernel, samples.KERNEL)
        for verb in ("interrupt", "restart", "stop"):
            running.answer("POST", f"{kernel}/{verb}", samples.KERNEL)
        running.answer("GET", f"{kernel}/log", {"lines": ["one", "two"]})
        printed = samples.published(1, "stream", {"name": "stdout", "text": "epoch 1\n"})
        running.answer("GET", f"{kernel}/output", {"last": 1, "next": 1, "more": False, "entries": [printed]})
        running.answer("GET", "/workspaces/churn/kernelspecs", [samples.KERNELSPEC])
        running.answer("POST", "/workspaces/churn/kernelspecs", samples.KERNELSPEC, status=201)
        running.answer("DELETE", "/workspaces/churn/kernelspecs/big", None, status=204)
        yield running

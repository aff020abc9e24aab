"""The image of deploy/images/session, made by Podman from the tests' Debian."""

import os
import subprocess
from pathlib import Path

import pytest

from deploy.files import DEPLOY
from engines.container.conftest import find_podman

SESSION = "localhost/studiolo-session:deploy-test"
# Where this machine keeps whom it trusts, for those who fetch packages.
TRUST = Path("/etc/ssl/certs")


def call(*words: object, seconds: float = 120) -> str:
    """Run Podman; returns what it printed."""
    argv = ["podman", *map(str, words)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout.strip()


def build(file: str, tag: str, base: str, settings: Path, *, seconds: float) -> str:
    """Make an image; `base`: NAME=IMAGE that it begins from, `settings`: a folder that this writes uv's into."""
    # uv trusts whom the machine trusts.
    settings.mkdir(exist_ok=True)
    (settings / "uv.toml").write_text("system-certs = true\n")
    volumes = (f"{TRUST}:{TRUST}:ro", f"{settings}:/etc/uv:ro")
    words = [word for volume in volumes for word in ("--volume", volume)]
    recipe = ("--build-arg", base, "--file", DEPLOY / "images" / file, "--tag", tag, DEPLOY.parent)
    call("build", "--isolation=chroot", "--layers", *words, *recipe, seconds=seconds)
    return tag


@pytest.fixture(scope="session")
def session_image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image of sessions; STUDIOLO_TEST_POD_IMAGE names one that is there."""
    find_podman()
    if ready := os.environ.get("STUDIOLO_TEST_POD_IMAGE"):
        return ready
    base = f"BASE={os.environ['STUDIOLO_TEST_PODMAN_IMAGE']}"
    return build("session/Dockerfile", SESSION, base, tmp_path_factory.getbasetemp() / "uv", seconds=1200)

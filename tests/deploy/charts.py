"""What the chart makes, by the files on record, and its PostgreSQL in a pod of Podman."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from deploy.images import call
from studiolo.testing.waiting import wait_for

GOLDEN = Path(__file__).parents[1] / "engines" / "kubernetes" / "golden"
Manifest = dict[str, Any]


def made(case: str) -> list[Manifest]:
    """What the chart makes with the values of a case."""
    return [one for one in yaml.safe_load_all((GOLDEN / f"chart-{case}.yaml").read_text()) if one]


def one(case: str, kind: str, name: str) -> Manifest:
    """One object of them."""
    return next(each for each in made(case) if (each["kind"], each["metadata"]["name"]) == (kind, name))


class PostgreSQL:
    """The chart's PostgreSQL: `podman kube play` of its pod as it is, its volumes being folders below `folder`.

    `password`: what its Secret holds. Probes and what is done before its end are its manifest's, run by us.
    """

    def __init__(self, folder: Path, image: str, password: str) -> None:
        self.name = f"studiolo-chart-{folder.name}"
        self._folder = folder
        self._image = image
        self._password = password
        spec = one("large", "StatefulSet", "lab-postgresql")["spec"]
        self._pod: Manifest = spec["template"]["spec"]
        self._container: Manifest = self._pod["containers"][0]
        self._called = f"{self.name}-{self._container['name']}"

    def up(self) -> None:
        """Start it and wait until it is ready."""
        folders = {volume["name"]: self._fill(volume) for volume in self._pod["volumes"]}
        folders["data"] = self._make("data")
        volumes = [
            {"name": name, "hostPath": {"path": str(path), "type": "Directory"}} for name, path in folders.items()
        ]
        # Podman would have the machine listen on its ports, for everybody.
        left_out = ("startupProbe", "readinessProbe", "lifecycle", "imagePullPolicy", "ports")
        container = {key: value for key, value in self._container.items() if key not in left_out}
        container |= {"image": self._image, "imagePullPolicy": "Never"}
        kept = {key: self._pod[key] for key in ("securityContext", "automountServiceAccountToken")}
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self.name},
            "spec": {**kept, "restartPolicy": "Never", "volumes": volumes, "containers": [container]},
        }
        file = self._folder / "pod.json"
        file.write_text(json.dumps(manifest))
        call("kube", "play", "--quiet", file)
        wait_for(self._is_ready, "PostgreSQL is ready", 120)

    def url(self) -> str:
        """What the Secret says, with the pod's address for its Service's name."""
        pod = json.loads(call("pod", "inspect", self.name))["InfraContainerID"]
        networks = json.loads(call("container", "inspect", pod))[0]["NetworkSettings"]["Networks"]
        address = next(network["IPAddress"] for network in networks.values())
        said: str = one("large", "Secret", "lab-postgresql")["stringData"]["url"]
        return said.replace("made-once", self._password).replace("lab-postgresql", address)

    def run(self, *words: str) -> str:
        """Run a program in it."""
        return call("exec", self._called, *words)

    def down(self) -> int:
        """End it as its node would; returns how it ended."""
        self.run(*self._container["lifecycle"]["preStop"]["exec"]["command"])
        wait_for(lambda: self._state() != "running", "it has ended")
        code = int(call("inspect", "--format", "{{.State.ExitCode}}", self._called))
        self.remove()
        return code

    def remove(self) -> None:
        """Remove its pod; what its volumes hold stays."""
        subprocess.run(["podman", "pod", "rm", "--force", "--time", "1", self.name], capture_output=True, check=False)

    def log(self) -> str:
        """What it said."""
        argv = ["podman", "logs", self._called]
        return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout

    def _is_ready(self) -> bool:
        assert self._state() == "running", self.log()
        words = self._container["readinessProbe"]["exec"]["command"]
        return (
            subprocess.run(["podman", "exec", self._called, *words], capture_output=True, check=False).returncode == 0
        )

    def _state(self) -> str:
        return call("inspect", "--format", "{{.State.Status}}", self._called)

    def _fill(self, volume: Manifest) -> Path:
        """Make a volume's folder with what it holds."""
        folder = self._make(volume["name"])
        held: dict[str, str] = {}
        if "configMap" in volume:
            held = one("large", "ConfigMap", volume["configMap"]["name"])["data"]
        if "secret" in volume:
            assert volume["secret"]["items"] == [{"key": "password", "path": "password"}]
            held = {"password": self._password}
        for name, text in held.items():
            (folder / name).write_text(text)
        return folder

    def _make(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        os.chown(folder, self._pod["securityContext"]["runAsUser"], self._pod["securityContext"]["fsGroup"])
        return folder

"""What the platform's settings and a workspace's policy make of the tools' configuration."""

import json
from pathlib import Path

import pytest

from studiolo.contract.errors import InvalidInput
from studiolo.packages.policy.effective import Policy
from studiolo.server.packages.clients import PackageClients, index_address
from studiolo.server.settings import Settings
from studiolo.server.workspaces.folders import Folders


def _settings(folder: Path, **changes: object) -> Settings:
    return Settings(**{"data_dir": folder, "port": 8888, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "address"),
    [
        ({}, "http://127.0.0.1:8888"),
        ({"host": "localhost"}, "http://127.0.0.1:8888"),
        ({"host": "0.0.0.0", "domain": "studio.example"}, "http://127.0.0.1:8888"),
        ({"host": "10.0.0.7", "domain": "studio.example"}, "http://10.0.0.7:8888"),
        ({"host": "fd00::7"}, "http://[fd00::7]:8888"),
        ({"port": 80}, "http://127.0.0.1"),
        ({"domain": "studio.example", "tls": {"mode": "internal"}, "port": 443}, "https://studio.example"),
        ({"tls": {"mode": "internal"}}, "https://localhost:8888"),
    ],
)
def test_the_index_is_where_the_front_door_listens(tmp_path: Path, changes: dict[str, object], address: str) -> None:
    assert index_address(_settings(tmp_path, **changes)) == address


def test_without_tls_the_key_is_bound_to_another_host_name_than_the_platforms_address(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    assert "//localhost" in settings.address
    assert "localhost" not in index_address(settings)


def _clients(folder: Path, policy: Policy | Exception, **changes: object) -> PackageClients:
    async def find(workspace_id: str) -> tuple[int, Policy]:
        if isinstance(policy, Exception):
            raise policy
        return 1, policy

    return PackageClients(_settings(folder, **changes), Folders(folder, []), find)


async def test_conda_asks_the_channels_that_the_policy_trusts_in_their_order(tmp_path: Path) -> None:
    named = {name: f"https://channels.example/{name}" for name in ("conda-forge", "internal")}
    clients = _clients(tmp_path, Policy(channels=("internal", "conda-forge")), packages={"conda_channels": named})
    found = await clients.configure("w-1", "p-1", tmp_path / "environment", "sts_key")
    condarc = found.files[found.variables["CONDARC"]]
    assert condarc.index("conda/internal") < condarc.index("conda/conda-forge")


async def test_conda_asks_of_itself_only_channels_whose_addresses_somebody_set(tmp_path: Path) -> None:
    trusted = Policy(channels=("conda-forge", "defaults", "internal"))
    for named, asked in (({}, ["conda-forge"]), ({"internal": "https://channels.example/internal"}, ["internal"])):
        clients = _clients(tmp_path, trusted, packages={"conda_channels": named})
        found = await clients.configure("w-1", "p-1", tmp_path / "environment", "sts_key")
        condarc = json.loads(found.files[found.variables["CONDARC"]].partition("\n")[2])
        assert [url.rpartition("/")[2] for url in condarc["channels"]] == asked
        assert [url.rpartition("/")[2] for url in condarc["allowlist_channels"]] == list(trusted.channels)


async def test_a_policy_that_cannot_be_made_keeps_no_session_from_starting(tmp_path: Path) -> None:
    clients = _clients(tmp_path, InvalidInput("policy-invalid", "It cannot be read."))
    found = await clients.configure("w-1", "p-1", tmp_path / "environment", "sts_key")
    assert found.variables["PIP_INDEX_URL"] == "http://127.0.0.1:8888/pypi/simple/"


async def test_caches_lie_where_clear_cache_finds_them(tmp_path: Path) -> None:
    clients = _clients(tmp_path, Policy())
    found = await clients.configure("w-1", "p-1", tmp_path / "environment", "sts_key")
    cache = Path(found.variables["UV_CACHE_DIR"])
    cache.mkdir(parents=True)
    assert any(cache.is_relative_to(known) for known in Folders(tmp_path, []).caches("w-1"))


async def test_a_local_authority_is_added_to_what_the_machine_trusts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "machine.pem").write_text("the machine's\n")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "machine.pem"))
    clients = _clients(tmp_path, Policy(), tls={"mode": "internal"})
    authority = clients._settings.authority_file
    assert authority is not None
    authority.parent.mkdir(parents=True)
    authority.write_text("ours\n")
    found = await clients.configure("w-1", "p-1", tmp_path / "environment", "sts_key")
    assert Path(found.variables["PIP_CERT"]).read_text() == "the machine's\nours\n"

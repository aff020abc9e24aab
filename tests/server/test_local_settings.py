"""What sessions of this machine get of it: refused in words where it cannot be."""

import subprocess
from pathlib import Path

import pytest

from studiolo.contract.errors import InvalidInput
from studiolo.runtime.acting import is_possible
from studiolo.server.settings import local
from studiolo.server.settings.local import LocalSettings

only_root = pytest.mark.skipif(not is_possible(), reason="only root of a Linux can give accounts")


def _refusal(settings: LocalSettings) -> str:
    with pytest.raises(InvalidInput) as refused:
        settings.check()
    assert refused.value.code == "settings-invalid"
    return f"{refused.value.message} {refused.value.hint}"


def test_namespaces_need_accounts() -> None:
    assert "Set local.accounts to on" in _refusal(LocalSettings(namespaces="on"))


@only_root
def test_folders_to_show_are_absolute() -> None:
    assert "'data'" in _refusal(LocalSettings(accounts="on", namespaces="on", shown=[Path("data")]))


@only_root
def test_a_machine_that_gives_no_namespaces_is_refused_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(words, 1, "", "[Errno 1] Operation not permitted: 'unshare'\n")

    monkeypatch.setattr(local.subprocess, "run", refuse)
    said = _refusal(LocalSettings(accounts="on", namespaces="on"))
    assert "not permitted: 'unshare'" in said
    assert "STUDIOLO_LOCAL__NAMESPACES=off" in said

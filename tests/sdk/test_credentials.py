import json
import stat
from pathlib import Path
from threading import Thread

import pytest

from studiolo.contract.errors import InvalidInput, NotSignedIn, Unavailable
from studiolo.sdk.credentials import credentials_file, find_credentials, forget, saved_addresses, store

HERE, THERE = "http://localhost:20001", "https://notebooks.example.com"


def test_nothing_known_is_not_configured_and_says_what_to_do() -> None:
    with pytest.raises(NotSignedIn) as caught:
        find_credentials()
    assert caught.value.code == "not-configured"
    assert "studiolo up" in (caught.value.hint or "")
    assert "studiolo login" in (caught.value.hint or "")


def test_the_current_entry_is_used_when_nothing_else_is_named() -> None:
    store(THERE, "old", "ana")
    store(HERE, "new", "ana")
    found = find_credentials()
    assert (found.url, found.key, found.person) == (HERE, "new", "ana")


def test_the_environment_beats_the_current_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    store(HERE, "saved", "ana")
    monkeypatch.setenv("STUDIOLO_URL", THERE + "/")
    monkeypatch.setenv("STUDIOLO_KEY", "from-environment")
    found = find_credentials()
    assert (found.url, found.key, found.source) == (THERE, "from-environment", "STUDIOLO_URL")


def test_a_key_file_holds_the_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("in-a-file\n")
    monkeypatch.setenv("STUDIOLO_URL", THERE)
    monkeypatch.setenv("STUDIOLO_KEY_FILE", str(tmp_path / "key"))
    assert find_credentials().key == "in-a-file"


def test_an_unreadable_key_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STUDIOLO_URL", THERE)
    monkeypatch.setenv("STUDIOLO_KEY_FILE", str(tmp_path / "gone"))
    with pytest.raises(InvalidInput, match="gone") as caught:
        find_credentials()
    assert caught.value.code == "key-file-unreadable"


def test_arguments_beat_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIOLO_URL", THERE)
    monkeypatch.setenv("STUDIOLO_KEY", "from-environment")
    found = find_credentials(HERE, "given")
    assert (found.url, found.key) == (HERE, "given")


def test_the_environments_key_does_not_go_to_an_address_given_as_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIOLO_URL", THERE)
    monkeypatch.setenv("STUDIOLO_KEY", "from-environment")
    assert find_credentials(HERE).key is None


def test_a_saved_key_never_goes_to_another_address(monkeypatch: pytest.MonkeyPatch) -> None:
    store(HERE, "saved", "ana")
    monkeypatch.setenv("STUDIOLO_URL", THERE)
    assert find_credentials().key is None


def test_a_key_without_an_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    store(HERE, "saved", "ana")
    monkeypatch.setenv("STUDIOLO_KEY", "whose")
    with pytest.raises(NotSignedIn, match="no address"):
        find_credentials()


def test_a_data_directory_names_the_platform_that_runs_on_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store(HERE, "saved", "ana", make_current=False)
    store(THERE, "other", "ana")
    (tmp_path / "platform.json").write_text(json.dumps({"address": HERE, "port": 20001}))
    monkeypatch.setenv("STUDIOLO_DATA_DIR", str(tmp_path))
    found = find_credentials()
    assert (found.url, found.key) == (HERE, "saved")


def test_a_data_directory_without_a_platform_says_that_none_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STUDIOLO_DATA_DIR", str(tmp_path))
    with pytest.raises(Unavailable) as caught:
        find_credentials()
    assert caught.value.code == "not-running"


def test_a_broken_platform_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "platform.json").write_text("{")
    monkeypatch.setenv("STUDIOLO_DATA_DIR", str(tmp_path))
    with pytest.raises(Unavailable, match=r"platform\.json"):
        find_credentials()


def test_a_port_names_the_platform_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    store("https://localhost:20001", "saved", "ana", make_current=False)
    monkeypatch.setenv("STUDIOLO_PORT", "20001")
    assert find_credentials().url == "https://localhost:20001"
    monkeypatch.setenv("STUDIOLO_PORT", "20002")
    assert find_credentials().url == "http://localhost:20002"


def test_the_file_is_readable_by_its_owner_alone(config: Path) -> None:
    store(HERE, "k", "ana")
    assert stat.S_IMODE(credentials_file().stat().st_mode) == 0o600
    assert stat.S_IMODE(credentials_file().parent.stat().st_mode) == 0o700
    assert [path.name for path in (config / "studiolo").iterdir() if path.name.startswith(".")] == []


def test_writers_at_the_same_moment_lose_nothing() -> None:
    writers = [Thread(target=store, args=(f"http://localhost:{port}", "k", "ana")) for port in range(21000, 21012)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(saved_addresses()) == 12


def test_forgetting_the_current_platform_moves_on_to_another() -> None:
    store(THERE, "k", "ana")
    store(HERE, "k", "ana")
    forget(HERE)
    forget(HERE)
    assert find_credentials().url == THERE


def test_a_damaged_file_is_named_and_not_overwritten() -> None:
    file = credentials_file()
    file.parent.mkdir(parents=True)
    file.write_text("{ not json")
    with pytest.raises(InvalidInput) as caught:
        store(HERE, "k", "ana")
    assert caught.value.code == "credentials-file-unusable"
    assert file.read_text() == "{ not json"


def test_the_key_is_not_in_the_representation() -> None:
    assert "hidden" not in repr(find_credentials(HERE, "hidden"))

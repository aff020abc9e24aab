"""Claims that hold for each line of the command table."""

import importlib.util
import json
import re

import pytest

from cli.samples import Run
from studiolo.cli.command import app_for
from studiolo.cli.table import COMMANDS, GROUPS, Entry
from studiolo.testing.stand_in import StandIn

# A working call of each command that talks to a platform.
CALLS = {
    "create": ["churn"],
    "ls": ["churn"],
    "files ls": ["churn:notebooks"],
    "search": ["churn:notebooks", "read_csv"],
    "files mv": ["churn:a.ipynb", "b.ipynb"],
    "files rm": ["churn:a.ipynb"],
    "files mkdir": ["churn:data"],
    "list": [],
    "info": ["churn"],
    "update": ["churn", "--description=new"],
    "delete": ["churn", "--yes"],
    "security-scan": ["churn"],
    "members": ["churn"],
    "access": ["churn", "--user=ana", "--role=editor"],
    "revoke": ["churn", "ana"],
    "open": ["churn", "--no-browser"],
    "start": ["churn"],
    "stop": ["lab-1"],
    "restart": ["lab-1"],
    "status": [],
    "sessions": [],
    "logs": ["lab-1"],
    "install": ["churn", "numpy"],
    "remove": ["churn", "numpy"],
    "packages": ["churn"],
    "check-package": ["numpy"],
    "search-conda": ["churn", "numpy"],
    "bases": [],
    "bases list": [],
    "bases add": ["geo", "--file", __file__],
    "bases default": ["geo"],
    "bases remove": ["geo", "--yes"],
    "environment": ["churn"],
    "environment show": ["churn"],
    "environment history": ["churn"],
    "environment diff": ["churn", "1", "2"],
    "environment rollback": ["churn", "1"],
    "environment undo": ["churn"],
    "environment rebuild": ["churn"],
    "environment cancel": ["churn", "2"],
    "environment lock": ["churn"],
    "environment sbom": ["churn"],
    "environment image": ["churn"],
    "environment images": ["churn"],
    "environment remove-image": ["churn", "aaaaaaaaaaaa"],
    "whoami": [],
    "keys create": ["--name", "laptop"],
    "keys list": [],
    "keys revoke": ["laptop"],
    "backups": [],
    "backups list": [],
    "backups start": ["--wait"],
    "backups cancel": [],
    "people list": [],
    "people add": ["leo"],
    "people invite": ["leo@example.com", "--workspace", "churn=editor"],
    "people invitations": [],
    "people renew": ["leo@example.com"],
    "people withdraw": ["leo@example.com"],
    "people show": ["ana"],
    "people reset": ["ana"],
    "people suspend": ["ana", "--yes"],
    "people reinstate": ["ana"],
    "people promote": ["ana"],
    "people demote": ["ana"],
    "people hand-over": ["ana", "--to", "leo", "--yes"],
    "people erase": ["ana", "--yes"],
    "banner": [],
    "banner post": ["Restart at noon", "--minutes", "5"],
    "banner clear": [],
    "request": ["churn", "torch", "--for", "survival"],
    "requests": ["mine"],
    "requests withdraw": ["r-7k2m9q4x0c5t8v1b"],
    "requests install": ["r-7k2m9q4x0c5t8v1b"],
    "review": ["--pending"],
    "approve": ["r-7k2m9q4x0c5t8v1b", "--until", "2030-01-01"],
    "deny": ["r-7k2m9q4x0c5t8v1b", "--reason=Security concern"],
    "notifications": ["--read"],
    "leave": ["churn", "--yes"],
    "audit": [],
    "rename": ["churn", "churn-2"],
    "duplicate": ["churn", "churn-copy"],
    "transfer": ["churn", "leo", "--yes"],
    "reset": ["churn", "--hard"],
    "clear-cache": ["churn"],
    "trash": [],
    "trash list": [],
    "trash restore": ["old"],
    "trash erase": ["old", "--yes"],
    "limits": ["churn"],
    "scale": ["churn", "--cpu=8", "--memory=16g"],
    "metadata": ["churn"],
    "version": ["churn", "a.ipynb"],
    "files versions": ["churn:a.ipynb"],
    "files diff": ["churn:a.ipynb", "--from", "01a1fe9aa4aa78845a5a"],
    "files show": ["churn:a.ipynb", "01a1fe9aa4aa78845a5a"],
    "files restore": ["churn:a.ipynb", "01a1fe9aa4aa78845a5a"],
    "files trash": ["churn"],
    "files undelete": ["churn:a.ipynb"],
    "files erase": ["churn:a.ipynb", "--yes"],
    "export": ["churn"],
    "import": [__file__],
    "policy show": ["churn"],
    "policy set": ["/dev/null", "--platform", "--note", "none"],
    "policy history": ["churn", "--diff"],
    "policy what-if": ["/dev/null", "churn"],
    "policy check": ["churn", "six==1.17.0"],
    "policy revoke": ["g-1"],
    "datasets": [],
    "datasets list": [],
    "datasets add": ["billing", "/srv/billing", "--everybody"],
    "datasets change": ["billing", "--description", "new"],
    "datasets remove": ["billing", "--yes"],
    "clone": ["churn", "https://example.com/team/study.git"],
    "move": ["churn", "pods"],
    "report": ["churn"],
    "stats": ["churn"],
    "monitor": ["churn", "--count", "1"],
    "usage": ["lab-1"],
    "snooze": ["lab-1"],
    "profiles": [],
    "engines": [],
    "volumes": [],
    "gpus": [],
    "gpus list": [],
    "gpus notify": ["--count", "2", "--type", "a100"],
    "gpus withdraw": [],
    "health": [],
    "disk": [],
    "free": ["caches"],
    "kernels": [],
    "kernels list": [],
    "kernels start": ["churn"],
    "kernels interrupt": ["0b9e2c34"],
    "kernels restart": ["0b9e2c34"],
    "kernels stop": ["0b9e2c34"],
    "kernels logs": ["0b9e2c34"],
    "kernels output": ["0b9e2c34"],
    "kernels specs": ["churn"],
    "kernels add-spec": ["churn", "big"],
    "kernels remove-spec": ["churn", "big"],
}
# Signing in, and what needs a notebook, or a session or kernel that answers, have tests of their own.
APART = {"cp", "files cp", "login", "logout", "completion", "exec", "git", "shell", "kernels attach"}
APART |= {"environment restore", "environment stamp"}
# Lines of what is made for programs, or of other people's words, are as long as they are.
WIDE = {"audit", "export", "monitor", "engines", "usage", "notifications", "requests", "review"}
OURS = [entry for entry in COMMANDS if entry.target.startswith("studiolo.cli.")]
HAS_SERVER = importlib.util.find_spec("studiolo.server.commands") is not None


def test_every_command_has_a_call_here() -> None:
    assert {entry.words for entry in OURS} == CALLS.keys() | APART


def test_words_are_unique_and_groups_known() -> None:
    assert len({entry.words for entry in COMMANDS}) == len(COMMANDS)
    assert {entry.group for entry in COMMANDS} == set(GROUPS)


@pytest.mark.parametrize("entry", COMMANDS if HAS_SERVER else OURS, ids=lambda entry: entry.words)
def test_help_works_offline_and_names_json(entry: Entry, cli: Run) -> None:
    ran = cli(*entry.words.split(), "--help")
    assert ran.code == 0
    assert "--json" in ran.out
    assert ran.out.startswith(f"Usage: studiolo {entry.words} ")
    assert max(map(len, ran.out.splitlines())) <= 100


@pytest.mark.parametrize("entry", OURS, ids=lambda entry: entry.words)
def test_every_option_has_a_line_of_help(entry: Entry) -> None:
    from typer.main import get_command

    command = get_command(app_for(entry))
    assert [p.name for p in command.params if not getattr(p, "help", "")] == []
    assert command.help


@pytest.mark.parametrize("words", CALLS)
def test_json_is_one_document_on_stdout(words: str, cli: Run, platform: StandIn) -> None:
    ran = cli(*words.split(), *CALLS[words], "--json")
    assert ran.code == 0, ran
    assert isinstance(json.loads(ran.out), dict | list)


@pytest.mark.parametrize("words", CALLS)
def test_text_is_plain_and_fits_a_terminal(words: str, cli: Run, platform: StandIn) -> None:
    ran = cli(*words.split(), *CALLS[words])
    assert ran.code == 0, ran
    assert ran.out
    assert "\x1b" not in ran.out + ran.err
    assert not re.search(r"[ \t]$", ran.out, re.MULTILINE)
    assert max(map(len, ran.out.splitlines())) <= 80 or words in WIDE


@pytest.mark.parametrize("words", CALLS)
def test_without_a_platform_the_error_says_what_to_do(words: str, cli: Run) -> None:
    ran = cli(*words.split(), *CALLS[words])
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("error: No platform is known here.\n\nhint: Start one")
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("words", CALLS)
def test_an_error_as_json_is_a_problem(words: str, cli: Run) -> None:
    ran = cli(*words.split(), *CALLS[words], "--json")
    assert ran.code == 3
    assert ran.err == ""
    assert ran.data["code"] == "not-configured"
    assert {"type", "title", "status", "detail", "kind", "hint"} <= ran.data.keys()

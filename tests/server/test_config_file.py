"""workspace-config.yaml, read and written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.contract.details import EnvironmentConfig, Security, WorkspaceConfig
from studiolo.contract.errors import InvalidInput
from studiolo.contract.resources import Resources
from studiolo.server.workspaces.config_file import read_config_file, write_config_file

EXAMPLE = """\
# workspace-config.yaml
resources:
  cpu: 4
  memory: 8g
  gpu: 1
  disk: 20g

environment:
  python_version: "3.11"
  jupyter_version: "latest"
  TEAM: churn

security:
  trusted_channels: ["conda-forge", "defaults", "pytorch"]
  blocked_packages: ["aiohttp", "telnetlib"]
"""


def faults(content: str | bytes) -> list[tuple[str, int, int]]:
    with pytest.raises(InvalidInput) as caught:
        read_config_file(content)
    assert caught.value.code == "config-invalid"
    return [(fault["location"], fault["line"], fault["column"]) for fault in caught.value.extra["errors"]]


def test_the_example_of_the_documents_is_read() -> None:
    assert read_config_file(EXAMPLE) == WorkspaceConfig(
        resources=Resources(cpu=4, memory=8 * 1024**3, gpu=1, disk=20 * 1024**3),
        environment=EnvironmentConfig(python_version="3.11", jupyter_version="latest", variables={"TEAM": "churn"}),
        security=Security(
            trusted_channels=["conda-forge", "defaults", "pytorch"], blocked_packages=["aiohttp", "telnetlib"]
        ),
    )


@pytest.mark.parametrize("empty", ["", "\n# nothing\n", "resources:\n", b"\xef\xbb\xbfsecurity: {}\n"])
def test_what_says_nothing_is_an_empty_configuration(empty: str | bytes) -> None:
    assert read_config_file(empty) == WorkspaceConfig()


def test_a_version_keeps_its_text() -> None:
    config = read_config_file("environment:\n  python_version: 3.10\n  WHEN: 2024-01-01\n  SURE: no\n  PORT: 0o17\n")
    assert config.environment.python_version == "3.10"
    assert config.environment.variables == {"WHEN": "2024-01-01", "SURE": "no", "PORT": "0o17"}


def test_all_faults_are_listed_with_their_places() -> None:
    text = "resources:\n  cpu: many\n  memory: -1\n  cpus: 2\nsecurity:\n  trusted_channels: conda-forge\nextra: 1\n"
    assert faults(text) == [
        ("resources.cpu", 2, 8),
        ("resources.memory", 3, 11),
        ("resources.cpus", 4, 3),
        ("security.trusted_channels", 6, 21),
        ("extra", 7, 1),
    ]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("resource:\n  cpu: 1\n", "resources"),
        ("resources:\n  mem0ry: 8g\n", "memory"),
        ("environment:\n  python_verison: '3.11'\n", "python_version"),
        ("security:\n  blocked_package: []\n", "blocked_packages"),
    ],
)
def test_a_slip_in_a_key_suggests_the_key(text: str, meant: str) -> None:
    with pytest.raises(InvalidInput, match=f"Did you mean {meant}\\?"):
        read_config_file(text)


@pytest.mark.parametrize("text", ["packages: [numpy]\n", "environment:\n  packages:\n    - numpy\n"])
def test_who_lists_packages_reads_where_they_are_listed(text: str) -> None:
    with pytest.raises(InvalidInput, match="studiolo install WORKSPACE -r FILE"):
        read_config_file(text)


def test_a_key_given_twice_names_both_lines() -> None:
    with pytest.raises(InvalidInput, match=r"line 4, column 3: resources\.cpu is given twice; the first is in line 2"):
        read_config_file("resources:\n  cpu: 1\n  memory: 1g\n  cpu: 2\n")


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("resources:\n\tcpu: 1\n", (2, 1)),
        ("resources: [cpu\nx: 1\n", (2, 2)),
        (b"environment:\n  NAME: caf\xe9\n", (2, 12)),
        ("environment:\n  A: \x00\n", (2, 6)),
        ("environment: {A: &x one, B: *x}\n", (1, 18)),
        ("a: !!python/object/apply:os.system [x]\n", (1, 4)),
        ("a: [[[[[[x]]]]]]\n", (1, 7)),
        ("a: 1\n--- \nb: 2\n", (2, 1)),
    ],
)
def test_what_is_no_plain_yaml_names_its_place(content: str | bytes, place: tuple[int, int]) -> None:
    assert faults(content) == [("", *place)]


def test_a_bomb_is_refused_before_it_is_built() -> None:
    layers = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 30)]
    assert faults("\n".join(["l0: &l0 [x]", *layers])) == [("", 1, 5)]
    assert faults("[" * 50_000) == [("", 1, 5)]
    assert faults(b"#" * 10_000_000) == [("", 1, 1)]


@pytest.mark.parametrize(
    "text",
    [
        "resources:\n  cpu: 0\n",
        "resources:\n  cpu: 1e3\n",
        "resources:\n  gpu: 1.5\n",
        "resources:\n  memory: lots\n",
        "resources:\n  image: 'two words'\n",
        "environment:\n  python_version: yes\n",
        "environment:\n  python_version: '2.7'\n",
        "environment:\n  9LIVES: x\n",
        "environment:\n  STUDIOLO_KEY: x\n",
        "environment:\n  A:\n",
        "environment:\n  A: [1]\n",
        "security:\n  blocked_packages: [{a: b}]\n",
        "security:\n  blocked_packages: ['requests @ https://host/x.whl']\n",
        "security:\n  trusted_channels: ['https://host/channel']\n",
        "security: [x]\n",
        "just text",
        "? [a, b]\n: c\n",
        "environment:\n  <<: {A: b}\n",
    ],
)
def test_what_cannot_be_right_is_refused(text: str) -> None:
    assert len(faults(text)) == 1


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_any_content_is_read_or_refused(content: str | bytes) -> None:
    try:
        read_config_file(content)
    except InvalidInput as refused:
        assert refused.code == "config-invalid"  # noqa: PT017


_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
_word = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
_name = st.from_regex(r"[a-z][a-z0-9]{0,9}", fullmatch=True)
_channels = st.none() | st.lists(_name, max_size=3)
_blocked = st.none() | st.lists(st.builds(str.__add__, _name, st.sampled_from(["", "==1.0", "<3"])), max_size=3)
_configs = st.builds(
    WorkspaceConfig,
    profile=st.none() | st.from_regex(r"[a-z0-9][a-z0-9-]{0,8}", fullmatch=True),
    resources=st.builds(
        Resources,
        cpu=st.none() | st.sampled_from([0.5, 1, 4, 8]),
        memory=st.none() | st.integers(1, 1024**5),
        gpu=st.none() | st.integers(0, 8),
        image=st.none() | _word,
    ),
    environment=st.builds(
        EnvironmentConfig,
        python_version=st.sampled_from([None, "3", "3.10", "3.11.4"]),
        jupyter_version=st.sampled_from([None, "latest", "4.10"]),
        variables=st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,9}", fullmatch=True), _text, max_size=3),
    ),
    security=st.builds(Security, trusted_channels=_channels, blocked_packages=_blocked),
)


@given(_configs)
def test_what_is_written_reads_back_the_same(config: WorkspaceConfig) -> None:
    assert read_config_file(write_config_file(config)) == config

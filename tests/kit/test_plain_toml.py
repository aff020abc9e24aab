"""TOML that people bring: all of it is read, but for what would take all memory."""

import tomllib

import pytest

from studiolo.kit.plain_toml import read_toml

_LONG = ".".join("a" * 100)
_QUOTED = ".".join(['"\\""'] * 100)


@pytest.mark.parametrize(
    "text",
    [
        f"{_LONG} = 1",
        f"[{_LONG}]",
        f"[[ {_LONG.replace('.', ' . ')} ]]",
        f"{_QUOTED} = 1",
        "'.'" + ".'.'" * 100 + " = 1",
        f"x = {{ {_LONG} = 1 }}",
        f'x = ["""\n a " b\'\'\' """, {{ {_QUOTED} = 1 }}]',
        f"x = ['''\n a \" '''', {{ {_QUOTED} = 1 }}]",
        f'x = """"""""\n{_LONG} = 1',
        f'# """\n{_LONG} = 1',
        # Half a megabyte.
        "a" + ".a" * 250_000 + " = 1",
    ],
)
def test_keys_of_very_many_parts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="parts"):
        read_toml(text)


@pytest.mark.parametrize(
    "text",
    [
        f'x = "{_LONG}"',
        f"x = '{_LONG}' # {_LONG}",
        f'x = """\n{_LONG}\n"""\ny.z = 1.5',
        f"x = '''{_LONG}'''",
        "x = [" + ", ".join(["1.5"] * 100) + "]",
        "\n".join(f"k{number}.a.b = 2026-11-22T01:00:00.5Z" for number in range(100)),
        'x = """""a""""" # """\ny = 1',
    ],
)
def test_all_else_is_read_as_the_standard_library_does(text: str) -> None:
    assert read_toml(text) == tomllib.loads(text)


@pytest.mark.parametrize("text", ['x = "' + "a" * 500_000, 'x = """' + '"""a' * 200_000, "'" * 500_000, "\\" * 500_000])
def test_what_is_no_document_is_told_from_its_beginning(text: str) -> None:
    with pytest.raises(ValueError):
        read_toml(text)

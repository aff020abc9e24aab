import pytest

from studiolo.contract.errors import InvalidInput
from studiolo.sdk.address import is_loopback, normal_address


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("http://localhost:8888/", "http://localhost:8888"),
        ("localhost:8888", "http://localhost:8888"),
        ("127.0.0.1:8888", "http://127.0.0.1:8888"),
        ("Notebooks.Example.com", "https://notebooks.example.com"),
        ("https://notebooks.example.com:443", "https://notebooks.example.com"),
        ("http://[::1]:8888", "http://[::1]:8888"),
    ],
)
def test_an_address_has_one_spelling(given: str, normal: str) -> None:
    assert normal_address(given) == normal
    assert normal_address(normal) == normal


@pytest.mark.parametrize(
    "given", ["", "   ", "ftp://host", "http://", "http://host:99999", "https://host/path", "https://ana@host", "a b"]
)
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        normal_address(given)
    assert caught.value.code == "address-invalid"


def test_only_this_machine_is_loopback() -> None:
    assert all(map(is_loopback, ("http://localhost", "http://a.localhost:1", "http://127.9.9.9", "http://[::1]")))
    assert not any(map(is_loopback, ("http://localhost.example.com", "http://10.0.0.1", "https://example.com")))

"""Addresses of the file host below `/files/{workspace}/`, and the operation that each one is."""

from typing import NamedTuple

READ, WRITE = "file.read", "file.write"


class Address(NamedTuple):
    """`name`: the first part of the address; `has_path`: whether something must, or must not, follow it."""

    method: str
    name: str
    has_path: bool


OPERATIONS: dict[Address, str] = {
    Address("GET", "raw", True): READ,
    Address("GET", "zip", False): READ,
    Address("GET", "preview", True): READ,
    Address("OPTIONS", "uploads", False): WRITE,
    Address("POST", "uploads", False): WRITE,
    Address("HEAD", "uploads", True): WRITE,
    Address("PATCH", "uploads", True): WRITE,
    Address("DELETE", "uploads", True): WRITE,
}


def find_address(method: str, rest: str) -> Address | None:
    """Return the address that a method and a raw path below `/files/{workspace}/` mean; None if there is none.

    HEAD asks what GET does, where it is not an address of its own.
    """
    name, slash, path = rest.partition("/")
    for asked in (method, "GET" if method == "HEAD" else ""):
        address = Address(asked, name, bool(slash and path))
        if address in OPERATIONS:
            return address
    return None

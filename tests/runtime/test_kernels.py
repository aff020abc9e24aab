"""Transport of kernels."""

from pathlib import Path

from studiolo.runtime.kernels import choose_transport


def test_kernels_use_unix_sockets_where_their_paths_fit() -> None:
    assert choose_transport(Path("/run/user/1000/studiolo-0123abcd/s/s-7k2m9q4x0c5t8v1b.12")) == "ipc"


def test_kernels_use_loopback_where_paths_are_too_long() -> None:
    assert choose_transport(Path("/" + "x" * 90)) == "tcp"

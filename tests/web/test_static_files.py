"""What pages load besides themselves."""

import re

import httpx

from studiolo.server.web.static_files import static_path
from web.stage import Samples


def test_a_page_waits_for_one_stylesheet_that_browsers_keep(samples: Samples) -> None:
    with httpx.Client(base_url=samples.stage.address) as client:
        sheets = re.findall(r'<link rel="stylesheet" href="([^"]+)"', client.get("/sign-in").text)
        assert len(sheets) == 1
        reply = client.get(sheets[0])
    assert reply.headers["Content-Type"] == "text/css; charset=utf-8"
    assert reply.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    # Colours before what uses them, and all of it.
    assert reply.text.index("--accent:") < reply.text.index(".rail") < reply.text.index(".palette")


def test_text_is_sent_packed_to_whom_takes_it(samples: Samples) -> None:
    address = f"{samples.stage.address}{static_path()}/vendor/htmx.min.js"
    packed, plain = (httpx.get(address, headers={"Accept-Encoding": coding}) for coding in ("gzip", "identity"))
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert int(packed.headers["Content-Length"]) < int(plain.headers["Content-Length"]) / 2
    assert packed.content == plain.content


def test_nothing_outside_the_folder_is_served(samples: Samples) -> None:
    for name in ("", "../render.py", "..%2frender.py", "%2fetc%2fpasswd", "nothing.css"):
        assert httpx.get(f"{samples.stage.address}{static_path()}/{name}").status_code == 404

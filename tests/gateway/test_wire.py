import json
from datetime import datetime

import pytest
from jupyter_client.session import Session

from studiolo.gateway.messages.wire import BadMessageError, Header, Signer, build, dump, parent_id, read_header

KEY = b"a-key-of-a-kernel"


def message(**header: object) -> list[bytes]:
    return [dump({"msg_id": "m-1", "msg_type": "stream", **header}), b'{"msg_id": "p-1"}', b"{}", b"{}"]


@pytest.mark.req("S4-42", "S4-43")
def test_jupyter_client_reads_what_we_pack_and_we_read_what_it_packs():
    session = Session(key=KEY, username="ada")
    theirs = session.msg("execute_request", {"code": "1 ½"}, metadata={"cellId": "c"})
    identities, parts = Signer(KEY).unpack(session.serialize(theirs, ident=[b"who", b"where"]))
    assert identities == [b"who", b"where"]
    assert read_header(parts).msg_id == theirs["msg_id"]

    ours = Signer(KEY).pack([*build("stream", {"text": "é"}, session="s"), b"buffer"], identities=[b"topic"])
    _, frames = session.feed_identities(ours)
    read = session.deserialize(frames)
    assert read["content"] == {"text": "é"}
    assert [bytes(buffer) for buffer in read["buffers"]] == [b"buffer"]


@pytest.mark.parametrize("damaged", range(4))
def test_a_change_of_any_signed_part_is_noticed(damaged: int):
    frames = Signer(KEY).pack(message())
    frames[2 + damaged] += b" "
    with pytest.raises(BadMessageError, match="signature"):
        Signer(KEY).unpack(frames)


def test_buffers_are_not_signed():
    frames = Signer(KEY).pack([*message(), b"one"])
    assert Signer(KEY).unpack([*frames[:-1], b"other"])[1][-1] == b"other"


def test_without_a_key_nothing_is_signed_or_checked():
    assert Signer(b"").pack(message())[1] == b""
    assert Signer(b"").unpack([b"<IDS|MSG>", b"whatever", *message()]) == ([], message())


@pytest.mark.parametrize(
    ("frames", "reason"),
    [([], "delimiter"), ([b"x"], "delimiter"), ([b"<IDS|MSG>"], "fewer"), ([b"<IDS|MSG>", b"", b"{}"], "fewer")],
)
def test_broken_frames_are_named(frames: list[bytes], reason: str):
    with pytest.raises(BadMessageError, match=reason):
        Signer(KEY).unpack(frames)


def test_the_hash_of_the_connection_file_is_used_and_an_unknown_one_refused():
    session = Session(key=KEY, signature_scheme="hmac-sha512")
    assert Signer(KEY, "hmac-sha512").unpack(session.serialize(session.msg("status")))[0] == []
    for scheme in ("hmac-nonsense", "rsa-sha256", ""):
        with pytest.raises(BadMessageError, match="scheme"):
            Signer(KEY, scheme)


def test_a_header_is_read_with_what_it_has():
    assert read_header(message(subshell_id="sub", more=[1])) == Header("m-1", "stream", subshell_id="sub")


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"[]",
        b"{",
        b"{}",
        b"\xff",
        b'{"msg_id": NaN}',
        b'{"msg_id": 1, "msg_type": "x"}',
        b'{"msg_id": "", "msg_type": "x"}',
        dump({"msg_id": "1", "msg_type": "x", "subshell_id": 4}),
        dump({"msg_id": "x" * 300, "msg_type": "x"}),
        dump({"msg_id": "1", "msg_type": "x", "more": "x" * 40_000}),
        b"[" * 10_000,
    ],
)
def test_a_header_of_wrong_shape_type_or_size_is_refused(header: bytes):
    with pytest.raises(BadMessageError):
        read_header([header, b"{}", b"{}", b"{}"])


def test_the_parent_is_read_and_may_be_none():
    assert parent_id(message()) == "p-1"
    assert parent_id([b"", b"{}", b"", b""]) == ""
    with pytest.raises(BadMessageError):
        parent_id([b"", b"null", b"", b""])


def test_a_message_of_the_host_answers_its_request_with_todays_protocol():
    header, parent, metadata, content = build("error", {"ename": "ReplyLost"}, session="s", parent_header=b'{"a":1}')
    members = json.loads(header)
    assert (members["version"], members["session"]) == ("5.4", "s")
    assert datetime.fromisoformat(members["date"]).utcoffset() is not None
    assert (parent, metadata, json.loads(content)) == (b'{"a":1}', b"{}", {"ename": "ReplyLost"})


def test_a_way_that_is_private_needs_no_check_but_messages_are_signed_all_the_same() -> None:
    signer = Signer(b"key", checks=False)
    frames = signer.pack(build("status", {"execution_state": "idle"}, session="s"))
    assert Signer(b"key").unpack(frames)[1] == frames[2:]
    frames[1] = b"wrong"
    assert signer.unpack(frames)[1] == frames[2:]
    with pytest.raises(BadMessageError):
        Signer(b"key").unpack(frames)

"""Kernels behind websockets: all channels, both ways, for one and for several clients."""

from typing import Any

import pytest

from gateway.bridging import NUMBERED_PROTOCOL, PROTOCOLS, Bridge, bridge_to, texts, types
from studiolo.gateway.base import KernelState
from studiolo.gateway.starting.launching import LocalProcess

COMM_TARGET = """
def opened(comm, message):
    def answer(message):
        buffers = [bytes(buffer)[::-1] for buffer in message["buffers"]]
        comm.send({"sizes": [len(buffer) for buffer in buffers]}, buffers=buffers)
    comm.on_msg(answer)
get_ipython().kernel.comm_manager.register_target("mirror", opened)
"""


@pytest.mark.req("S4-36", "S4-37", "S4-38", "S4-44", "S4-57", "S4-58", "S4-60")
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_cell_runs_by_each_protocol(bridge: Bridge, protocol: str | None) -> None:
    client = await bridge.connect(protocol=protocol)
    came = await client.run("print('out'); 6 * 7", cell="c-1")
    ours = [message for message in came if message.parent.get("msg_id") == came[-1].parent["msg_id"]]
    assert set(types(ours)) == {"status", "execute_input", "stream", "execute_result", "execute_reply"}
    assert texts(ours) == "out\n"
    numbers = [message.number for message in ours if message.channel == "iopub"]
    if protocol == NUMBERED_PROTOCOL:
        # What the host itself asks at the start may be answered in between.
        assert numbers == sorted(set(numbers))
        assert 0 < numbers[-1] <= bridge.journal.last
    else:
        assert set(numbers) == {0}


@pytest.mark.req("S4-46", "S4-47", "S4-48", "S4-49", "S4-50", "S4-51", "S4-52")
@pytest.mark.parametrize(
    ("request_type", "content"),
    [
        ("inspect_request", {"code": "print", "cursor_pos": 5, "detail_level": 0}),
        ("complete_request", {"code": "pri", "cursor_pos": 3}),
        ("history_request", {"hist_access_type": "tail", "n": 3, "output": False, "raw": True}),
        ("is_complete_request", {"code": "for x in y:"}),
        ("connect_request", {}),
        ("comm_info_request", {}),
        ("kernel_info_request", {}),
    ],
)
async def test_every_request_on_shell_is_answered(bridge: Bridge, request_type: str, content: dict[str, Any]) -> None:
    client = await bridge.connect()
    done = await client.until_done(await client.send(request_type, content))
    reply = next(message for message in done if message.channel == "shell")
    assert reply.type == request_type.replace("request", "reply")
    assert reply.content.get("status", "ok") in ("ok", "incomplete")


@pytest.mark.req("S4-40")
async def test_control_is_answered_while_a_cell_runs(bridge: Bridge) -> None:
    client = await bridge.connect()
    running = await client.execute("import time\nfor _ in range(600): time.sleep(0.05)")
    await client.until(lambda message: message.type == "execute_input")
    await client.send("kernel_info_request", channel="control")
    reply = (await client.until(lambda message: message.channel == "control"))[-1]
    assert reply.type == "kernel_info_reply"
    assert (bridge.kernel.state, bridge.kernel.busy_since is None) == (KernelState.BUSY, False)
    await bridge.kernel.interrupt()
    await client.until_done(running)
    assert bridge.kernel.state is KernelState.IDLE


@pytest.mark.req("S4-54", "S4-59")
@pytest.mark.parametrize("mode", ["signal", "message"])
async def test_both_kinds_of_interrupt_end_a_cell(shared_process: LocalProcess, tmp_path: Any, mode: str) -> None:
    async with bridge_to(shared_process, tmp_path, interrupt_mode=mode) as bridge:
        client = await bridge.connect()
        running = await client.execute("import time\nprint(1, flush=True)\nfor _ in range(600): time.sleep(0.05)")
        await client.until(lambda message: message.type == "stream")
        await bridge.kernel.interrupt()
        came = await client.until_done(running)
        assert [message.content["ename"] for message in came if message.type == "error"] == ["KeyboardInterrupt"]


@pytest.mark.req("S4-51", "S4-42")
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_binary_buffers_cross_both_ways(bridge: Bridge, protocol: str | None) -> None:
    client = await bridge.connect(protocol=protocol)
    await client.run(COMM_TARGET)
    opening = {"comm_id": f"m-{protocol}", "target_name": "mirror", "data": {}}
    await client.send("comm_open", opening)
    await client.send("comm_msg", {"comm_id": opening["comm_id"], "data": {}}, buffers=[b"abc", b"\x00\xff" * 50_000])
    answer = (await client.until(lambda message: message.type == "comm_msg"))[-1]
    assert answer.buffers == [b"cba", b"\xff\x00" * 50_000]
    assert answer.content["data"] == {"sizes": [3, 100_000]}


@pytest.mark.req("S4-39")
async def test_only_who_runs_a_cell_is_asked_and_may_answer(bridge: Bridge) -> None:
    asker, other = await bridge.connect(), await bridge.connect()
    running = await asker.execute("print(input('name? '))")
    question = (await asker.until(lambda message: message.channel == "stdin"))[-1]
    assert question.content == {"prompt": "name? ", "password": False}
    await other.send("input_reply", {"value": "intruder"}, channel="stdin")
    # Answered by the kernel only after what came before on the same websocket was dealt with.
    await other.send("kernel_info_request", channel="control")
    await other.until(lambda message: message.channel == "control")
    await asker.send("input_reply", {"value": "ada"}, channel="stdin")
    assert texts(await asker.until_done(running)) == "ada\n"
    assert "stdin" not in {message.channel for message in other.seen}


@pytest.mark.req("S4-36")
async def test_equal_ids_of_two_clients_are_answered_to_each(bridge: Bridge) -> None:
    first, second = await bridge.connect(), await bridge.connect()
    await first.execute("'first'", msg_id="same")
    await second.execute("'second'", msg_id="same", user_expressions={"mine": "40 + 2"})
    replies = [(await peer.until(lambda message: message.channel == "shell"))[-1] for peer in (first, second)]
    assert [list(reply.content["user_expressions"]) for reply in replies] == [[], ["mine"]]


async def test_output_reaches_all_and_replies_only_who_asked(bridge: Bridge) -> None:
    asker, watcher = await bridge.connect(), await bridge.connect()
    await watcher.receive()
    running = await asker.execute("print('to all')")
    seen = await watcher.until(
        lambda m: m.parent.get("msg_id") == running and m.content.get("execution_state") == "idle"
    )
    assert texts(seen) == "to all\n"
    assert {message.channel for message in seen} == {"iopub"}


async def test_a_subshell_runs_beside_the_main_one(bridge: Bridge) -> None:
    client = await bridge.connect()
    await client.send("create_subshell_request", channel="control")
    subshell = (await client.until(lambda message: message.channel == "control"))[-1].content["subshell_id"]
    running = await client.execute("import time\nwhile 'go' not in globals(): time.sleep(0.01)")
    content = {"code": "go = 1", "silent": False, "store_history": False, "allow_stdin": False}
    await client.send("execute_request", content, subshell=subshell)
    await client.until_done(running)
    await client.run("del go")
    await client.send("delete_subshell_request", {"subshell_id": subshell}, channel="control")
    await client.until(lambda message: message.channel == "control")


@pytest.mark.req("S1-26")
async def test_a_viewer_connects_and_sees_but_sends_nothing(bridge: Bridge) -> None:
    person, viewer = await bridge.connect(), await bridge.connect(rights="see")
    info = await viewer.until_done(await viewer.send("kernel_info_request"))
    assert next(m for m in info if m.type == "kernel_info_reply").content["language_info"]["name"] == "python"
    comms = await viewer.until_done(await viewer.send("comm_info_request", {}))
    assert next(m for m in comms if m.type == "comm_info_reply").content["status"] == "ok"
    refused = await viewer.until_done(await viewer.execute("open('/tmp/never', 'w')"))
    reply = next(message for message in refused if message.type == "execute_reply")
    assert (reply.content["status"], reply.content["ename"]) == ("error", "Forbidden")
    assert "execute_input" not in types(refused)
    await viewer.send("shutdown_request", {"restart": False}, channel="control")
    assert (await viewer.until(lambda m: m.type == "shutdown_reply"))[-1].content["ename"] == "Forbidden"
    assert texts(await person.run("print('still here')")) == "still here\n"
    assert "still here\n" in texts(await viewer.until(lambda message: message.type == "stream"))


async def test_a_viewer_learns_of_comms_that_others_opened(bridge: Bridge) -> None:
    person, viewer = await bridge.connect(), await bridge.connect(rights="see")
    await person.run(COMM_TARGET)
    await person.send("comm_open", {"comm_id": "c-9", "target_name": "mirror", "data": {}})
    await person.run("pass")
    asked = await viewer.send("comm_info_request", {"target_name": "mirror"})
    reply = next(m for m in await viewer.until_done(asked) if m.type == "comm_info_reply")
    assert reply.content["comms"]["c-9"] == {"target_name": "mirror"}


async def test_sockets_of_a_login_that_ended_are_closed(bridge: Bridge) -> None:
    ended, other = await bridge.connect(login="l-9"), await bridge.connect(login="l-1")
    assert bridge.kernel.cut({"l-9"}) == 1
    assert await ended.until_closed() == 1008
    assert texts(await other.run("print(1)")) == "1\n"


async def test_cells_are_noted_with_the_request_that_ran_them(bridge: Bridge) -> None:
    client = await bridge.connect()
    done = await client.run("1", cell="cell-7")
    noted = bridge.journal.request(done[-1].parent["msg_id"])
    assert noted is not None
    assert (noted.cell, noted.session) == ("cell-7", client.session)
    assert bridge.journal.open_requests() == {}

"""What strange clients send, byte by byte: none of it stops, fills or confuses the server."""

import json
import socket
import time
from contextlib import closing

import pytest

from gadfly.conversation import TextDelta
from gadfly.server.limits import Limits
from gadfly.testing import ScriptedAnswers
from serving import eventually, service_for, serving

HOST = b"host: localhost\r\n"
GET = b"GET /health/live HTTP/1.1\r\n" + HOST + b"\r\n"
BODY = json.dumps({"messages": [{"role": "user", "content": "Hello?"}]}).encode()


def post(body=BODY, path=b"/v1/chat/completions", more=b""):
    return b"POST %s HTTP/1.1\r\n%s%scontent-length: %d\r\n\r\n%s" % (path, HOST, more, len(body), body)


def connect(server):
    connection = socket.create_connection((server.host, server.port), timeout=30)
    return closing(connection)


def ask(server, *parts, read=True):
    """All that comes back until the server closes the connection."""
    with connect(server) as connection:
        received = b""
        try:
            for part in parts:
                connection.sendall(part)
            while read and (more := connection.recv(65536)):
                received += more
        except ConnectionError:  # refused before all was sent
            pass
        return received


def status(answer):
    return int(answer.split(b" ", 2)[1])


CLOSE = b"connection: close\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50),  # the beginning of TLS
        b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: localhost\r\nbad header\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: localhost\r\nx: \x00\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(server, request_):
    answer = ask(server, request_)
    assert status(answer) == 400
    assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["error"]["message"]
    assert status(ask(server, GET.replace(HOST, HOST + CLOSE))) == 200


@pytest.mark.parametrize(
    "head",
    [
        b"GET /%s HTTP/1.1\r\n" % (b"x" * 40_000) + HOST + b"\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"x: %s\r\n\r\n" % (b"x" * 40_000),
        b"GET / HTTP/1.1\r\n" + HOST + b"x: y\r\n" * 200 + b"\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"x: " + b"x" * 3_000_000,  # without an end
        b"GET /" + b"x" * 3_000_000,
    ],
)
def test_a_huge_head_is_refused_before_it_is_whole(server, head):
    answer = ask(server, head)
    assert answer == b"" or status(answer) == 431  # nothing, where the rest of it met a closed connection
    assert status(ask(server, GET.replace(HOST, HOST + CLOSE))) == 200


def test_a_head_in_many_pieces_is_a_head(server):
    whole = GET.replace(HOST, HOST + CLOSE + b"x: " + b"x" * 9_000 + b"\r\n")
    assert status(ask(server, *(whole[i : i + 1000] for i in range(0, len(whole), 1000)))) == 200


def test_a_body_that_is_too_large_is_refused_whether_or_not_it_says_so(llm):
    with serving(service_for(llm, limits=Limits(body=1000, grace=5.0))) as server:
        assert status(ask(server, post(b"x" * 1001, more=CLOSE))) == 413
        chunked = b"POST /v1/completions HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n"
        assert status(ask(server, chunked, b"%x\r\n%s\r\n" % (2000, b"x" * 2000), b"0\r\n\r\n")) == 413
        assert status(ask(server, post(more=CLOSE))) == 200


@pytest.mark.parametrize("begun", [b"", b"GET / HT", GET[:-2], post()[:-1], post(path=b"/nowhere")[:-1]])
def test_half_a_request_is_given_up(llm, begun):
    with serving(service_for(llm, limits=Limits(arrival=0.1, grace=5.0))) as server:
        began = time.monotonic()
        answer = ask(server, begun)
        assert time.monotonic() - began < 20
        assert answer == b"" or status(answer) == 404
        assert not llm.requests


def test_who_sends_byte_by_byte_is_not_waited_for(llm):
    with serving(service_for(llm, limits=Limits(arrival=0.2, grace=5.0))) as server, connect(server) as slow:
        sent = 0
        try:
            for byte in GET * 1000:
                slow.sendall(bytes([byte]))
                sent += 1
                if sent % len(GET) == len(GET) - 3:  # never the end of a head
                    assert eventually(lambda: slow.recv(1) == b"")
                    break
        except ConnectionError:
            pass
        assert sent < len(GET)


def test_requests_in_one_piece_are_answered_in_turn(server, llm):
    answers = ask(server, GET * 3 + post() * 2 + GET.replace(HOST, HOST + CLOSE))
    assert answers.count(b"HTTP/1.1 200") == 6
    assert answers.index(b'"live"') < answers.index(b"chat.completion") < answers.rindex(b'"live"')
    assert len(llm.requests) == 2


def test_requests_do_not_pile_up_behind_one_that_takes_long(llm):
    llm.hold()
    with serving(service_for(llm, limits=Limits(pipelined=4, grace=5.0))) as server:
        assert ask(server, post(), GET * 100) == b""
        assert eventually(lambda: llm.choices and llm.choices[0].cancelled)


def test_text_that_is_no_utf8_is_refused_as_such(server):
    answer = ask(server, post(b'{"prompt": "\xff"}', b"/v1/completions", CLOSE))
    assert status(answer) == 400
    assert status(ask(server, post(path=b"/v1/models/\xff\xfe", more=CLOSE))) in (400, 405)
    assert status(ask(server, b"GET /v1/models/%ff%00%0a HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n")) == 404
    assert all("\n" not in line for line in server.lines.text)


def streamed():
    return post(json.dumps({**json.loads(BODY), "stream": True}).encode())


@pytest.mark.parametrize("request_", [post(), streamed()])
def test_a_client_that_leaves_is_not_worked_for(llm, server, request_):
    llm.hold()
    with connect(server) as connection:
        connection.sendall(request_)
        assert eventually(lambda: len(llm.choices) == 1)
        assert not llm.choices[0].cancelled
    assert eventually(lambda: llm.choices[0].cancelled)
    assert eventually(lambda: server.service.models.loaded[0].users == 0)


@pytest.mark.parametrize("behind", [GET, streamed()])
def test_leaving_is_noticed_with_other_requests_behind(llm, server, behind):
    llm.hold()
    with connect(server) as connection:
        connection.sendall(streamed() + behind)
        assert eventually(lambda: len(llm.choices) == 1)
    assert eventually(lambda: llm.choices[0].cancelled)
    assert eventually(lambda: server.service.models.loaded[0].users == 0)
    assert len(llm.choices) == 1


def test_who_reads_nothing_is_cut_off():
    endless = ScriptedAnswers([TextDelta("x" * 1000)] * 20_000)
    with serving(service_for(endless, limits=Limits(stall=0.2, grace=5.0))) as server, connect(server) as connection:
        connection.sendall(streamed())
        assert eventually(lambda: endless.choices and endless.choices[0].cancelled)
        assert eventually(lambda: server.service.models.loaded[0].users == 0)


def test_a_stream_without_news_gives_signs_of_life(llm):
    llm.hold()
    with serving(service_for(llm, limits=Limits(heartbeat=0.02, grace=5.0))) as server, connect(server) as connection:
        for path, sign in ((b"/v1/chat/completions", b": still here"), (b"/v1/messages", b"event: ping")):
            with connect(server) as connection:
                connection.sendall(streamed().replace(b"/v1/chat/completions", path))
                received = b""
                while received.count(sign) < 3:
                    received += connection.recv(4096)
        with connect(server) as connection:
            connection.sendall(streamed())
            llm.release()
            received = b""
            while b"[DONE]" not in received:
                received += connection.recv(4096)


def test_too_many_connections_are_told_so(llm):
    with serving(service_for(llm, limits=Limits(connections=3, grace=5.0))) as server:
        held = [socket.create_connection((server.host, server.port), timeout=30) for _ in range(3)]
        try:
            refused = ask(server, GET.replace(HOST, HOST + CLOSE))
            assert status(refused) == 503
            assert b"retry-after: 1" in refused
            assert json.loads(refused.split(b"\r\n\r\n", 1)[1])["error"]["type"] == "server_error"
        finally:
            for connection in held:
                connection.close()
        assert eventually(lambda: status(ask(server, GET.replace(HOST, HOST + CLOSE))) == 200)


def open_and_close(server, times):
    """Connections that come and go in every way there is."""
    ways = (b"", b"GET / HT", GET, post(), streamed(), b"nonsense\r\n\r\n", post()[:-5], GET * 5)
    for number in range(times):
        ask(server, ways[number % len(ways)], read=False)


@pytest.mark.parametrize("times", [80, pytest.param(10_000, marks=pytest.mark.slow)])
def test_connections_that_come_and_go_leave_nothing(llm, server, times):
    open_and_close(server, times)
    assert server.post("/v1/chat/completions", **json.loads(BODY)).status_code == 200
    server.client.close()
    assert eventually(lambda: all(choice.finished or choice.cancelled for choice in llm.choices))
    assert eventually(lambda: server.service.models.loaded[0].users == 0)
    assert eventually(lambda: not server.state.connections and not server.state.tasks)
    llm.choices.clear()  # which the fake would wake one by one, and all for each

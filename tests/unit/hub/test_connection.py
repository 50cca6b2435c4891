"""Redirects, tokens that stay with their host, and an end to patience."""

from collections.abc import Iterator

import pytest

from gadfly.errors import DownloadError
from gadfly.hub.connection import Connection, NoAnswer, Patience
from hub_server import HubServer, Served, serve


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    with Connection(Patience(answer=5.0, stall=5.0)) as connection:
        yield connection


@pytest.fixture
def elsewhere() -> Iterator[HubServer]:
    with serve() as server:
        server.files["/file"] = Served(b"body")
        yield server


def test_redirects_are_followed_within_and_between_hosts(hub, elsewhere, connection):
    hub.files["/a"] = Served(redirect="/b?x=1")
    hub.files["/b"] = Served(redirect=f"{elsewhere.address}/file")
    with connection.get(f"{hub.address}/a", {"Range": "bytes=2-"}) as response:
        assert response.read() == b"dy"


def test_a_token_stays_with_the_host_it_is_for(hub, elsewhere, connection):
    hub.files["/a"] = Served(redirect="/b")
    hub.files["/b"] = Served(redirect=f"{elsewhere.address}/file")
    with connection.get(f"{hub.address}/a", token="secret"):
        pass
    assert [asked.headers.get("authorization") for asked in hub.requests] == ["Bearer secret"] * 2
    assert [asked.headers.get("authorization") for asked in elsewhere.requests] == [None]


def test_a_circle_of_redirects_ends(hub, connection):
    hub.files["/a"] = Served(redirect="/a")
    with pytest.raises(DownloadError, match="redirects more than 10 times"), connection.get(f"{hub.address}/a"):
        pass
    assert len(hub.requests) == 10


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "javascript:alert(1)"])
def test_redirects_lead_to_the_web_only(hub, connection, target):
    hub.files["/a"] = Served(redirect=target)
    with pytest.raises(DownloadError, match="not safe"), connection.get(f"{hub.address}/a"):
        pass


@pytest.mark.parametrize(
    "url", ["http://", "http://[::1", "http://a b/", "http://\x00/", "http://exa\u2028mple/\n", "x:y"]
)
def test_what_is_no_address_is_a_one_line_error(connection, url):
    with pytest.raises(DownloadError) as caught, connection.get(url):
        pass
    assert "\n" not in str(caught.value)


def test_a_name_that_cannot_be_looked_up_in_time_is_given_up(monkeypatch, hub):
    import socket

    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: hub.release.wait() and [])
    late = pytest.raises(NoAnswer, match="did not answer within")
    with Connection(Patience(answer=0.05)) as connection, late, connection.get("http://some.invalid/"):
        pass
    hub.release.set()

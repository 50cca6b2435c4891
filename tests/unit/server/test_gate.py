"""Foreign names and foreign pages stay out, and so does whoever has no key where one is asked for."""

import pytest
from starlette.datastructures import Headers

from gadfly.server.gate import House, is_loopback
from gadfly.server.keys import new_key
from gadfly.server.rates import Rates
from gadfly.server.refusals import Refused

OPEN = House()
WIDE = House("0.0.0.0", closed=True)


def headers(**given):
    return Headers({"host": "127.0.0.1:8080", **{name.replace("_", "-"): value for name, value in given.items()}})


def admit(house, path="/v1/models", scheme="http", **given):
    return house.admit(headers(**given), path, scheme)


def status(house, **given):
    with pytest.raises(Refused) as caught:
        admit(house, **given)
    return caught.value.status


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "LOCALHOST:80", "[::1]:8080", "127.1.2.3"])
def test_whoever_calls_this_machine_by_its_own_name_may_come_in(host):
    assert admit(OPEN, host=host) is None


FOREIGN = ["evil.example", "evil.example:8080", "localhost.evil.example", "192.168.1.5:8080", "", "a@127.0.0.1", "[::1"]


@pytest.mark.parametrize("host", [*FOREIGN, "127.0.0.1:http", "127.0.0.1/x", "127.0.0.1?x", "127.0.0.1#x", "0x7f.1"])
def test_a_foreign_host_is_refused(host):
    assert status(OPEN, host=host) == 403


def test_a_request_has_one_host():
    raw = [(b"host", b"localhost"), (b"host", b"evil.example")]
    for given in (raw, []):
        with pytest.raises(Refused) as caught:
            OPEN.admit(Headers(raw=given), "/", "http")
        assert caught.value.status == 400


def test_names_can_be_allowed():
    house = House(hosts=frozenset({"gadfly.example"}))
    assert admit(house, host="Gadfly.example:443") is None
    assert status(house, host="other.example") == 403


def test_a_server_for_others_answers_to_addresses_and_to_the_name_of_the_machine(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "Box")
    house = House("0.0.0.0")
    for host in ("192.168.1.5:8080", "box:8080", "box.local", "[fe80::1]:80", "localhost"):
        assert admit(house, host=host) is None
    for host in ("evil.example", "box.evil.example"):
        assert status(house, host=host) == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:8081", "https://127.0.0.1:8080"])
def test_a_foreign_page_is_refused(origin):
    assert status(OPEN, origin=origin) == 403


def test_pages_of_ours_and_those_that_are_allowed_may_ask():
    assert admit(OPEN, origin="http://127.0.0.1:8080") is None
    assert admit(House(origins=frozenset({"https://page.example"})), origin="https://page.example") is None
    assert admit(House(origins=frozenset({"*"})), origin="https://any.example") is None


def test_a_closed_house_wants_a_key_that_it_knows():
    key, text = new_key("anna")
    house = House(closed=True, keys=lambda: (new_key("other")[0], key))
    assert status(house) == status(house, authorization="Bearer wrong") == status(house, x_api_key="x") == 401
    assert status(house, authorization=f"Basic {text}") == 401
    assert admit(house, authorization=f"Bearer {text}") == admit(house, x_api_key=text) == key
    assert admit(house, authorization=f"bearer  {text} ") == key


def test_health_and_the_page_are_for_everybody_and_nothing_else_is():
    for path in ("/health/live", "/", "/assets/index-1.js", "/app.webmanifest", "/sw.js", "/app/api/session"):
        assert admit(WIDE, path=path) is None
    for path in ("/metrics", "/v1/models", "/api/tags", "/openapi.json", "/health", "/anything", "/app/api/chats"):
        assert status(WIDE, path=path) == 401


@pytest.mark.parametrize("origins", [(), ("*",), ("http://page.example",)])
def test_the_app_answers_no_page_but_its_own(origins):
    house = House(origins=frozenset(origins))
    for path in ("/app/api/chats", "/app/api/session"):
        assert status(house, path=path, origin="http://page.example") == 403
        assert status(house, path=path, origin="null") == 403
        assert status(house, path=path, sec_fetch_site="cross-site") == 403
        assert status(house, path=path, sec_fetch_site="same-site") == 403
        assert admit(house, path=path, sec_fetch_site="same-origin") is None
        assert admit(house, path=path, origin="http://127.0.0.1:8080") is None
        assert admit(house, path=path) is None


def test_behind_a_proxy_the_page_has_an_origin_that_was_named():
    house = House(hosts=frozenset({"gadfly.example"}), origins=frozenset({"https://gadfly.example"}))
    asked = {"path": "/app/api/chats", "host": "gadfly.example"}
    assert admit(house, origin="https://gadfly.example", **asked) is None
    assert status(house, origin="https://other.example", **asked) == 403


def test_an_open_house_takes_any_key_as_clients_cannot_do_without():
    assert admit(OPEN, authorization="Bearer any text") is None


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("/v1/chat/completions", "chat"),
        ("/api/chat", "chat"),
        ("/api/pull", "models"),
        ("/metrics", "metrics"),
        ("/v1/files", "train"),
        ("/v1/fine_tuning/jobs", "train"),
    ],
)
def test_a_key_is_good_for_its_scopes_only(path, scope):
    for mine in ("chat", "models", "metrics", "train"):
        key, text = new_key("anna", [mine])
        house = House(keys=lambda key=key: (key,), closed=True)
        if mine == scope:
            assert admit(house, path=path, x_api_key=text) == key
        else:
            assert status(house, path=path, x_api_key=text) == 403


def test_a_key_comes_no_oftener_than_it_may():
    now = [0.0]
    key, text = new_key("anna", per_minute=2)
    house = House(keys=lambda: (key,), rates=Rates(lambda: now[0]))
    assert [admit(house, x_api_key=text) for _ in range(2)] == [key] * 2
    with pytest.raises(Refused, match="2 requests a minute") as caught:
        admit(house, x_api_key=text)
    assert (caught.value.status, caught.value.headers) == (429, {"retry-after": "30"})
    now[0] = 30.0
    assert admit(house, x_api_key=text) == key
    assert status(house, x_api_key=text) == 429


def test_loopback_is_what_only_this_machine_reaches():
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.8.9.1", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.0.1", "example.org", "", "127.0.0.1.evil.example")))

"""Cookies in place of keys: they last a while, end with their key, and tell nobody what they are."""

import json

import pytest
from starlette.datastructures import Headers

from gadfly.errors import SettingsError
from gadfly.server.app.sessions import LIFETIME, Sessions, cookie_name
from gadfly.server.keys import new_key

HOST = "127.0.0.1:8080"
KEY, TEXT = new_key("anna")
OTHER, _ = new_key("ben")


def headers(cookie, host=HOST):
    return Headers({"host": host, "cookie": f"a=b; {cookie_name(HOST)}={cookie}; c=d"})


def test_a_cookie_stands_for_its_key(tmp_path):
    sessions = Sessions(tmp_path)
    cookie = sessions.begin(KEY)
    assert sessions.key(headers(cookie), [OTHER, KEY]) == KEY
    assert Sessions(tmp_path).key(headers(cookie), [KEY]) == KEY  # of a server that was started again
    assert sessions.key(headers(cookie), [OTHER]) is None  # the key was removed
    assert sessions.key(headers("wrong"), [KEY]) is None
    assert sessions.key(Headers({"host": HOST}), [KEY]) is None
    assert sessions.key(headers(cookie, "127.0.0.1:9090"), [KEY]) is None  # of another server on this machine
    kept = (tmp_path / "sessions.json").read_text()
    assert cookie not in kept and TEXT not in kept
    sessions.end(headers(cookie))
    assert sessions.key(headers(cookie), [KEY]) is None


def test_it_ends_by_itself_and_there_are_not_too_many(tmp_path):
    now = [1000.0]
    sessions = Sessions(tmp_path, lambda: now[0])
    first = sessions.begin(KEY)
    now[0] += LIFETIME
    assert sessions.key(headers(first), [KEY]) is None
    sessions.begin(KEY)
    assert len(json.loads((tmp_path / "sessions.json").read_text())["sessions"]) == 1


@pytest.mark.parametrize("text", ["", "[]", '{"version": 2}', '{"version": 1, "sessions": [{"digest": "x"}]}', "\xff"])
def test_a_damaged_file_says_what_to_do(tmp_path, text):
    (tmp_path / "sessions.json").write_text(text)
    with pytest.raises(SettingsError, match="delete it"):
        Sessions(tmp_path).key(headers("any"), [KEY])

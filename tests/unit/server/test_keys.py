"""Keys are known by their hashes, and what is wrong with their file is said."""

import json

import pytest

from gadfly.errors import NotFoundError, RequestError, SettingsError
from gadfly.server.keys import KeyFile, matching, new_key


def test_a_key_is_recognised_and_its_text_is_nowhere(tmp_path):
    key, text = new_key("anna", ["metrics", "chat"], 60)
    KeyFile(tmp_path).add(key)
    assert key.scopes == ("chat", "metrics")
    assert KeyFile(tmp_path).list() == (key,)
    assert not [path for path in tmp_path.iterdir() if text in path.read_text()]
    assert matching(text, KeyFile(tmp_path).list()) == key
    for wrong in ("", text[:-1], text + "x", key.digest, "\udcff"):
        assert matching(wrong, [key]) is None


def test_no_two_keys_are_alike_and_no_two_have_one_name(tmp_path):
    assert len({new_key("a")[1] for _ in range(100)}) == 100
    file = KeyFile(tmp_path)
    file.add(new_key("anna")[0])
    with pytest.raises(RequestError, match="a key called anna"):
        file.add(new_key("anna")[0])


def test_who_reads_the_file_notices_what_others_change(tmp_path):
    reading, writing = KeyFile(tmp_path), KeyFile(tmp_path)
    assert reading.list() == ()
    keys = [new_key(name)[0] for name in ("anna", "ben")]
    for key in keys:
        writing.add(key)
    assert reading.list() == tuple(keys)
    writing.remove("anna")
    assert reading.list() == (keys[1],)
    with pytest.raises(NotFoundError, match="'anna'"):
        writing.remove("anna")


@pytest.mark.parametrize(
    "arguments", [("", ["chat"]), ("a b", ["chat"]), ("../x", ["chat"]), ("a", []), ("a", ["all"]), ("a", ["chat"], 0)]
)
def test_keys_that_make_no_sense_are_not_made(arguments):
    with pytest.raises(RequestError):
        new_key(*arguments)


GOOD = {"name": "a", "digest": "0" * 64, "scopes": ["chat"], "per_minute": None, "created": ""}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"version": 2, "keys": []}',
        b'{"version": 1}',
        b"[" * 100_000,
        *(
            json.dumps({"version": 1, "keys": [{**GOOD, **wrong}]}).encode()
            for wrong in ({"name": 1}, {"digest": "x"}, {"scopes": ["root"]}, {"per_minute": -1}, {"more": 1})
        ),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it(tmp_path, content):
    (tmp_path / "keys.json").write_bytes(content)
    with pytest.raises(SettingsError, match=r"keys\.json is damaged"):
        KeyFile(tmp_path).list()

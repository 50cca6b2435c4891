"""The built page: served as it is, to browsers that are told to load nothing from elsewhere."""

import gzip

import pytest
from starlette.datastructures import Headers

from gadfly.server.app.page import HEADERS, Page
from gadfly.server.refusals import Refused

SCRIPT = b"console.log('gadfly');" * 20


@pytest.fixture
def built(tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path / "app.webmanifest").write_text("{}")
    (tmp_path / ".hidden").write_text("no")
    (tmp_path / "assets/index-1.js").write_bytes(SCRIPT)
    (tmp_path / "assets/icon.png").write_bytes(b"\x89PNG")
    return Page(tmp_path)


def get(page, path, **headers):
    return page.get(path, Headers({name.replace("_", "-"): value for name, value in headers.items()}))


def test_files_have_their_types_and_stay_as_long_as_they_may(built):
    types = {path: get(built, path).media_type for path in built.paths}
    assert types == {
        "/": "text/html; charset=utf-8",
        "/index.html": "text/html; charset=utf-8",
        "/app.webmanifest": "application/manifest+json",
        "/assets/index-1.js": "text/javascript; charset=utf-8",
        "/assets/icon.png": "image/png",
    }
    assert get(built, "/").headers["cache-control"] == "no-cache"
    assert "immutable" in get(built, "/assets/index-1.js").headers["cache-control"]
    for path in built.paths:
        for name, value in HEADERS.items():
            assert get(built, path).headers[name] == value


def test_text_is_compressed_for_those_who_take_it(built):
    answer = get(built, "/assets/index-1.js", accept_encoding="gzip, br")
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(answer.body) == SCRIPT
    assert get(built, "/assets/index-1.js").body == SCRIPT
    assert "content-encoding" not in get(built, "/assets/icon.png", accept_encoding="gzip").headers


def test_what_a_browser_has_is_not_sent_again(built):
    tag = get(built, "/").headers["etag"]
    assert get(built, "/", if_none_match=tag).status_code == 304
    assert get(built, "/", if_none_match='"other"').status_code == 200


@pytest.mark.parametrize("path", ["/.hidden", "/../secret", "/assets/../index.html", "/assets/", "/nothing"])
def test_nothing_else_is_there(built, path):
    with pytest.raises(Refused) as caught:
        get(built, path)
    assert caught.value.status == 404


def test_where_no_page_is_built_a_sentence_says_so(tmp_path):
    answer = get(Page(tmp_path), "/")
    assert b"make web" in answer.body
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]

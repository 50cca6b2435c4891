"""The picture of results: it is XML, has a bar for every row with a peer, and tells ahead from behind."""

from xml.etree import ElementTree

import pytest

from plot import draw


def result(date="2026-01-01", ratio=2.0, **what):
    row = {"what": what, "unit": "tokens/s", "ours": 10 * ratio, "theirs": 10.0, "ratio": ratio}
    return {"benchmark": "some", "date": date, "processor": "<Some> CPU", "peer": "other 1.0", "rows": [row]}


def bars(picture):
    root = ElementTree.fromstring(picture)
    return [rect.get("class") for rect in root.iter("{http://www.w3.org/2000/svg}rect") if rect.get("rx")]


def test_a_bar_for_every_row_and_what_is_behind_looks_it():
    assert bars(draw([result(model="a"), result(model="b", ratio=0.25)])) == ["ahead", "behind"]


def test_what_was_measured_last_counts():
    picture = draw([result("2026-02-01", 3.0, model="a"), result("2026-01-01", 0.5, model="a")])
    assert bars(picture) == ["ahead"]
    assert "3.00×" in picture


def test_labels_name_numbers_only_and_what_all_rows_share_stands_above_them():
    picture = draw([result(model="a", threads=2), result(model="a", threads=1)])
    assert ">some, a<" in picture and ">threads 1<" in picture and ">threads 2<" in picture


def test_without_a_peer_there_is_nothing_to_draw():
    alone = result(model="a")
    alone["rows"][0]["ratio"] = None
    with pytest.raises(ValueError, match="nothing to draw"):
        draw([alone])

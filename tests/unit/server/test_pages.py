"""Pages of lists, as OpenAI's client turns them."""

from dataclasses import dataclass

import pytest

from gadfly.errors import RequestError
from gadfly.server.routes.pages import latest, page_of


@dataclass(frozen=True)
class Named:
    id: str


ABC = [Named(name) for name in "abc"]


def ids(page):
    return "".join(one.id for one in page[0]), page[1]


def test_pages_go_on_after_the_last_one():
    assert ids(page_of(ABC, "", "2", 20)) == ("ab", True)
    assert ids(page_of(ABC, "b", "2", 20)) == ("c", False)
    assert ids(latest(iter(ABC), "", "2")) == ("cb", True)
    assert ids(latest(iter(ABC), "b", "2")) == ("a", False)
    assert ids(latest(iter(ABC), "", "")) == ("cba", False)


@pytest.mark.parametrize(
    ("after", "limit"), [("x", ""), ("", "0"), ("", "-1"), ("", "1e3"), ("", "9" * 5000), ("", "²")]
)
def test_what_makes_no_sense_is_named(after, limit):
    for turn in (lambda: page_of(ABC, after, limit, 20), lambda: latest(iter(ABC), after, limit)):
        with pytest.raises(RequestError, match="after" if after else "limit"):
            turn()

from hypothesis import given
from hypothesis import strategies as st

from gadfly.text.specials import Specials


def test_leftmost_then_longest() -> None:
    specials = Specials({"<a>": 0, "<a><b>": 1, "b>x": 2, "]": 3})
    assert list(specials.split("<a><b>x]")) == [1, "x", 3]
    assert list(specials.split("-<a>b>x")) == ["-", 0, 2]
    assert list(specials.starts("<a><b>x]")) == [0, 4, 7]


def test_none_at_all() -> None:
    assert list(Specials({}).split("<a>")) == ["<a>"]
    assert list(Specials({"<a>": 1}).split("")) == []


@given(st.sets(st.text("ab]^-\\", min_size=1, max_size=4)), st.text("ab]^-\\"))
def test_against_trying_everything(tokens: set[str], text: str) -> None:
    ids = {token: i for i, token in enumerate(sorted(tokens))}
    assert list(Specials(ids).split(text)) == naive(ids, text)
    assert list(Specials(ids).starts(text)) == [
        i for i in range(len(text)) if any(text.startswith(t, i) for t in tokens)
    ]


def naive(ids: dict[str, int], text: str) -> list[str | int]:
    runs: list[str | int] = []
    plain, i = "", 0
    while i < len(text):
        here = [token for token in ids if text.startswith(token, i)]
        if here:
            runs += [plain] if plain else []
            runs.append(ids[max(here, key=len)])
            plain, i = "", i + len(max(here, key=len))
        else:
            plain, i = plain + text[i], i + 1
    return runs + ([plain] if plain else [])

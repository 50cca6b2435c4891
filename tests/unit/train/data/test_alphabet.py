"""What a teacher found likely, as ids of a model: where both cut text alike, and only if their tokens are the same."""

import numpy as np
import pytest

from gadfly.errors import RequestError, UnsupportedError
from gadfly.testing import ByteTokenizer
from gadfly.train.data.alphabet import Alphabet, Alternatives
from gadfly.train.data.likely import Choice

ALPHABET = Alphabet("tiny", ByteTokenizer())
START, END = 256, 257


def choice(said: str, *likely: tuple[str, float]) -> Choice:
    return Choice(said.encode(), tuple((text.encode(), value) for text, value in likely))


def taught(text: str, *choices: Choice) -> tuple[Alternatives, int]:
    """Of an answer behind three other tokens; and where it begins."""
    ids = [START, 1, 2, *text.encode(), END]
    into = Alternatives.none(len(ids))
    ALPHABET.learn(into, ids, 3, len(ids), choices)
    return into, 3


def test_chances_are_those_of_the_likeliest_alone() -> None:
    found, first = taught("Hi", choice("H", ("H", -1.0), ("J", -2.0)), choice("i", ("i", -0.5)))
    assert found.ids[first, :2].tolist() == [ord("H"), ord("J")]
    odds = np.exp(1.0)
    np.testing.assert_allclose(found.shares[first, :2], [odds / (1 + odds), 1 / (1 + odds)], rtol=1e-6)
    assert found.shares[first + 1, 0] == 1 and not found.shares[first + 2].any() and not found.shares[:first].any()


def test_the_end_of_a_turn_is_learnt_if_the_teacher_says_it() -> None:
    found, first = taught(
        "H", choice("H", ("H", -1.0)), choice("<|im_end|>", ("<|im_end|>", -0.1), ("!", -0.1), ("", -9))
    )
    assert found.ids[first + 1, :2].tolist() == [END, ord("!")]
    np.testing.assert_allclose(found.shares[first + 1, :3], [0.5, 0.5, 0])


def test_white_space_around_an_answer_is_no_difference() -> None:
    found, first = taught("Hi", choice("\n", ("x", -1.0)), choice("H", ("H", -1.0)), choice("i"), choice(" "))
    assert found.shares[first : first + 2, 0].tolist() == [1, 0]


def test_where_a_text_is_cut_otherwise_it_is_learnt_as_it_stands() -> None:
    found, first = taught("abcd", choice("a", ("a", 0.0)), choice("bc", ("zz", 0.0)), choice("d", ("d", 0.0)))
    assert found.shares[first : first + 5, 0].tolist() == [1, 0, 0, 1, 0]


def test_another_tokenizer_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"the teacher has the token 'zz', unlike tiny, .* method = .sft"):
        taught("ab", choice("a", ("a", -1.0), ("zz", -2.0)), choice("b"))
    with pytest.raises(UnsupportedError, match="cuts other words, unlike tiny"):
        taught("abcdef", choice("ab", ("a", -1.0)), choice("cd"), choice("e"), choice("f"), choice("<|im_end|>x"[:0]))
    with pytest.raises(RequestError, match="is not what its teacher said"):
        taught("ab", choice("a"), choice("c"))

"""The tree of a conversation, without a store."""

from dataclasses import dataclass

import pytest

from gadfly.chat.tree import Tree
from gadfly.errors import NotFoundError


@dataclass(frozen=True)
class Leaf:
    id: int
    parent: int | None
    visited: int = 0
    pruned: bool = False


#   1 ── 2 ── 4      visited: 4 last, then 3, then 2
#    └── 3 ── 5 ✂
TREE = Tree([Leaf(5, 3, 9, pruned=True), Leaf(1, None), Leaf(2, 1, 3), Leaf(3, 1, 4), Leaf(4, 2, 5)])


def ids(nodes: list[Leaf]) -> list[int]:
    return [node.id for node in nodes]


def test_a_path_goes_from_the_root_to_the_leaf():
    assert ids(TREE.path(4)) == [1, 2, 4]
    assert TREE.path(None) == []


def test_siblings_are_the_versions_of_a_message():
    assert ids(TREE.siblings(2)) == [2, 3]
    assert ids(TREE.siblings(1)) == [1]


def test_descending_leads_to_where_one_was_last():
    assert TREE.descend(1) == 4
    assert TREE.descend(2) == 4


def test_what_is_pruned_is_not_descended_to():
    assert TREE.descend(3) == 3
    assert TREE.descend(5) == 5


def test_what_is_not_there_is_not_found():
    with pytest.raises(NotFoundError, match="no message 7"):
        TREE.path(7)


def test_a_path_of_many_thousand_messages_is_no_recursion():
    long = Tree(Leaf(number, number - 1 or None, number) for number in range(1, 20_001))
    assert len(long.path(20_000)) == 20_000
    assert long.descend(1) == 20_000

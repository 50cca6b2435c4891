"""The tree of a conversation: every answer, every second thought, and the one path through them that is shown.

Pure functions over values: a `TreeNode` has an id, the id of its parent (None: a root), and `visited`, which counts up
in a conversation each time a node becomes the end of the path. A pruned node hides everything below it. The store keeps
such trees, the terminal and the app walk in them.
"""

from collections.abc import Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from gadfly.errors import NotFoundError

__all__ = ["Tree", "TreeNode"]


class TreeNode(Protocol):
    """What a tree has to know of a node."""

    @property
    def id(self) -> int: ...
    @property
    def parent(self) -> int | None: ...
    @property
    def visited(self) -> int: ...
    @property
    def pruned(self) -> bool: ...


N = TypeVar("N", bound=TreeNode)


class Tree(Generic[N]):
    """Nodes by id and by parent. Every parent is among the nodes and has a smaller id, as in the store."""

    def __init__(self, nodes: Iterable[N]) -> None:
        self.nodes = {node.id: node for node in sorted(nodes, key=lambda node: node.id)}
        self._children: dict[int | None, list[N]] = {}
        for node in self.nodes.values():
            self._children.setdefault(node.parent, []).append(node)

    def __getitem__(self, node: int) -> N:
        """Raises NotFoundError if there is no such node."""
        try:
            return self.nodes[node]
        except KeyError:
            raise NotFoundError(f"this conversation has no message {node}") from None

    def children(self, node: int | None) -> list[N]:
        """What was said next, oldest first; None: the roots. Those that are pruned among them."""
        return list(self._children.get(node, ()))

    def siblings(self, node: int) -> list[N]:
        """Every version of a message, itself among them, oldest first."""
        return self.children(self[node].parent)

    def path(self, leaf: int | None) -> list[N]:
        """From the root to `leaf`; nothing for None."""
        found = []
        while leaf is not None:
            found.append(self[leaf])
            leaf = found[-1].parent
        return found[::-1]

    def below(self, node: int) -> Iterator[N]:
        """The node and everything under it that is not pruned away; the node itself even if it is."""
        waiting = [self[node]]
        while waiting:
            one = waiting.pop()
            yield one
            waiting += [child for child in self._children.get(one.id, ()) if not child.pruned]

    def descend(self, node: int) -> int:
        """Where the path ended when it last went through `node`: that node of its subtree which was visited last."""
        return max(self.below(node), key=lambda one: (one.visited, one.id)).id

"""The store against a dictionary: whatever is done in whatever order, they agree."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from gadfly.chat.store import Provenance, State, Store, Writing
from gadfly.conversation import Message

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PICKS = st.integers(0, 10**6)
Said = tuple[int | None, str, State]  # parent, text, state


class Machine(RuleBasedStateMachine):
    """`said` is what ought to be in each chat; `ends` its leaf; `visits` the nodes in the order they were it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.store = Store(Path(self.folder.name) / "chats.sqlite")
        self.said: dict[str, dict[int, Said]] = {}
        self.ends: dict[str, int | None] = {}
        self.visits: dict[str, list[int]] = {}
        self.pruned: set[int] = set()
        self.writing: dict[int, tuple[str, Writing]] = {}

    def teardown(self) -> None:
        problems = self.store.check()
        self.store.close()
        self.folder.cleanup()
        assert problems == []

    def add(self, chat: str, node: int, said: Said) -> None:
        self.said[chat][node] = said
        self.visit(chat, node)

    def visit(self, chat: str, node: int) -> None:
        self.ends[chat] = node
        self.visits[chat].append(node)

    def pick(self, pick: int) -> tuple[str, int | None]:
        chat = list(self.said)[pick % len(self.said)]
        nodes = [*self.said[chat], None]
        return chat, nodes[pick // len(self.said) % len(nodes)]

    def below(self, chat: str, node: int) -> set[int]:
        found = {node}
        for one, (parent, _, _) in sorted(self.said[chat].items()):
            if parent in found and one not in self.pruned:
                found.add(one)
        return found

    @rule()
    def create(self) -> None:
        chat = self.store.create("").id
        self.said[chat], self.ends[chat], self.visits[chat] = {}, None, []

    @precondition(lambda self: self.said)
    @rule(pick=PICKS, text=TEXTS)
    def say(self, pick: int, text: str) -> None:
        chat, parent = self.pick(pick)
        node = self.store.say("", chat, parent, Message("user", text))
        self.add(chat, node.id, (parent, text, "complete"))

    @precondition(lambda self: self.said)
    @rule(pick=PICKS, text=TEXTS)
    def begin(self, pick: int, text: str) -> None:
        chat, parent = self.pick(pick)
        writing = self.store.begin("", chat, parent, Provenance(model="m"), text)
        self.writing[writing.node.id] = chat, writing
        self.add(chat, writing.node.id, (parent, text, "writing"))

    @precondition(lambda self: self.writing)
    @rule(pick=PICKS, text=TEXTS)
    def write(self, pick: int, text: str) -> None:
        node = sorted(self.writing)[pick % len(self.writing)]
        chat, writing = self.writing[node]
        writing.write(text)
        writing.flush()
        parent, before, state = self.said[chat][node]
        self.said[chat][node] = parent, before + text, state

    @precondition(lambda self: self.writing)
    @rule(pick=PICKS, how=st.sampled_from(["complete", "stopped", "failed"]))
    def end(self, pick: int, how: State) -> None:
        node = sorted(self.writing)[pick % len(self.writing)]
        chat, writing = self.writing.pop(node)
        parent, text, _ = self.said[chat][node]
        if how == "complete":
            writing.finish(Message("assistant", text := text + "."))
        elif how == "stopped":
            writing.stop()
        else:
            writing.fail("no reason")
        self.said[chat][node] = parent, text, how

    @precondition(lambda self: any(self.said.values()))
    @rule(pick=PICKS)
    def choose(self, pick: int) -> None:
        chat, node = self.pick(pick)
        if node is not None:
            within = self.below(chat, node)
            self.store.choose("", chat, node)
            self.visit(chat, next((one for one in self.visits[chat][::-1] if one in within), max(within)))

    @precondition(lambda self: any(self.said.values()))
    @rule(pick=PICKS, pruned=st.booleans())
    def prune(self, pick: int, pruned: bool) -> None:
        chat, node = self.pick(pick)
        if node is None:
            return
        self.store.mark("", chat, node, pruned=pruned)
        self.pruned = self.pruned | {node} if pruned else self.pruned - {node}
        found = self.store.open("", chat)
        leaf = found.info.leaf
        assert not (pruned and any(one.pruned for one in found.path))
        if leaf != self.ends[chat]:
            assert pruned
            self.ends[chat] = leaf
            if leaf is not None:
                self.visits[chat].append(leaf)

    @precondition(lambda self: any(self.said.values()))
    @rule(pick=PICKS)
    def fork(self, pick: int) -> None:
        chat, node = self.pick(pick)
        path = self.store.open("", chat).tree.path(node)
        if node is None or any(one.state == "writing" for one in path):
            return
        fork = self.store.open("", self.store.fork("", chat, node).id)
        self.said[fork.info.id] = {one.id: (one.parent, one.message.content, one.state) for one in fork.nodes}
        self.ends[fork.info.id] = fork.info.leaf
        self.visits[fork.info.id] = [one.id for one in sorted(fork.nodes, key=lambda one: one.visited)]
        self.pruned |= {one.id for one in fork.nodes if one.pruned}
        assert [one.message for one in fork.path] == [one.message for one in path]

    @precondition(lambda self: len(self.said) > 1)
    @rule(pick=PICKS)
    def purge(self, pick: int) -> None:
        chat = list(self.said)[pick % len(self.said)]
        self.store.purge("", chat)
        del self.said[chat], self.ends[chat], self.visits[chat]
        self.writing = {node: (where, one) for node, (where, one) in self.writing.items() if where != chat}

    @rule()
    def reopen(self) -> None:
        """As if the process had ended: what was being written is interrupted."""
        self.store.close()
        self.store = Store(self.store.path)
        for node, (chat, _) in self.writing.items():
            parent, text, _ = self.said[chat][node]
            self.said[chat][node] = parent, text, "interrupted"
        self.writing = {}

    @invariant()
    def agrees(self) -> None:
        assert {chat.id for chat in self.store.chats("", limit=500).chats} == set(self.said)
        for chat, said in self.said.items():
            found = self.store.open("", chat)
            assert {node.id: (node.parent, node.message.content, node.state) for node in found.nodes} == said
            assert found.info.leaf == self.ends[chat]
            assert {node.id for node in found.nodes if node.pruned} == self.pruned & said.keys()


def check(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_store_agrees_with_a_dictionary():
    check(examples=12, steps=25)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_store_agrees_with_a_dictionary_for_long():
    check(examples=100, steps=50)

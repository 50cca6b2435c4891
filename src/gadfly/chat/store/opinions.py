"""What users think of answers, and the preference pairs that follow from it, or the ratings where none does.

A pair says that of two answers to the same prompt one is better. It comes from a correction (what the answer should
have said, against what it said), from a vote between two, or from thumbs up and down on versions of the same answer.
A thumb on an answer that is in no pair is a rating.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import replace

from gadfly.chat.store.chat_rows import find_chat, require_node
from gadfly.chat.store.messages import TEXT_LIMIT
from gadfly.chat.store.upkeep import Upkeep
from gadfly.chat.store.values import Cause, Conversation, Feedback, Node, Pair, Rating, Thumb, Vote
from gadfly.conversation import Message
from gadfly.errors import NotFoundError, RequestError

__all__ = ["Opinions"]

_REASONS, _REASON_LENGTH = 20, 1000


class Opinions(Upkeep):
    """Nodes with what is thought of them."""

    def feedback(
        self,
        owner: str,
        chat: str,
        node: int,
        thumb: Thumb = 0,
        reasons: tuple[str, ...] = (),
        corrected: str | None = None,
    ) -> Feedback | None:
        """What is thought of an answer, in place of what was; None if that is nothing any more."""
        if thumb not in (-1, 0, 1) or isinstance(thumb, bool):
            raise RequestError(f"thumb is {thumb!r:.80}; expected 1, 0 or -1", "thumb")
        if len(reasons) > _REASONS or any(len(reason) > _REASON_LENGTH for reason in reasons):
            raise RequestError(f"there are too many reasons, or too long ones; {_REASONS} are kept", "reasons")
        if corrected is not None and len(corrected) > TEXT_LIMIT:
            raise RequestError(f"the corrected answer is longer than {TEXT_LIMIT} characters", "corrected")
        given = Feedback(thumb, tuple(reasons), corrected, time.time())
        with self.writing() as connection:
            require_answer(self.node(owner, chat, node))
            if given == Feedback(created=given.created):
                connection.execute("DELETE FROM feedback WHERE node = ?", (node,))
                return None
            values = (node, thumb, json.dumps(given.reasons, ensure_ascii=False), corrected, given.created)
            connection.execute("INSERT OR REPLACE INTO feedback VALUES (?, ?, ?, ?, ?)", values)
        return given

    def vote(self, owner: str, chat: str, winner: int, loser: int, blind: bool = False) -> Vote:
        """Prefer an answer to another one on the same question; a later vote on the same two replaces it."""
        with self.writing() as connection:
            number = find_chat(connection, owner, chat)["number"]
            for node in (winner, loser):
                require_node(connection, number, node)
                require_answer(self.node(owner, chat, node))
            if winner == loser or self.node(owner, chat, winner).parent != self.node(owner, chat, loser).parent:
                raise RequestError(f"messages {winner} and {loser} are not two answers to the same question")
            both = (winner, loser)
            connection.execute("DELETE FROM vote WHERE winner IN (?, ?) AND loser IN (?, ?)", (*both, *both))
            vote = Vote(winner, loser, bool(blind), time.time())
            values = (winner, loser, vote.blind, vote.created)
            connection.execute("INSERT INTO vote (winner, loser, blind, created) VALUES (?, ?, ?, ?)", values)
        return vote

    def votes(self, owner: str, chat: str) -> list[Vote]:
        """Oldest first."""
        query = """SELECT winner, loser, blind, vote.created FROM vote JOIN node ON node.id = winner
            WHERE node.chat = ? ORDER BY vote.id"""
        with self.reading() as connection:
            number = find_chat(connection, owner, chat)["number"]
            rows = connection.execute(query, (number,)).fetchall()
        return [Vote(row["winner"], row["loser"], bool(row["blind"]), row["created"]) for row in rows]

    def withdraw(
        self, owner: str, chat: str, because: Cause, chosen: int, rejected: int
    ) -> tuple[dict[int, Feedback], Vote | None]:
        """Take back what makes a pair: the vote, the correction, or both thumbs; answers with what was.

        Raises NotFoundError if there is no such pair.
        """
        with self.writing() as connection:
            if because == "vote":
                given = [one for one in self.votes(owner, chat) if (one.winner, one.loser) == (chosen, rejected)]
                if not given:
                    raise NotFoundError(f"message {chosen} was not preferred to {rejected}")
                connection.execute("DELETE FROM vote WHERE winner = ? AND loser = ?", (chosen, rejected))
                return {}, given[0]
            was: dict[int, Feedback] = {}
            for node in (chosen, rejected):
                opinion = self.node(owner, chat, node).feedback
                if opinion is None or (opinion.corrected is None if because == "corrected" else not opinion.thumb):
                    raise NotFoundError(f"message {node} is in no such pair")
                was[node] = opinion
            for node, opinion in was.items():
                if because == "corrected":
                    self.feedback(owner, chat, node, opinion.thumb, opinion.reasons)
                else:
                    self.feedback(owner, chat, node, 0, (), opinion.corrected)
            return was, None

    def judged(self, owner: str) -> tuple[str, ...]:
        """Chats that are not deleted and have answers of which something is thought, the latest first."""
        query = """SELECT DISTINCT chat.id FROM chat JOIN node ON node.chat = number
            LEFT JOIN feedback ON feedback.node = node.id LEFT JOIN vote ON vote.winner = node.id
            WHERE owner = ? AND deleted IS NULL AND (feedback.node NOTNULL OR vote.id NOTNULL) ORDER BY updated DESC"""
        return self._column(query, owner)

    def pairs(self, owner: str) -> Iterator[Pair]:
        """Of all chats that are not deleted, the latest first."""
        for chat in self.judged(owner):
            yield from self._pairs(self.open(owner, chat), self.votes(owner, chat))

    def ratings(self, owner: str) -> Iterator[Rating]:
        """Thumbs on answers that are shown and in no pair, of all chats that are not deleted, the latest first."""
        for chat in self.judged(owner):
            yield from self._ratings(self.open(owner, chat), self.votes(owner, chat))

    def _pairs(self, conversation: Conversation, votes: list[Vote]) -> Iterator[Pair]:
        tree = conversation.tree

        def pair(better: Node, worse: Node, because: Cause, created: float, reasons: tuple[str, ...] = ()) -> Pair:
            return Pair(
                conversation.info.id,
                self._asked(conversation, better),
                better.message,
                worse.message,
                better.provenance,
                worse.provenance,
                because,
                reasons,
                created,
                (better.id, worse.id),
            )

        told = set()
        for vote in votes:
            told.add((vote.winner, vote.loser))
            yield pair(tree[vote.winner], tree[vote.loser], "vote", vote.created)
        for node in conversation.nodes:
            opinion = node.feedback
            if opinion is None:
                continue
            if opinion.corrected is not None and opinion.corrected != node.message.content:
                better = replace(node, message=replace(node.message, content=opinion.corrected, reasoning=""))
                found = pair(better, node, "corrected", opinion.created, opinion.reasons)
                yield replace(found, chosen_provenance=None)
            for other in tree.siblings(node.id):
                if told & {(node.id, other.id), (other.id, node.id)}:
                    continue
                if opinion.thumb == 1 and other.feedback and other.feedback.thumb == -1:
                    latest = max(opinion.created, other.feedback.created)
                    yield pair(node, other, "thumbs", latest, opinion.reasons + other.feedback.reasons)

    def _ratings(self, conversation: Conversation, votes: list[Vote]) -> Iterator[Rating]:
        paired = {one.content for pair in self._pairs(conversation, votes) for one in (pair.chosen, pair.rejected)}
        for node in conversation.nodes:
            opinion = node.feedback
            if opinion and opinion.thumb and not node.pruned and node.message.content not in paired:
                yield Rating(
                    conversation.info.id,
                    node.id,
                    self._asked(conversation, node),
                    node.message,
                    node.provenance,
                    opinion.thumb == 1,
                    opinion.reasons,
                    opinion.created,
                )

    def _asked(self, conversation: Conversation, answer: Node) -> tuple[Message, ...]:
        """What it answers, as its model was shown it."""
        return (*conversation.system, *(self.said(node) for node in conversation.tree.path(answer.parent)))


def require_answer(node: Node) -> None:
    """Raises RequestError unless it is one, and finished."""
    if node.message.role != "assistant" or node.state == "writing":
        raise RequestError(f"message {node.id} is no finished answer")

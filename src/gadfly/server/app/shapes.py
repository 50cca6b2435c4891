"""Chats and messages as the page gets them: the JSON of values of the store."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from gadfly.chat.store import Attachment, ChatInfo, Feedback, Node

__all__ = ["attachment_shape", "feedback_shape", "info_shape", "node_shape"]


def info_shape(info: ChatInfo, **more: Any) -> dict[str, Any]:
    """All but whose it is, which who gets it knows."""
    shape = {**vars(info), **more}
    del shape["owner"]
    return shape


def node_shape(node: Node, text: str | None = None, reasoning: str | None = None) -> dict[str, Any]:
    """`text` and `reasoning` are what there is by now of an answer that is being written.

    A system prompt is left out: it may be long, and a chat has a thousand answers that were given with it.
    """
    said, origin = node.message, node.provenance
    return {
        "id": node.id,
        "parent": node.parent,
        "role": said.role,
        "content": said.content if text is None else text,
        "reasoning": said.reasoning if reasoning is None else reasoning,
        "tool_calls": [asdict(call) for call in said.tool_calls],
        "tool_call_id": said.tool_call_id,
        "attachments": [attachment_shape(one) for one in node.attachments],
        "state": node.state,
        "created": node.created,
        "visited": node.visited,
        "name": node.name,
        "favourite": node.favourite,
        "pruned": node.pruned,
        "model": origin.model,
        "digest": origin.digest,
        "licence": origin.licence,
        "build": origin.build,
        "persona": origin.persona,
        "wit": origin.wit,
        "adapters": origin.adapters,
        "sampling": origin.sampling,
        "seed": origin.seed,
        "finish": origin.finish,
        "usage": origin.usage,
        "dropped": origin.dropped,
        "error": origin.error,
        "source": origin.source,
        "feedback": feedback_shape(node.feedback),
        "has_trace": node.has_trace,
    }


def feedback_shape(feedback: Feedback | None) -> Mapping[str, Any] | None:
    if feedback is None:
        return None
    return {"thumb": feedback.thumb, "reasons": feedback.reasons, "corrected": feedback.corrected}


def attachment_shape(one: Attachment) -> dict[str, Any]:
    """Without its text; `characters` of it only where it is at hand."""
    shape = {"hash": one.hash, "name": one.name, "type": one.type, "bytes": one.bytes}
    return {**shape, "characters": len(one.text)} if one.text else shape

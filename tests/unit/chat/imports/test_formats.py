"""What comes of files of other programs."""

import json
import zipfile
from io import BytesIO
from typing import Any

import pytest

from gadfly.chat.imports import take
from gadfly.chat.store import Conversation, Node, Store
from gadfly.conversation import ToolCall
from unit.chat.imports.exports_of_others import (
    CHATGPT,
    CLAUDE,
    LIBRECHAT,
    LIBRECHAT_TREE,
    LLAMA_CPP,
    MESSAGES,
    OPEN_WEBUI,
    RECORD,
    SHAREGPT,
)


def taken(store: Store, value: Any) -> Conversation:
    report = take(store, "", json.dumps(value).encode())
    assert report.taken == 1, report
    return store.open("", report.chats[0])


def told(conversation: Conversation) -> list[tuple[str, str]]:
    return [(node.message.role, node.message.content) for node in conversation.path]


def others(conversation: Conversation) -> list[Node]:
    shown = {node.id for node in conversation.path}
    return [node for node in conversation.nodes if node.id not in shown]


def test_chatgpt(store: Store):
    conversation = taken(store, CHATGPT)
    info = conversation.info
    assert (info.title, info.created, info.updated, info.archived) == ("Roman roads", 1700000000.5, 1700000100.25, True)
    assert told(conversation) == [
        ("system", "I build roads."),
        ("user", "Who built them?"),
        ("assistant", ""),
        ("tool", "Found."),
        ("assistant", "Legions."),
    ]
    call = conversation.path[2].message
    assert (call.tool_calls, call.reasoning) == ((ToolCall("s2", "web", "search('roads')"),), "Let me look.")
    [branch] = others(conversation)
    assert (branch.message.content, branch.provenance.model, branch.provenance.finish) == (
        "Soldiers.",
        "gpt-4o",
        "stop",
    )
    assert (branch.provenance.source, branch.created) == ("chatgpt", 1700000002.0)
    assert conversation.tree.siblings(branch.id)[1].message.tool_calls


def test_chatgpt_tells_what_was_not_taken(store: Store):
    report = take(store, "", json.dumps(CHATGPT).encode())
    assert (report.taken, report.format) == (1, "chatgpt")
    assert [(str(one.place), str(one.reason)) for one in report.skipped] == [
        ("in conversation 1 'Roman roads'", "1 parts of the kind image_asset_pointer, which are other files"),
        ("conversation 2 'Broken'", "mapping is []; expected an object"),
    ]


def test_claude(store: Store):
    conversation = taken(store, CLAUDE)
    assert conversation.info.title == "A paper"
    assert told(conversation) == [("user", "Read this."), ("user", "A branch.")]
    first, call, result, last = conversation.nodes[:4]
    assert [(file.name, store.attachment(file.hash).text) for file in first.attachments] == [("p.txt", "Words.")]
    assert (call.message.content, call.message.reasoning) == ("I will look.", "Hm.")
    assert call.message.tool_calls == (ToolCall("tu", "find", '{"q": "x"}'),)
    assert (result.message.content, result.message.tool_call_id) == ("Found.", "tu")
    assert (last.message.content, last.parent) == ("It is short.", result.id)


def test_claude_names_the_files_that_are_not_in_it(store: Store):
    report = take(store, "", json.dumps(CLAUDE).encode())
    assert [str(one.reason) for one in report.skipped] == ["1 files, of which the export has only the names"]


def test_open_webui(store: Store):
    conversation = taken(store, OPEN_WEBUI)
    info = conversation.info
    assert (info.title, info.pinned, info.tags, info.system) == ("Sums", True, ("maths",), "Be exact.")
    assert told(conversation) == [("user", "15 * 17?"), ("assistant", ""), ("tool", "255"), ("assistant", "It is 255.")]
    call = conversation.path[1].message
    assert (call.reasoning, call.tool_calls) == ("Compute.", (ToolCall("f", "calc", '{"x": 1}'),))
    [branch] = others(conversation)
    assert (branch.message.content, branch.message.reasoning) == ("255", "10 < 15\nso")
    assert [file.name for file in conversation.path[0].attachments] == ["n.md"]


def test_librechat(store: Store):
    conversation = taken(store, LIBRECHAT)
    assert (conversation.info.title, conversation.info.system) == ("Stories", "Tell tales.")
    assert told(conversation) == [("user", "A story"), ("assistant", ""), ("tool", "Idea."), ("assistant", "Twice")]
    assert conversation.path[1].message.reasoning == "Plot."
    [branch] = others(conversation)
    assert (branch.message.content, branch.provenance.finish) == ("Once", "length")


def test_librechat_nested(store: Store):
    conversation = taken(store, LIBRECHAT_TREE)
    assert [node.message.content for node in conversation.nodes] == ["Ask", "One", "Two"]
    assert [node.message.content for node in conversation.tree.siblings(conversation.nodes[1].id)] == ["One", "Two"]


@pytest.mark.parametrize("value", [LLAMA_CPP, [LLAMA_CPP]])
def test_llama_cpp(store: Store, value: Any):
    conversation = taken(store, value)
    assert (conversation.info.title, conversation.info.updated) == ("Local", 1700000050.0)
    assert told(conversation) == [("user", "Hello"), ("assistant", "Hey")]
    assert conversation.path[1].message.reasoning == "Greet."
    assert conversation.path[1].message.tool_calls == (ToolCall("z", "wave", "{}"),)
    assert [node.message.content for node in others(conversation)] == ["Hi"]
    assert [file.name for file in conversation.path[0].attachments] == ["a.txt"]


@pytest.mark.parametrize("value", [MESSAGES, SHAREGPT, RECORD])
def test_conversations_without_a_tree(store: Store, value: Any):
    assert told(taken(store, value))[0] == ("user", "Q")


def test_lines(store: Store):
    lines = "\n".join(json.dumps(value) for value in (MESSAGES, SHAREGPT)) + "\n"
    report = take(store, "", lines.encode())
    assert (report.taken, report.skipped) == (2, ())


def test_a_zip(store: Store):
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("export/conversations.json", json.dumps(CHATGPT[:1]))
        archive.writestr("export/user.json", "{}")
        archive.writestr("export/chat.html", "<html>")
    report = take(store, "", packed.getvalue())
    assert (report.taken, report.format) == (1, "chatgpt")


def test_what_came_before_comes_no_second_time(store: Store):
    data = json.dumps([*CHATGPT[:1], *CLAUDE, *OPEN_WEBUI, LLAMA_CPP]).encode()
    assert take(store, "", data).taken == 4
    again = take(store, "", data)
    assert again.taken == 0
    assert {str(one.reason) for one in again.skipped} == {"is here already"}
    assert take(store, "anna", data).taken == 4
    grown = [{**CHATGPT[0], "update_time": 1800000000.0}]
    assert take(store, "", json.dumps(grown).encode()).taken == 1

"""Conversations taken away: to read, and to train on."""

import json
import re
from collections import Counter
from html.parser import HTMLParser

import pytest

from gadfly.chat.exports import FORMATS, file_name, pair_lines, write
from gadfly.chat.imports import take
from gadfly.chat.licences import training_verdict
from gadfly.chat.store import Provenance, Store
from gadfly.conversation import Message, ToolCall
from gadfly.errors import RequestError

EVIL = """<script>alert(1)</script><img src=x onerror=alert(1)> "'&
```html
</pre><iframe src="javascript:alert(1)">
```
[x](javascript:alert(1)) <style>@import url(//evil)</style>"""


@pytest.fixture
def chat(store: Store) -> str:
    chat = store.create("", "Roads & <b>walls</b>", system="Be kind.").id
    paper = store.attach("<i>p</i>.txt", "text/plain", b"words", "words")
    asked = store.say("", chat, None, Message("user", "Why?"), [paper.hash])
    origin = Provenance(model="smollm2", licence="Apache-2.0", persona="gadfly", seed=7)
    store.begin("", chat, asked.id, origin).finish(Message("assistant", "Not shown."))
    store.begin("", chat, asked.id, origin).finish(
        Message("assistant", EVIL, "Hm <b>", (ToolCall("1", "find<", "{}"),))
    )
    return chat


def written(store: Store, form: str, *chats: str) -> str:
    return "".join(write(form, store, "", chats))


def test_markdown(store: Store, chat: str):
    text = written(store, "markdown", chat)
    assert text.startswith("# Roads & <b>walls</b>\n")
    assert "**You**\n\n*<i>p</i>.txt, 5 bytes*\n\nWhy?" in text
    assert "**Gadfly** (smollm2, Apache-2.0)\n\n> Hm <b>\n\n<script>" in text
    assert "`find<({})`" in text
    assert "Not shown" not in text


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_html_has_only_our_own_tags(store: Store, chat: str):
    text = written(store, "html", chat, chat)
    parser = Tags()
    parser.feed(text)
    assert parser.found <= {
        "html", "meta", "title", "style", "section", "h1", "header", "article", "b", "small", "p", "pre", "details",
        "summary",
    }  # fmt: skip
    assert not {name for name in parser.attributes if name.startswith("on") or name in ("src", "href")}
    assert "default-src 'none'" in text
    assert "<pre>&lt;/pre&gt;&lt;iframe" in text
    assert text.count("<section>") == 2
    assert text.count("<!doctype html>") == 1


def test_messages(store: Store, chat: str):
    [line] = written(store, "messages", chat).splitlines()
    table = json.loads(line)
    assert [message["role"] for message in table["messages"]] == ["system", "user", "assistant"]
    assert table["messages"][1]["content"] == "<i>p</i>.txt:\n```\nwords\n```\n\nWhy?"
    assert table["messages"][2]["tool_calls"][0]["function"] == {"name": "find<", "arguments": "{}"}
    [origin] = table["provenance"]
    assert (origin["message"], origin["model"], origin["seed"], origin["training"]) == (2, "smollm2", 7, "free")


def test_sharegpt(store: Store, chat: str):
    table = json.loads(written(store, "sharegpt", chat))
    assert [message["from"] for message in table["conversations"]] == ["system", "human", "gpt"]


@pytest.mark.parametrize("form", ["messages", "sharegpt"])
def test_lines_come_back(store: Store, chat: str, form: str):
    report = take(store, "", written(store, form, chat).encode())
    assert report.taken == 1
    back = [node.message.content for node in store.open("", report.chats[0]).path]
    assert back == ["Be kind.", "<i>p</i>.txt:\n```\nwords\n```\n\nWhy?", EVIL]


def test_formats_that_are_none(store: Store):
    with pytest.raises(RequestError, match="markdown, html, messages, sharegpt"):
        list(write("pdf", store, "", []))
    assert all(written(store, form) == FORMATS[form].head + FORMATS[form].foot for form in FORMATS)


@pytest.mark.parametrize(
    ("title", "name"),
    [("../../etc/passwd", "etc-passwd.md"), ("Ä b\x00\n", "A-b.md"), ("", "chat.md"), ("💥" * 99, "chat.md")],
)
def test_names_of_files_lead_nowhere(title: str, name: str):
    assert file_name(title, "md") == name
    assert re.fullmatch(r"[A-Za-z0-9-]{1,60}\.md", file_name("x" * 500, "md"))


@pytest.mark.parametrize(
    ("provenance", "training"),
    [
        (None, "free"),
        (Provenance(licence="Apache-2.0"), "free"),
        (Provenance(licence="LicenseRef-Grok-2-Community"), "forbidden"),
        (Provenance(licence="llama3.2"), "conditions"),
        (Provenance(licence="gemma"), "conditions"),
        (Provenance(licence="something else"), "unknown"),
        (Provenance(), "unknown"),
        (Provenance(source="chatgpt", licence="MIT"), "forbidden"),
    ],
)
def test_what_licences_say_of_training(provenance: Provenance | None, training: str):
    assert training_verdict(provenance).training == training


class TestPairs:
    @pytest.fixture(autouse=True)
    def votes(self, store: Store) -> None:
        for licence in ("Apache-2.0", "gemma", "LicenseRef-Grok-2-Community", None):
            chat = store.create("", str(licence)).id
            asked = store.say("", chat, None, Message("user", "Why?"))
            ours = Provenance(model="ours", licence="Apache-2.0")
            good = store.begin("", chat, asked.id, ours).finish(Message("assistant", "good"))
            other = Provenance(model="theirs", licence=licence)
            bad = store.begin("", chat, asked.id, other).finish(Message("assistant", "bad"))
            store.vote("", chat, good.id, bad.id, blind=True)
            store.feedback("", chat, good.id, -1, ("dull",), corrected="better")

    def trainings(self, store: Store, licences: str) -> list[str]:
        lines = pair_lines(store.pairs(""), licences)  # type: ignore[arg-type]
        return sorted(json.loads(line)["training"] for line in lines)

    def test_by_default_only_what_is_free(self, store: Store):
        left_out: Counter[str] = Counter()
        lines = [json.loads(line) for line in pair_lines(store.pairs(""), left_out=left_out)]
        assert {line["training"] for line in lines} == {"free"}
        assert sorted(line["because"] for line in lines) == ["corrected"] * 4 + ["vote"]
        assert left_out == {"conditions": 1, "forbidden": 1, "unknown": 1}

    def test_more_if_it_is_asked_for(self, store: Store):
        assert self.trainings(store, "conditions") == ["conditions"] + ["free"] * 5
        assert self.trainings(store, "all") == ["conditions", "forbidden"] + ["free"] * 5 + ["unknown"]
        with pytest.raises(RequestError, match="choose from free"):
            self.trainings(store, "some")

    def test_a_line_says_where_both_come_from(self, store: Store):
        line = next(json.loads(line) for line in pair_lines(store.pairs("")) if '"corrected"' in line)
        assert line["prompt"] == [{"role": "user", "content": "Why?"}]
        assert line["chosen"] == [{"role": "assistant", "content": "better"}]
        assert line["licences"]["chosen"] == {"training": "free", "why": "the user wrote it"}
        assert line["licences"]["rejected"]["model"] == "ours"
        assert line["reasons"] == ["dull"]

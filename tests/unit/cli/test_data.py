"""gadfly data as a user and a program see it."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest
from click.testing import CliRunner, Result

from gadfly.chat.store import Provenance, Store
from gadfly.cli.data import command
from gadfly.cli.data_view import lines_of, table_of
from gadfly.cli.new import command as new
from gadfly.conversation import Message
from gadfly.errors import GadflyError, NotFoundError, RequestError
from gadfly.train.data.shown import Shown, ShownToken

LINES = [
    {"messages": [{"role": "user", "content": "Rain?"}, {"role": "assistant", "content": "Wet."}], "plain": ["Water."]},
    {"messages": [{"role": "user", "content": "Snow?"}, {"role": "assistant", "content": "Cold \x1b[2J."}]},
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GADFLY_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    Path("a.jsonl").write_text("".join(json.dumps(one) + "\n" for one in LINES))


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(command, arguments)
    if isinstance(result.exception, GadflyError):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def test_check_says_what_is_there_and_what_is_wrong() -> None:
    assert run("check", "a.jsonl").stdout == "a.jsonl: 2 lessons, 4 messages, 24 characters\nIn order.\n"
    with Path("a.jsonl").open("a") as file:
        file.write("{\x1b[2J\n" * 12)
    result = run("check", "a.jsonl", code=1)
    assert result.stdout.endswith("Not in order: 12 damaged.\n") and "a.jsonl:3: damaged: is not JSON" in result.stderr
    assert "… and 2 more" in result.stderr and "\x1b" not in result.stderr
    report = json.loads(run("check", "a.jsonl", "--json", code=1).stdout)
    assert report["wrong"] and report["counts"] == {"damaged": 12} and len(report["findings"]) == 12


def test_lengths_and_what_is_trained_are_as_the_model_sees_them() -> None:
    sizes = ("--dim", "64", "--layers", "2", "--context", "64", "--tokenizer", "bytes")
    assert CliRunner().invoke(new, ["m", *sizes]).exit_code == 0
    Path("b.jsonl").write_text(json.dumps({"text": "It rains. " * 10}))
    assert "102 tokens, 100 learnt, 64 at most" in run("check", "b.jsonl", "--model", "m").stdout
    assert "I⟦t rains." in run("view", "b.jsonl", "--model", "m").stdout
    Path("m/chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}|{% endfor %}")
    assert run("view", "a.jsonl", "--model", "m", "--limit", "1").stdout.endswith("\nRain?|⟦Wet.|⟧\n")
    tokens = json.loads(run("view", "a.jsonl", "--model", "m", "--line", "1", "--json").stdout)["tokens"]
    assert [token["text"] for token in tokens if token["learnt"]] == list("Wet.|")
    with pytest.raises(RequestError, match="nothing to show in line 9"):
        run("view", "a.jsonl", "--model", "m", "--line", "9")


def test_what_is_learnt_stands_out() -> None:
    tokens = (
        ShownToken(1, "<|im_start|>", False, True),
        ShownToken(5, "W\x1b", True, False),
        ShownToken(2, "<|im_end|>", True, True),
        ShownToken(6, "\n", False, False),
    )
    one = Shown(3, "chosen", tokens, 2)
    assert list(lines_of(one, colour=False)) == [
        "line 3, chosen: 4 tokens, 2 learnt; 2 more are cut off",
        "<|im_start|>⟦W<|im_end|>⟧\n",
    ]
    coloured = list(lines_of(one, colour=True))[1]
    assert "\x1b[36m\x1b[27mW\x1b[0m" in coloured and coloured.startswith("\x1b[2m")
    assert list(table_of(one))[2] == "     1       5  learnt  'W\\x1b'"


def test_import_tells_what_it_took() -> None:
    Path("b.jsonl").write_text('{"question": "Rain?", "answer": "Wet."}\n{"a": 1}\n')
    result = run("import", "b.jsonl", "a.jsonl", "--out", "c.jsonl", "--licence", "CC0-1.0")
    assert result.stdout == "Taken: 2 messages, 1 completion -> c.jsonl. Not taken: 1 lines.\n"
    assert "b.jsonl:2: has the keys a" in result.stderr
    assert json.loads(Path("c.jsonl").read_text().splitlines()[0])["meta"] == {"licence": "CC0-1.0"}
    told = json.loads(run("import", "a.jsonl", "--out", "d.jsonl", "--pairs-from-plain", "--json").stdout)
    assert told["taken"] == {"plain": 1} and told["files"]["a.jsonl"]["refused"] == 1
    Path("e.jsonl").write_text("nonsense")
    assert "Taken: nothing." in run("import", "e.jsonl", "--out", "f.jsonl", code=1).stdout
    assert not Path("f.jsonl").exists()


def test_split_and_what_is_in_the_way() -> None:
    assert "train.jsonl 2 lines, of 2 groups" in run("split", "a.jsonl", "--out", "s", "--valid", "0").stdout
    assert [path.name for path in Path("s").iterdir()] == ["train.jsonl"]
    for arguments in (("split", "a.jsonl", "--out", "s"), ("import", "a.jsonl", "--out", "a.jsonl")):
        with pytest.raises(RequestError, match="exists; remove it"):
            run(*arguments)
    with pytest.raises(NotFoundError, match=r"there is no file none\.jsonl"):
        run("check", "none.jsonl")
    assert "There is no format 'x'" in run("import", "a.jsonl", "--out", "x", "--format", "x", code=2).stderr


def test_opinions_become_files(tmp_path: Path) -> None:
    assert "Nothing: no answer has" in run("from-chats", "--out", "mine", code=1).stderr
    store = Store(tmp_path / "home" / "chats.sqlite")
    chat = store.create("").id
    asked = store.say("", chat, None, Message("user", "Rain?")).id
    for text, thumb, licence in (("Wet.", 1, "MIT"), ("Dry.", -1, "MIT"), ("Odd.", 1, "llama2")):
        provenance = Provenance(model="m", licence=licence)
        store.feedback("", chat, store.begin("", chat, asked, provenance).finish(Message("assistant", text)).id, thumb)
    store.close()
    result = run("from-chats", "--out", "mine")
    assert "training on them is forbidden" in result.stderr
    assert sorted(path.name for path in Path("mine").iterdir()) == ["lessons.jsonl", "pairs.jsonl"]
    assert run("check", "mine/lessons.jsonl", "mine/pairs.jsonl").stdout.endswith("In order.\n")


class Teaching(BaseHTTPRequestHandler):
    """Serves a model that answers with the question."""

    model: ClassVar[dict[str, str]] = {"id": "echo", "licence": "MIT"}

    def do_GET(self) -> None:
        self._send({"object": "list", "data": [self.model]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))["messages"][-1]["content"]
        reason = "length" if asked == "Go on" else "stop"
        self._send({"choices": [{"message": {"content": f"{asked} Indeed."}, "finish_reason": reason}]})

    def _send(self, table: object) -> None:
        body = json.dumps(table).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_a_teacher_answers_and_is_not_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("p.txt").write_text("Rain?\nGo on\nSnow?\n")
    with ThreadingHTTPServer(("127.0.0.1", 0), Teaching) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        arguments = ("synth", "p.txt", "--out", "l.jsonl", "--teacher", f"http://127.0.0.1:{server.server_port}")
        result = run(*arguments, code=1)
        assert result.stdout == "l.jsonl: 2 conversations, 2 of them new; 1 unanswered.\n"
        assert "p.txt:2: the answer did not end within 512 tokens" in result.stderr
        told = json.loads(run(*arguments, "--json", code=1).stdout)
        assert (told["lessons"], told["new"], told["failed"]) == (2, 0, 1)
        assert run("check", "l.jsonl").stdout.endswith("In order.\n")
        monkeypatch.setitem(Teaching.model, "licence", "llama2")
        with pytest.raises(RequestError, match="training on answers of echo is forbidden"):
            run(*arguments)
        server.shutdown()

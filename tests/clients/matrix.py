"""Which clients are asked to use our server, each in an environment of its own, and the page that tells how they fared.

    python tests/clients/matrix.py         rewrites docs/clients.md: `make clients`

Their requirements contradict each other and ours. Environments are made once, in build/clients. A script runs with what
lies in one of them, asks a real server, and tells a line of JSON for each check; see asking.py.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CLIENTS", "CONTEXT", "MODEL", "Client", "Result", "ask", "page", "serve"]

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / "build" / "clients"
PAGE = ROOT / "docs" / "clients.md"
MODEL = "smollm2"
CONTEXT = 4096
COLUMNS = ("models", "answer", "stream", "tools", "schema", "responses", "embeddings", "scores", "errors", "leaving")


@dataclass(frozen=True)
class Client:
    """`package` is whose version is told; `script` lies beside this file.

    `requirements` are what is installed, apart from what they would bring and `without` names.
    """

    name: str
    package: str
    requirements: tuple[str, ...]
    script: str
    arguments: tuple[str, ...] = ()
    note: str = ""
    without: tuple[str, ...] = ()

    @property
    def place(self) -> Path:
        return ENVIRONMENTS / self.name

    @property
    def is_javascript(self) -> bool:
        return self.script.endswith(".mjs")


_STRICT = "validates strictly"
CLIENTS = (
    Client("openai-2", "openai", ("openai>=2,<3",), "ask_openai.py", note=_STRICT),
    Client("openai-3", "openai", ("openai>=3,<4",), "ask_openai.py", note=_STRICT),
    Client("openai-js", "openai", ("openai",), "ask_openai.mjs"),
    Client("anthropic-0.86", "anthropic", ("anthropic==0.86.*",), "ask_anthropic.py", note=_STRICT),
    Client("anthropic-2", "anthropic", ("anthropic>=2,<3",), "ask_anthropic.py", note=_STRICT),
    Client("anthropic-js", "@anthropic-ai/sdk", ("@anthropic-ai/sdk",), "ask_anthropic.mjs"),
    Client("ollama", "ollama", ("ollama>=0.6,<1",), "ask_ollama.py"),
    Client("llm", "llm", ("llm",), "ask_llm.py", note="the command, told of us in extra-openai-models.yaml"),
    Client("langchain-openai", "langchain-openai", ("langchain-openai",), "ask_langchain.py", ("openai",)),
    Client("langchain-anthropic", "langchain-anthropic", ("langchain-anthropic",), "ask_langchain.py", ("anthropic",)),
    Client("langchain-ollama", "langchain-ollama", ("langchain-ollama",), "ask_langchain.py", ("ollama",)),
    # 1.107.0 is reported to have been tampered with.
    Client("litellm", "litellm", ("litellm!=1.107.0",), "ask_litellm.py", note="in all three dialects"),
    Client("instructor", "instructor", ("instructor",), "ask_instructor.py"),
    Client("lm-eval", "lm-eval", ("lm-eval[api]",), "ask_lm_eval.py", note="`local-completions`, without torch"),
    Client("aider", "aider-chat", ("aider-chat",), "ask_aider.py"),
    Client(
        "open-webui",
        "open-webui",
        ("open-webui",),
        "ask_open_webui.py",
        note="the whole application, asked through its own API; without torch",
        without=("torch",),
    ),
)


@dataclass(frozen=True)
class Result:
    """What became of one check. A script that ended too early has one of the name "end"."""

    check: str
    ok: bool
    detail: str = ""


def prepare(client: Client) -> None:
    """Make its environment, unless it is there."""
    done = client.place / "complete"
    if done.exists():
        return
    client.place.mkdir(parents=True, exist_ok=True)
    if client.is_javascript:
        _run(
            "npm",
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--prefix",
            ".",
            *client.requirements,
            at=client.place,
        )
    else:
        uv = str(Path(sys.executable).with_name("uv"))
        _run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, ".", at=client.place)
        overrides = client.place / "overrides.txt"
        overrides.write_text("".join(f"{name} ; python_version < '3'\n" for name in client.without))
        install = (uv, "pip", "install", "--quiet", "--python", "bin/python", "--override", overrides.name)
        _run(*install, *client.requirements, at=client.place)
    done.touch()


def _run(*command: str, at: Path) -> None:
    subprocess.run(command, cwd=at, check=True)


def version(client: Client) -> str:
    if client.is_javascript:
        return str(json.loads((client.place / "node_modules" / client.package / "package.json").read_text())["version"])
    code = f"from importlib.metadata import version; print(version({client.package!r}))"
    told = subprocess.run([client.place / "bin" / "python", "-c", code], capture_output=True, text=True, check=True)
    return told.stdout.strip()


def ask(client: Client, url: str, errors: Path) -> list[Result]:
    """What its script tells. What it says beside that is in the file `errors`."""
    prepare(client)
    interpreter = "node" if client.is_javascript else str(client.place / "bin" / "python")
    command = [interpreter, str(Path(__file__).with_name(client.script)), url, MODEL, *client.arguments]
    with errors.open("w") as log:
        done = subprocess.run(command, cwd=client.place, stdout=subprocess.PIPE, stderr=log, text=True, timeout=900)
    results = [Result(**json.loads(line)) for line in done.stdout.splitlines() if line.startswith('{"check"')]
    if done.returncode or not results:
        results.append(Result("end", False, f"it ended with {done.returncode}, see {errors.name}"))
    return results


@contextmanager
def serve(log: Path) -> Iterator[str]:
    """The address of a server with the default model, which ends behind."""
    command = [sys.executable, "-m", "gadfly", "serve", MODEL, "--port", "0", "--context", str(CONTEXT)]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
        )
    with process:
        assert process.stdout is not None
        try:
            first = process.stdout.readline()
            found = re.search(r"http://127\.0\.0\.1:\d+", first)
            assert found, (first, log.read_text())
            yield found[0]
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def page(asked: Mapping[Client, Sequence[Result]], versions: Mapping[Client, str]) -> str:
    """docs/clients.md, without a date: it changes when a client or a result does."""
    lines = [
        "# Clients",
        "",
        "Programs of others that use our [server](server.md), each as its makers publish it, in an environment of its",
        f"own, against `gadfly serve {MODEL}`. This page is written by the run: `make clients`.",
        "",
        "**models** are listed; an **answer** is right; its **stream** adds up to the same; **tools** are called where",
        "a call can be demanded, and accepted otherwise; a JSON **schema** is kept to; **embeddings** are vectors;",
        "**scores** of texts are probable and add up; an unknown model and a prompt that is too long are **errors**,",
        "with the numbers; after its **leaving** in the middle of a stream nothing more is written for it.",
        "✓ passed, ✗ failed, – not asked or not in this client.",
        "",
        f"| client | version | {' | '.join(COLUMNS)} | notes |",
        f"|---|---|{':-:|' * len(COLUMNS)}---|",
    ]
    for client, results in asked.items():
        found = {result.check: result for result in results}
        cells = ["–" if name not in found else "✓" if found[name].ok else "✗" for name in COLUMNS]
        notes = [client.note, *(f"{result.check}: {_line(result.detail)}" for result in results if _remarkable(result))]
        told = "; ".join(note for note in notes if note)
        lines.append(f"| {client.name} | {versions[client]} | {' | '.join(cells)} | {told} |")
    return "\n".join([*lines, ""])


def _remarkable(result: Result) -> bool:
    return bool(result.detail) and (not result.ok or result.check != "leaving")


def _line(text: str) -> str:
    """A cell holds no bars and no line breaks."""
    return " ".join(text.replace("|", "/").split())[:160]


def main() -> None:
    asked = {}
    logs = ENVIRONMENTS / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with serve(logs / "server.txt") as url:
        for client in CLIENTS:
            asked[client] = ask(client, url, logs / f"{client.name}.txt")
            failed = [f"{each.check}: {each.detail}" for each in asked[client] if not each.ok]
            print(client.name, "failed " + "; ".join(failed) if failed else "passed", flush=True)
    PAGE.write_text(page(asked, {client: version(client) for client in CLIENTS}))
    sys.exit(any(not result.ok for results in asked.values() for result in results))


if __name__ == "__main__":
    main()

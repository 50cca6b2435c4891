"""Simon Willison's `llm`, as a command: its models are told of in a file of its own folder."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from asking import COLOUR, FRANCE, LONG, Asking

asking = Asking()
folder = tempfile.TemporaryDirectory()
Path(folder.name, "extra-openai-models.yaml").write_text(
    "".join(
        f"- {{model_id: {name}, model_name: {of}, api_base: '{asking.url}/v1', "
        "supports_schema: true, supports_tools: true}\n"
        for name, of in (("ours", asking.model), ("nobody", "gpt-99"))
    )
)


def llm(*arguments, fails=False):
    command = [str(Path(sys.executable).with_name("llm")), *arguments]
    environment = {**os.environ, "LLM_USER_PATH": folder.name, "OPENAI_API_KEY": "any"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, input="")
    assert (done.returncode != 0) is fails, done.stdout + done.stderr
    return done.stderr if fails else done.stdout


SHORT = ("-o", "temperature", "0", "-o", "max_tokens", "24")


@asking.check("answer")
def _():
    assert "Paris" in llm("-m", "ours", FRANCE, "--no-stream", *SHORT)


@asking.check("stream")
def _():
    assert llm("-m", "ours", FRANCE, *SHORT) == llm("-m", "ours", FRANCE, "--no-stream", *SHORT)


@asking.check("tools")
def _():
    # It has no way to require a call, so this says only that tools are accepted.
    tool = "def weather(city: str) -> str:\n    'The weather'\n    return 'rain'"
    llm("-m", "ours", "What is the weather in Paris?", "--functions", tool, "--chain-limit", "2", *SHORT)
    return "accepted; a call cannot be required"


@asking.check("schema")
def _():
    answer = llm("-m", "ours", "Which colour has the sky?", "--schema", json.dumps(COLOUR), *SHORT)
    assert json.loads(answer)["colour"] in ("red", "green", "blue")


@asking.check("errors")
def _():
    assert "gpt-99" in llm("-m", "nobody", FRANCE, fails=True)
    assert "4096" in llm("-m", "ours", LONG, fails=True)

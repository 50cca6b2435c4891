"""aider, which is asked for one edit and then ends. What a small model makes of it does not matter."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from asking import Asking

asking = Asking()


def aider(*arguments):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "hello.py").write_text('print("Hello")\n')
        command = [str(Path(sys.executable).with_name("aider")), "--model", f"openai/{asking.model}", "--yes-always"]
        command += ["--no-git", "--no-check-update", "--analytics-disable", "--no-show-model-warnings", "--no-pretty"]
        command += ["--edit-format", "whole", "--map-tokens", "0", *arguments, "hello.py"]
        environment = {
            **os.environ,
            "HOME": folder,
            "OPENAI_API_BASE": f"{asking.url}/v1",
            "OPENAI_API_KEY": "any",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    sys.stderr.write(done.stdout + done.stderr)
    assert done.returncode == 0, done.stderr
    return done.stdout


@asking.check("stream")
def _():
    before = asking.count("gadfly_generated_tokens_total")
    said = aider("--message", "Say hello in German instead.")
    assert "received." in said and "litellm." not in said, said  # the latter begins the names of its errors
    assert asking.count("gadfly_generated_tokens_total") > before
    return "one edit asked for; what it became is not looked at"

"""llama.cpp's own programs, as a subject of measurement: where they are, what they are, what they say.

`make peer` builds them from the source package of llama-cpp-python, for the processor at hand; LLAMA_CPP_BIN names a
folder with others (say, without AVX-512). Whoever measures takes turns with them: `result.take_turns`.
"""

import json
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

__all__ = ["BUILT", "bench", "instructions", "peer_name", "program"]

BUILT = Path(__file__).parents[1] / "build" / "llama.cpp" / "bin"
SETS = ("AVX512_VNNI", "AVX512", "AVX_VNNI", "AVX2", "NEON")  # the first that a build uses says most about it


def program(name: str) -> Path:
    """The path of, for example, llama-bench. Ends the command if there is none."""
    path = Path(os.environ.get("LLAMA_CPP_BIN", BUILT)) / name
    if not path.exists():
        raise SystemExit(f"{path} is not there; `make peer` builds it, or set LLAMA_CPP_BIN to a folder that has it")
    return path


def peer_name(model: Path) -> str:
    """Program, version and instruction set, as `Result` wants it: "llama.cpp 0.5.0-dev (0c1e570), AVX512_VNNI"."""
    said = subprocess.run([program("llama-bench"), "--version"], capture_output=True, text=True, check=True)
    version = re.search(r"version: (\S+) .*commit (\w+)", said.stdout + said.stderr)
    command: list[str | Path] = [program("llama-completion"), "-m", model, "-no-cnv"]
    command += ["-n", "1", "-c", "64", "-p", "a", "--no-warmup"]
    said = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    info = next((line for line in said.stderr.splitlines() if "system_info" in line), "")
    return f"llama.cpp {f'{version[1]} ({version[2]})' if version else 'of unknown version'}, {instructions(info)}"


def instructions(info: str) -> str:
    """The best instruction set that llama.cpp says it uses, out of what it prints of its system."""
    used = re.findall(r"(\w+) = 1", info)
    return next((name for name in SETS if name in used), "unknown instructions")


def bench(model: Path, threads: int, prompt: int = 0, answer: int = 0, options: Sequence[str] = ()) -> float:
    """Tokens per second of llama-bench: of reading `prompt` tokens, or of writing `answer` tokens."""
    counts = ["-p", str(prompt), "-n", str(answer), "-t", str(threads), "-r", "1", "-o", "json"]
    command: list[str | Path] = [program("llama-bench"), "-m", model, *counts, *options]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    (found,) = json.loads(said.stdout)
    return float(found["avg_ts"])

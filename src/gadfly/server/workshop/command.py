"""`gadfly` in a process of its own: its files are read, its data judged and its models taught there, not here.

Such a process ends when its input does, and so it does when the server is killed, whatever kills it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gadfly.errors import RequestError

__all__ = ["GADFLY", "ask", "environment", "last_line"]

GADFLY = (sys.executable, "-m", "gadfly")
_SECRET = ("GADFLY_API_KEY", "GADFLY_UPSTREAM_KEY", "HF_TOKEN")  # which a child has no use for
_LOG = 4000  # bytes


def environment(home: Path) -> Mapping[str, str]:
    """For such a process."""
    kept = {name: value for name, value in os.environ.items() if name not in _SECRET}
    return {**kept, "GADFLY_HOME": str(home), "PYTHONUNBUFFERED": "1"}


def ask(home: Path, folder: Path, *arguments: str, seconds: float = 300.0) -> Mapping[str, Any]:
    """The JSON that a command prints, in `folder`. Raises RequestError with its complaint, or if it takes longer.

    An exit code of 1 says that what was found is not in order, and is no complaint.
    """
    try:
        done = subprocess.run(
            (*GADFLY, *arguments, "--json"),
            cwd=folder,
            env=environment(home),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        raise RequestError(f"this takes longer than {seconds:.0f} seconds; try less at once") from None
    if done.returncode not in (0, 1) or not done.stdout.strip():
        raise RequestError(_complaint(done.stderr[-_LOG:], done.returncode, folder))
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def last_line(log: Path, code: int) -> str:
    """Why a process ended with `code`, which wrote a log."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LOG))
        return _complaint(file.read(), code, log.parent)


def _complaint(said: bytes, code: int, folder: Path) -> str:
    """Its last line, without the folder, which is nobody's affair who asks from elsewhere."""
    lines: Sequence[str] = said.decode(errors="replace").strip().splitlines()
    last = lines[-1].removeprefix("gadfly: ").removeprefix("Error: ") if lines else f"it ended with {code}"
    return last.replace(f"{folder.absolute()}/", "")

"""llama.cpp as a subject of measurement, by way of llama-cpp-python, in a process of its own.

The process reads commands "read N" and "write N" and answers with seconds, so that its threads and its memory are
never ours. Default settings, the same number of threads for reading and writing.
"""

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gadfly.errors import NotFoundError

__all__ = ["LlamaCpp"]

WORKER = """
import json, sys, time
try:
    import llama_cpp
except ImportError:
    sys.exit(3)
path, threads, positions = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
model = llama_cpp.Llama(path, n_ctx=positions, n_batch=512, n_threads=threads, n_threads_batch=threads, verbose=False)
vocab = model.n_vocab()
info = llama_cpp.llama_print_system_info().decode()
print(json.dumps({"version": llama_cpp.__version__, "info": info}), flush=True)
for line in sys.stdin:
    command, count = line.split()
    began = time.perf_counter()
    if command == "read":
        model.reset()
        model.eval([(100 + 7 * i) % vocab for i in range(int(count))])
    else:
        for i in range(int(count)):
            model.eval([(100 + 11 * i) % vocab])
    print(json.dumps(time.perf_counter() - began), flush=True)
"""


class LlamaCpp:
    """Raises NotFoundError if `python` has no llama-cpp-python, or it does not start."""

    name = "llama.cpp"

    def __init__(self, path: Path, threads: int, positions: int, python: str = sys.executable) -> None:
        command = [python, "-c", WORKER, str(path), str(threads), str(positions)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        hello = self._answer()
        self.version, self.info = hello["version"], hello["info"]

    def read(self, tokens: int) -> float:
        return self._ask(f"read {tokens}")

    def write(self, tokens: int) -> float:
        return self._ask(f"write {tokens}")

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, command: str) -> float:
        assert self._process.stdin
        print(command, file=self._process.stdin, flush=True)
        return float(self._answer())

    def _answer(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        status = self._process.wait()
        if status == 3:
            raise NotFoundError("llama.cpp is not installed here; try `pip install 'gadfly[bench]'`")
        raise NotFoundError(f"llama.cpp stopped with status {status}; does its build fit this processor?")

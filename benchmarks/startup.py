"""How long one waits before anything happens: fresh interpreters, medians of 21, in milliseconds.

    python benchmarks/startup.py

Prints JSON. An interpreter that does nothing is measured in turn with the others and taken off `import gadfly`, which
is what a program pays that uses Gadfly; commands are what a person waits for, interpreter and all.
"""

import json
import subprocess
import sys
from statistics import median
from time import perf_counter

RUNS = 21
STARTS = {
    "python": "pass",
    "import gadfly": "import gadfly",
    "import gadfly.llm": "import gadfly.llm",
    "gadfly --help": "from gadfly.cli.main import main; main(['--help'])",
    "gadfly list": "from gadfly.cli.main import main; main(['list'])",
}


def main() -> None:
    times: dict[str, list[float]] = {name: [] for name in STARTS}
    for run in range(RUNS + 1):
        for name, code in STARTS.items():
            began = perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
            if run:  # the first one warms the disk's cache
                times[name].append(1000 * (perf_counter() - began))
    found = {name: round(median(taken)) for name, taken in times.items()}
    for name in found:
        if name.startswith("import"):
            found[name] -= found["python"]
    print(json.dumps(found))


if __name__ == "__main__":
    main()

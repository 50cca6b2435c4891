"""How fast models are converted, and in how much memory.

    python benchmarks/convert.py release FOLDER [FORMAT]    a Grok-1 in xAI's format, in a control group of 1 GB
    python benchmarks/convert.py peer FILE.gguf [FORMAT]    any GGUF, beside llama.cpp's quantiser, A B B A

`gadfly new FOLDER --arch grok1 --release --layers 4 --dim 6144 --heads 48 --hidden 32768 --vocab 131072` makes a
release of 23 GB with the shapes of the real one. For the peer, `make bench-peer` installs llama-cpp-python; both write
all matrices in the same format (--pure) with two threads. Prints JSON; the results are removed.
"""

import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from memory_group import limited

GADFLY = [sys.executable, "-m", "gadfly"]
LIMIT = 2**30
THREADS = 2


def release(folder: Path, format_name: str) -> dict[str, object]:
    target = folder.with_name(f"{folder.name}-{format_name}.gguf")
    command = [*GADFLY, "convert", str(folder), str(target), "--as", format_name, "--threads", str(THREADS), "--json"]
    with limited(LIMIT) as group:
        if group is None:
            raise SystemExit("no control group can be made here; run this as root")
        began = perf_counter()
        done = group.run(command)
        took = perf_counter() - began
        peak = group.peak
    if done.returncode:
        raise SystemExit(f"exit {done.returncode}: {done.stderr[-500:]}")
    facts = json.loads(done.stdout)
    target.unlink()
    source = sum(path.stat().st_size for path in (folder / "ckpt-0").iterdir())
    return {
        "source_bytes": source,
        "result_bytes": facts["size"],
        "parameters": facts["parameters"],
        "format": format_name,
        "seconds": round(took, 1),
        "million_weights_per_second": round(facts["parameters"] / took / 1e6, 1),
        "memory_limit": LIMIT,
        "peak_counted_by_the_group": peak,
        "cpu": cpu(),
    }


def peer(source: Path, format_name: str) -> dict[str, object]:
    import llama_cpp

    target = source.with_name("converted.gguf")
    types = {"q4_k": 14, "q5_k": 16, "q6_k": 18, "q8_0": 7, "q4_0": 2, "q3_k": 11, "q2_k": 10}  # llama_ftype

    def ours() -> float:
        command = [
            *GADFLY,
            "convert",
            str(source),
            str(target),
            "--as",
            format_name,
            "--threads",
            str(THREADS),
            "--pure",
        ]
        began = perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return perf_counter() - began

    def theirs() -> float:
        options = llama_cpp.llama_model_quantize_default_params()
        options.nthread, options.ftype, options.pure, options.allow_requantize = THREADS, types[format_name], True, True
        began = perf_counter()
        if llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), options):
            raise SystemExit("llama.cpp's quantiser failed")
        return perf_counter() - began

    times: dict[str, list[float]] = {"gadfly": [], "llama.cpp": []}
    for name in ("gadfly", "llama.cpp", "llama.cpp", "gadfly") * 2:
        times[name].append(ours() if name == "gadfly" else theirs())
        target.unlink()
    medians = {name: round(median(found), 2) for name, found in times.items()}
    return {
        "file": source.name,
        "bytes": source.stat().st_size,
        "format": format_name,
        "threads": THREADS,
        "seconds": medians,
        "ratio": round(medians["llama.cpp"] / medians["gadfly"], 2),
        "note": "gadfly's seconds include starting Python, syncing the disk and reading everything back",
        "cpu": cpu(),
    }


def cpu() -> str:
    return next(line.split(":")[1].strip() for line in Path("/proc/cpuinfo").open() if line.startswith("model name"))


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in ("release", "peer"):
        raise SystemExit(__doc__)
    run = release if sys.argv[1] == "release" else peer
    print(json.dumps(run(Path(sys.argv[2]).absolute(), sys.argv[3] if len(sys.argv) > 3 else "q4_k"), indent=2))

"""Makes the models that are measured and cannot be fetched: random weights in the shapes of real ones.

    python benchmarks/models.py SHAPE FILE.gguf [FORMAT]        every matrix in FORMAT, by default q4_k

    grok      a mixture shaped like Grok-1: 9 layers of 8 experts, 2 for each token, 2.9 B parameters
    llama     1.1 B, as TinyLlama
    gemma     270 M, as Gemma 3, most of them in the vocabulary
    narrow    0.1 B, a Llama with four heads of queries to one of keys and values, for long contexts in little time

What is made on the way, in bf16 or int8, is removed. Weights cost the same time whatever they are.
"""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

SHAPES: Mapping[str, str] = {
    "grok": "--arch grok1 --release --layers 9 --dim 1536 --heads 12 --kv-heads 2 --head-dim 128 --hidden 8192"
    " --vocab 32768",
    "llama": "--layers 22 --dim 2048 --heads 32 --kv-heads 4 --hidden 5632 --vocab 32000 --untied",
    "gemma": "--arch gemma3 --layers 18 --dim 640 --heads 4 --kv-heads 1 --head-dim 256 --hidden 2048 --vocab 262144"
    " --context 32768",
    "narrow": "--layers 6 --dim 1024 --heads 16 --kv-heads 4 --hidden 2816 --vocab 32000 --context 16384",
}


def main() -> None:
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in SHAPES:
        raise SystemExit(__doc__)
    target, form = Path(sys.argv[2]).absolute(), sys.argv[3] if len(sys.argv) > 3 else "q4_k"
    folder = target.with_suffix("")
    gadfly = [sys.executable, "-m", "gadfly"]
    subprocess.run([*gadfly, "new", str(folder), *SHAPES[sys.argv[1]].split()], check=True)
    subprocess.run([*gadfly, "convert", str(folder), str(target), "--as", form, "--pure"], check=True)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()

"""`system_fingerprint`: two answers to one request with one seed are the same text if this is the same.

It says which model, which build and which settings computed it: everything that a bit of an answer can depend on.
Threads are not among it, nor who else was answered at the time.
"""

import hashlib
from importlib.metadata import version

__all__ = ["fingerprint"]

BUILD = version("gadfly")  # looked up in files, for which every answer would be too often


def fingerprint(digest: str, kernels: str, context: int, build: str | None = None, adapters: str = "") -> str:
    """`digest` is that of the model's file; instruction sets agree to the bit, but for a backend that is none.

    `adapters` is that of what is loaded beside it.
    """
    parts = (digest, build or BUILD, kernels, str(context), *([adapters] if adapters else []))
    return f"fp_{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:12]}"

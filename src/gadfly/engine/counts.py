"""What an engine has done since it was made and what it is doing now, in numbers: for whoever watches it.

Nothing is decided by these. They are counted by the one thread that runs a step, and read as a copy.
"""

from dataclasses import dataclass

__all__ = ["Counts"]


@dataclass
class Counts:
    """The first five are of now, the others only grow. Tokens are those of all requests, finished or not."""

    running: int = 0  # requests
    waiting: int = 0
    pages: int = 0  # of the cache, all there are
    pages_held: int = 0  # by requests that run
    pages_kept: int = 0  # by nobody, with a prefix that may be asked for again

    finished: int = 0  # requests, also those that were cancelled or failed
    steps: int = 0
    step_seconds: float = 0.0
    prompt_tokens: int = 0  # computed
    cached_tokens: int = 0  # of prompts, that did not have to be computed
    generated_tokens: int = 0
    drafted_tokens: int = 0  # that were computed because they were likely to come next
    accepted_tokens: int = 0  # of them, that did
    preemptions: int = 0  # times that a request had to give up its pages to an older one

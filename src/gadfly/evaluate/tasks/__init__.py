"""The kinds of files that a model can be judged by, a page each; what they have in common is `Kind`.

kind = found.kind_of_file(path)     by the keys of its first row
task = found.open_task(path)
"""

from gadfly.evaluate.tasks.found import KINDS, open_task

__all__ = ["KINDS", "open_task"]

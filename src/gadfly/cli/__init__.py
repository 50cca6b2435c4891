"""The command line: one file per command, each with a click command called `command`; `main` knows which there are.

Commands ask, show and exit; everything they do is done below them, where a program can do it too.
"""

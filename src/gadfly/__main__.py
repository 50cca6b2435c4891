"""python -m gadfly: the same as the command gadfly."""

import sys

from gadfly.cli.main import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())

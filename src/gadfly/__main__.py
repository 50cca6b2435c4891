"""python -m gadfly: the same as the command gadfly."""

import sys

from gadfly.cli.main import main

sys.exit(main())

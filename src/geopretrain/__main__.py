"""``python -m geopretrain``: the command line, also where its script is not on the PATH."""

from __future__ import annotations

import sys

from geopretrain.cli import main

if __name__ == "__main__":
    sys.exit(main())

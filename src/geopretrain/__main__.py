"""``python -m geopretrain``: the command line, also where its script is not on the PATH."""

from __future__ import annotations

import sys

from geopretrain.cli import main
from geopretrain.ranks import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    sys.exit(main())

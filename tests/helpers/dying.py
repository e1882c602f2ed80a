"""A process that dies as by ``kill -9`` at a chosen one of its dealings with files: no race.

What a killed process leaves is what is on disk, so that the moments to choose from are those at which
it changes something there. As a script: ``python dying.py MOMENT FOLDER WORDS...`` runs the command line
and dies at ``MOMENT``; with 0 it lives, and prints how many there were.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

KILLED = (-9, 137)
"""Exit codes of a process that died here; the second where there is no SIGKILL."""

_CHANGES = ("os.rename", "os.remove", "os.truncate", "os.mkdir", "os.rmdir")


class Moments:
    """Counts the changes of files below ``folder`` and dies at number ``last``; 0 = never."""

    def __init__(self, folder: str | Path, last: int) -> None:
        self.folder, self.last, self.count = os.path.abspath(folder), last, 0
        sys.addaudithook(self._hear)

    def _hear(self, event: str, details: tuple) -> None:
        if event in _CHANGES or (event == "open" and _for_writing(*details)):
            path = details[0]
            if isinstance(path, str | os.PathLike) and os.path.abspath(path).startswith(self.folder):
                self.happened()

    def happened(self) -> None:
        """Count a moment, before the change is made."""
        self.count += 1
        if self.count == self.last:
            die()

    def at_each(self, function: Callable) -> Callable:
        """Return ``function`` with each of its calls counted as a moment too."""

        def counted(*values, **named):
            self.happened()
            return function(*values, **named)

        return counted


def _for_writing(_path: object, mode: str | None, flags: int) -> bool:
    return bool(flags & (os.O_WRONLY | os.O_RDWR)) if mode is None else any(c in mode for c in "wax+")


def die() -> None:
    """End this process at once: nothing is flushed, closed or tidied up."""
    if hasattr(signal, "SIGKILL"):
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(137)


def main() -> None:
    """Run the command line until the chosen moment."""
    from geopretrain import cli

    moments = Moments(sys.argv[2], int(sys.argv[1]))
    code = cli.main(sys.argv[3:])
    print(f"moments: {moments.count}")
    sys.exit(code)


if __name__ == "__main__":
    main()

"""Which calls of a recipe are finished: kept beside what they wrote, so that a repeated command goes on."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path

from geopretrain.errors import RunFolderError
from geopretrain.files import write_json
from geopretrain.recipes.plan import Step
from geopretrain.recipes.shapes import STAGES
from geopretrain.records import Real, Text, read_json

ADVICE = "Start again from nothing with --overwrite, or choose another --out."


@dataclass(frozen=True)
class Entry:
    """A call that came to its end.

    Attributes:
        call: what it is recognised by.
        seconds: that it took; of one that was interrupted, since it was last begun.
        folder: that it wrote, from that of the recipe on.
    """

    call: Text
    seconds: Real
    folder: Text = ""


class Journal:
    """What is finished in the folder of a recipe.

    Args:
        out: the folder.
        anew: begin with nothing, whatever is there.

    Raises:
        RunFolderError: the file is damaged.
    """

    def __init__(self, out: Path, *, anew: bool = False) -> None:
        self.out, self.file = out, out / STAGES
        self.entries: dict[str, Entry] = {}
        if self.file.is_file() and not anew:
            self.entries = read_json(self.file, dict[str, Entry], error=RunFolderError, advice=ADVICE)

    def has(self, step: Step) -> bool:
        """Return whether a call is finished and what it wrote is there.

        Raises:
            RunFolderError: what is there was made with other options.
        """
        entry = self.entries.get(step.name)
        if entry is None or not step.folder.is_dir():
            return False
        if entry.call != (call := step.recognised(self.out)):
            raise RunFolderError(
                f"The stage {step.name} in '{self.out}' was made by `{entry.call}`, and would be made by "
                f"`{call}` now. {ADVICE}"
            )
        return True

    def add(self, step: Step, seconds: float) -> None:
        """Keep that a call is finished; what later ones had added to its folder is gone."""
        folder = os.path.relpath(step.folder, self.out)
        names = list(self.entries)
        for later in names[names.index(step.name) + 1 :] if step.name in names else ():
            if self.entries[later].folder == folder:
                del self.entries[later]
        self.entries[step.name] = Entry(step.recognised(self.out), round(seconds, 1), folder)
        write_json(self.file, {name: asdict(entry) for name, entry in self.entries.items()})

    def seconds(self, step: Step) -> float:
        """Return what a call took; NaN where it is not finished."""
        entry = self.entries.get(step.name)
        return float("nan") if entry is None else entry.seconds

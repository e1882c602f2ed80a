"""Write ``docs/options/*.md`` from the classes of options: ``python docs/write_options.py``.

The pages are kept in the repository, so that they can be read there; a test holds that they are what this
script writes. So is the table of what each method knows, which is read before any of them is imported.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from geopretrain import cli
from geopretrain.config.describe import Option, options_of
from geopretrain.config.settings import settings_of
from geopretrain.schema import defaults
from geopretrain.tasks.known import TABLE
from geopretrain.tasks.registry import PRETEXTS, TRANSFERS, task_class

FOLDER = Path(__file__).parent / "options"
NOTE = "<!-- written by docs/write_options.py from src/geopretrain/config: change the options there -->"


def pages() -> dict[str, str]:
    """Return the text of each page by the name of its file."""
    made = {
        f"{name.replace(' ', '-')}.md": command_page(name, command) for name, command in cli.COMMANDS.items()
    }
    return {**made, "settings.md": settings_page()}


def command_page(name: str, command: cli.Command) -> str:
    """Return the page of one command."""
    found = options_of(command.options_class())
    words = " ".join(f"{one.typed}{'...' if one.many else ''}" for one in found if one.positional)
    module, function = command.target.split(":")
    lines = [
        f"# {name}",
        "",
        NOTE,
        "",
        f"`geopretrain {' '.join([name, words]).strip()} [options]`: {command.summary}. In Python: "
        f"`{'geopretrain' if not module.startswith('geopretrain.recipes') else module}.{function}`, with the "
        "same names, written with `_`.",
        "",
    ]
    for title in dict.fromkeys(one.group for one in found):
        lines += [f"## {title}", "", *table([one for one in found if one.group == title]), ""]
    return "\n".join(
        [
            *lines,
            "`--config FILE` takes settings from the `config.yaml` of a run, or from its folder; what is "
            "typed wins.",
            "",
        ]
    )


def table(options: Sequence[Option]) -> list[str]:
    """Return options as a table."""
    rows = ["| option | value | default | |", "|---|---|---|---|"]
    for one in options:
        value = code("..." if one.metavar == one.name.upper() else one.metavar + ("..." if one.many else ""))
        default = code(one.default_text) if one.has_default else ""
        rows.append(f"| `{one.typed}` | {value} | {default} | {escaped(one.description)} |")
    return rows


def settings_page() -> str:
    """Return the page of the settings of every method and transfer."""
    lines = [
        "# Settings of methods",
        "",
        NOTE,
        "",
        "Given as `--settings NAME=VALUE ...`, in Python as a dictionary `settings={...}`.",
        "",
    ]
    titles = [(name, name, PRETEXTS) for name in PRETEXTS]
    titles += [(f"finetune {name}", name, TRANSFERS) for name in TRANSFERS]
    for title, name, among in titles:
        lines += [f"## {title}", "", "| setting | default | |", "|---|---|---|"]
        for one in settings_of(task_class(name, among)):
            default = str(one.default).lower() if isinstance(one.default, bool) else str(one.default)
            lines.append(f"| `{one.name}` | {code(default)} | {escaped(one.description)} |")
        lines.append("")
    return "\n".join(lines)


def known_table() -> str:
    """Return what `geopretrain.tasks.known` reads: names of presets and settings of each method."""
    found = {
        kind: {name: _known(task_class(name, among)) for name in among}
        for kind, among in (("pretext", PRETEXTS), ("transfer", TRANSFERS))
    }
    return json.dumps(found, indent=1) + "\n"


def _known(cls: Any) -> dict[str, list[str]]:
    config = object.__new__(cls.Config)  # data decide some of its fields, and no names of presets
    for name, value in defaults(cls.Config).items():
        object.__setattr__(config, name, value)
    presets = cls.presets.fget(SimpleNamespace(config=config))
    return {"presets": list(presets), "settings": [one.name for one in settings_of(cls)]}


def code(text: str) -> str:
    """Return text as code in a cell of a table."""
    return f"`{text}`".replace("|", "\\|") if text else ""


def escaped(text: str) -> str:
    """Return prose as it may stand in a cell of a table."""
    return text.replace("``", "`").replace("|", "\\|")


def main() -> None:
    """Write the pages and remove those of commands that are gone."""
    FOLDER.mkdir(exist_ok=True)
    for file in FOLDER.glob("*.md"):
        if file.name not in pages():
            file.unlink()
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    TABLE.write_text(known_table(), encoding="utf-8")


if __name__ == "__main__":
    main()

"""One self-contained HTML page from a template: everything embedded, nothing fetched."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from geopretrain.files import write_text

TEMPLATES = Path(__file__).parent / "templates"


def write_page(
    path: Path, template: str, filters: Mapping[str, Callable[..., str]] | None = None, **content: Any
) -> Path:
    """Write the page of a template (RunFolderError where it cannot be written).

    Args:
        path: of the page.
        template: its file in ``templates``; it has ``style`` beside the content.
        filters: of the template, by name.
        content: what it shows; text in it is escaped.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(filters or {})
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    write_text(path, environment.get_template(template).render(**content, style=style))
    return path


def embedded(file: Path) -> str:
    """Return a PNG as the source of an image, empty where there is none."""
    if not file.is_file():
        return ""
    return "data:image/png;base64," + base64.b64encode(file.read_bytes()).decode("ascii")

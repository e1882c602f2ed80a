"""One self-contained HTML page from a template: everything embedded, nothing fetched."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from geopretrain.files import write_text
from geopretrain.pictures import Picture
from geopretrain.version import __version__
from geopretrain.wording import counted, number

TEMPLATES = Path(__file__).parent / "templates"
GENERATOR = '<meta name="generator" content="geopretrain'
"""By this a page is known to be ours."""


def write_page(
    path: Path,
    template: str,
    filters: Mapping[str, Callable[..., str]] | None = None,
    *,
    drawings: bool = False,
    every: float | None = None,
    **content: Any,
) -> Path:
    """Write the page of a template (RunFolderError where it cannot be written).

    Only the scripts of this package run in it, known by their hashes, and nothing can be fetched: a policy in
    the page's head says so to the browser, whatever names of files and classes hold.

    Args:
        path: of the page.
        template: its file in ``templates``, which extends ``page.html.j2``.
        filters: of the template, by name.
        drawings: it has figures, so that plotly's script is embedded.
        every: seconds after which the page loads itself anew; None: it does not.
        content: what it shows; text in it is escaped.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update({"marked": _marked, "counted": counted, "number": number, **(filters or {})})
    scripts = [*([_plotly()] if drawings else []), _template("page.js")]
    frame = {
        "style": _template("style.css"),
        "scripts": scripts,
        "policy": _policy(scripts),
        "generator": GENERATOR,
        "every": every,
        "version": __version__,
    }
    write_text(path, environment.get_template(template).render({**frame, **content}))
    return path


_CODE, _OPTION = re.compile(r"`([^`]+)`"), re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def _marked(sentence: str) -> str:
    """Return a sentence for a page: `code` as code, and options in which no line ends."""
    from jinja2.filters import do_forceescape, do_mark_safe

    with_code = _CODE.sub(r"<code>\1</code>", str(do_forceescape(sentence)))
    return do_mark_safe(_OPTION.sub(r'<span class="option">\g<0></span>', with_code))


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).replace("\r\n", "\n")  # as a browser reads it, and so hashes it


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _policy(scripts: list[str]) -> str:
    """Return a content security policy: these scripts run and nothing else, and nothing is fetched."""
    hashes = (base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in scripts)
    allowed = " ".join(f"'sha256-{one}'" for one in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def embedded(file: Path) -> str:
    """Return a PNG as the source of an image, empty where there is none."""
    return data_url(file.read_bytes(), "image/png") if file.is_file() else ""


def embedded_picture(picture: Picture) -> str:
    """Return an ``H W 3`` uint8 RGB array as the source of an image (PNG)."""
    from PIL import Image

    written = BytesIO()
    Image.fromarray(picture).save(written, format="PNG")
    return data_url(written.getvalue(), "image/png")


def data_url(content: str | bytes, kind: str) -> str:
    """Return content as an address that holds it whole."""
    raw = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    return f"data:{kind};base64,{base64.b64encode(raw).decode('ascii')}"


def is_page(path: Path) -> bool:
    """Return whether a file is a page of ours."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return GENERATOR in file.read(4096)
    except OSError:
        return False

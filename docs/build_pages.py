"""Pages of the site that are made when it is built, so that nothing is written twice.

* the home page is ``README.md``; ``CHANGELOG.md``, ``CONTRIBUTING.md`` and other files are pages too;
* the API reference has one page for each package of ``src/geopretrain``, from the docstrings;
* ``docs/options/*.md``, where there are any, become the pages of options;
* equations between ``$$`` become MathML, which browsers show without a script.
"""

from __future__ import annotations

import ast
import html
import re
from collections.abc import Callable
from os.path import normpath
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "geopretrain"
PAGES = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "golden.md": "tests/golden/README.md",
    "benchmarks.md": "benchmarks/README.md",
    "examples.md": "examples/README.md",
}
PAGE_OF = {source: page for page, source in PAGES.items()}
TOP = "geopretrain"


def on_config(config: Any) -> Any:
    """Fill the two entries of the navigation that are lists of made pages."""
    made = {"options": options(), "reference": [f"reference/{name}.md" for name in packages()]}
    for entry in config.nav:
        for title, value in list(entry.items()):
            if isinstance(value, str) and value in made:
                entry[title] = [{name_of(page): page} for page in made[value]]
    config.nav = [entry for entry in config.nav if all(entry.values())]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the made pages."""
    contents = {
        page: rebased((ROOT / source).read_text(encoding="utf-8"), source) for page, source in PAGES.items()
    }
    contents |= {f"reference/{name}.md": reference(name, modules) for name, modules in packages().items()}
    for page, text in contents.items():
        files.append(File.generated(config, page, content=text))
    return files


def options() -> list[str]:
    """Return the pages of options there are."""
    return [f"options/{path.name}" for path in sorted((ROOT / "docs" / "options").glob("*.md"))]


def packages() -> dict[str, list[str]]:
    """Return the modules of each page of the reference; those in no package come first."""
    found: dict[str, list[str]] = {TOP: []}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[-1] != "__init__":
            found.setdefault(parts[0] if len(parts) > 1 else TOP, []).append(".".join((TOP, *parts)))
    return found


def reference(name: str, modules: list[str]) -> str:
    """Return the page of one package: its sentence, then every module."""
    text = [f"# {name}", "", f"::: {TOP if name == TOP else f'{TOP}.{name}'}"]
    text += ["    options: {members: false, show_root_heading: false, show_root_toc_entry: false}", ""]
    text += public() if name == TOP else []
    for module in modules:
        text += [f"::: {module}", ""]
    return "\n".join(text)


def public() -> list[str]:
    """Return the table of what ``import geopretrain`` offers, with links to where it is described."""
    rows = ["| `geopretrain.` | |", "|---|---|"]
    for node in ast.walk(ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{TOP}."):
            file = ROOT / "src" / f"{node.module.replace('.', '/')}.py"
            for alias in node.names:
                sentence = first_sentence(file, alias.name)
                if sentence:
                    rows.append(f"| [`{alias.name}`][{node.module}.{alias.name}] | {sentence} |")
    return [*rows, ""]


def first_sentence(file: Path, name: str) -> str:
    """Return the first paragraph of a function's or class's docstring, empty where there is none."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
    return ""


def name_of(page: str) -> str:
    """Return the title in the navigation."""
    stem = Path(page).stem
    return stem.replace("-", " ") if page.startswith("options/") else stem


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Let links of ``docs/`` to files above it lead to the pages made of them; mend tables.

    In a table a bar inside code is written with a backslash, which this Markdown would show.
    """
    markdown = re.sub(r"`[^`\n]*`", lambda code: code[0].replace("\\|", "|"), markdown)
    return with_links(markdown, lambda target: PAGE_OF.get(target.removeprefix("../"), target))


def on_page_content(content: str, page: Any, config: Any, files: Files) -> str:
    """Turn the equations of a page, which are in LaTeX until here, into MathML."""
    equation = r'<div class="arithmatex">\\\[(.*?)\\\]</div>'
    return re.sub(equation, lambda found: mathml(html.unescape(found[1])), content, flags=re.DOTALL)


def mathml(latex: str) -> str:
    """Return an equation in a block that can be scrolled where a telephone is narrower."""
    return f'<div class="equation">{convert(latex.strip(), display="block")}</div>'


def rebased(text: str, source: str) -> str:
    """Return the text of a file above ``docs/`` with its links as they are seen from there."""
    folder = Path(source).parent.as_posix()

    def seen(target: str) -> str:
        path = normpath(f"{folder}/{target}").replace("\\", "/")
        return PAGE_OF.get(path) or path.removeprefix("docs/")

    return with_links(text, seen)


def with_links(text: str, change: Callable[[str], str]) -> str:
    """Apply ``change`` to the file that each relative link leads to."""

    def link(match: re.Match[str]) -> str:
        target, mark, anchor = match[1].partition("#")
        return match[0] if "://" in target or not target else f"]({change(target)}{mark}{anchor})"

    return re.sub(r"\]\(([^)\s]+)\)", link, text)

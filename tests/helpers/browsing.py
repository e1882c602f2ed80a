"""A headless Chromium that looks at a page and says what went wrong in it."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
NAMES = ("chromium", "chromium-browser", "google-chrome")
CONTRAST = """
() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const found = parts(getComputedStyle(one).backgroundColor);
      if (found.length < 4 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  const bad = [];
  for (const one of document.querySelectorAll("main *, footer")) {
    const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !one.checkVisibility() || one.closest("svg, script, [aria-hidden]")) continue;
    const [a, b] = [parts(getComputedStyle(one).color), behind(one)].map(light);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) bad.push(`${one.tagName} ${one.textContent.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return bad;
}
"""
"""Texts whose contrast is below that of WCAG 2.2, level AA."""


@dataclass
class Seen:
    """A page in a browser, and what it complained of."""

    page: Any
    complaints: list[str] = field(default_factory=list)


def chromium() -> str:
    """Return the program, or skip the test where there is none."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium: install Debian's package chromium (.ci/run does)")
    return found


@contextmanager
def browser():
    """Start a headless Chromium."""
    from playwright.sync_api import sync_playwright

    program = chromium()
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=program, args=list(FLAGS))
        yield started
        started.close()


def open_page(started: Any, file: Path, **how: Any) -> Seen:
    """Open a file; errors, messages of the console, dialogs, and whatever is fetched are complaints."""
    context = started.new_context(**{"viewport": {"width": 1200, "height": 900}, **how})
    seen = Seen(context.new_page())
    seen.page.set_default_timeout(60_000)
    note = seen.complaints.append
    seen.page.on("console", lambda message: note(f"console: {message.text}"))
    seen.page.on("pageerror", lambda error: note(f"error: {error}"))
    seen.page.on("dialog", lambda dialog: (note(f"dialog: {dialog.message}"), dialog.dismiss()))
    seen.page.on("request", lambda request: None if _is_ours(request.url, file) else note(request.url))
    seen.page.goto(file.as_uri())
    until(seen.page, "[...document.querySelectorAll('.drawing')].every((one) => one.children.length)")
    return seen


def until(page: Any, condition: str) -> None:
    """Wait until a condition holds; the page itself may evaluate no text, as its policy says."""
    for _ in range(1200):
        try:
            if page.evaluate(condition):
                return
        except Exception as error:
            if "Execution context was destroyed" not in str(error):  # it is loading itself anew
                raise
        page.wait_for_timeout(50)
    raise AssertionError(f"it never came to {condition}")


def _is_ours(url: str, file: Path) -> bool:
    return url.startswith("data:") or url.partition("#")[0] == file.as_uri()

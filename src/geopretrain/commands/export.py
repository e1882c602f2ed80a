"""``export``: a finished run in the format of another library, checked before it is called done."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from geopretrain import manifest
from geopretrain.config.command import takes
from geopretrain.config.run_options import ExportOptions
from geopretrain.config.saved import is_own
from geopretrain.console import console
from geopretrain.errors import ConfigError, RunFolderError
from geopretrain.files import write_text
from geopretrain.folders import check_replaceable, owned, owner_of, publish, staging

if TYPE_CHECKING:
    from geopretrain.exporting.formats import Written
    from geopretrain.exporting.subject import Subject

OF_RUNS = ("checkpoints", "figures", "tensorboard", "csv", "diverged", "evaluation")
"""Folders inside that of a run; earlier versions kept no list of what is in them."""


@takes(ExportOptions)
def export(options: ExportOptions) -> Path:
    """Write a run, or its backbone, in the format of another library, with a model card.

    Each format is checked before it is called done: strictly loaded in plain timm, run and compared with
    PyTorch, or read again.

    Returns:
        The file, or the folder, that was written.

    Raises:
        UserError: the run is not finished, the format cannot hold it, or ``out`` cannot be written.
    """
    from geopretrain.exporting.formats import FORMATS, part_of
    from geopretrain.exporting.subject import open_subject

    form, out = FORMATS[options.format], Path(options.out)
    part = part_of(options.format, options.part)
    if options.size is not None and not form.sized:
        raise ConfigError(f"The format {options.format} has no size of images. Leave --size away.")
    target = form.target(out, options.format)
    folder, card = (target, target / "README.md") if not form.file else (target.parent, _card_of(target))
    _check_own(folder)
    _check_push(options)
    subject = open_subject(os.fspath(options.run))
    _check_free(target, card, options)
    with ExitStack() as stack:
        if form.file:
            stack.enter_context(owned(folder))
        written = _written(subject, options, part, target, card)
    _say(target, card, written)
    if options.push is not None:
        from geopretrain.exporting.hub_folder import push

        address = push(folder, [*written.files, card], options.push, private=options.private)
        console.say(f"It is on the hub: {address}")
    return target


def _written(subject: Subject, options: ExportOptions, part: str, target: Path, card: Path) -> Written:
    """Write everything into a temporary folder, then put it in its place: all is there, or nothing.

    A file waits in a folder of its own beside its target; a folder is the target's neighbour.
    """
    from geopretrain.exporting.card import model_card
    from geopretrain.exporting.formats import FORMATS, Request

    form = FORMATS[options.format]
    folder = target.parent if form.file else target
    with staging(target) as aside:
        with owned(aside):
            place = aside / target.name if form.file else aside
            written = form.write(subject, Request(place, part, options.size))
            shared = f"hf-hub:{options.push}" if options.push else target.name  # no folders of this machine
            write_text(aside / card.name, model_card(subject, written, options.format, shared))
        publish(aside, folder, [*written.files, aside / card.name])
    return replace(written, files=tuple(folder / file.relative_to(aside) for file in written.files))


def _card_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.md")


def _check_push(options: ExportOptions) -> None:
    """Refuse early to push what cannot be pushed."""
    if options.push is None:
        return
    if options.format != "hub-folder":
        raise ConfigError(f"Only a hub-folder can be pushed, not {options.format}. Use --format hub-folder.")
    from geopretrain.exporting.hub_folder import check_push

    check_push(options.push)


def _check_own(folder: Path) -> None:
    """Refuse the folder of a run, of a comparison or of a store, and the folders inside that belong to it."""
    folder = Path(os.path.realpath(folder))
    foreign = folder.is_dir() and any(folder.iterdir()) and not manifest.has_list(folder)
    inside = any(
        is_own(above, but="export") and (foreign or folder.relative_to(above).parts[0] in OF_RUNS)
        for above in folder.parents
    )
    if inside or is_own(folder, but="export") or owner_of(folder) is not None:
        raise RunFolderError(
            f"'{folder}' is the folder of a run, a comparison or a store, or a part of one, whose own files "
            "have such names. Choose another --out."
        )


def _check_free(target: Path, card: Path, options: ExportOptions) -> None:
    """Refuse to replace what is there without --overwrite, or what is not ours."""
    there = [path for path in (target, card) if os.path.lexists(path) and not path.is_dir()]
    if target.is_dir():
        from geopretrain.exporting.hub_folder import CONFIG, WEIGHTS
        from geopretrain.weights.monodepth2 import FILES

        names = FILES if options.format == "monodepth2" else (WEIGHTS, CONFIG)
        there += [target / name for name in names if os.path.lexists(target / name)]
    for path in there:
        if not options.overwrite:
            raise RunFolderError(f"'{path}' exists. Choose another --out, or replace it with --overwrite.")
        check_replaceable(path)


def _say(target: Path, card: Path, written: Written) -> None:
    console.say(f"Written: {target}, and its model card {card}.")
    for sentence in (*written.notes, written.checked):
        if sentence:
            console.say(sentence)
    console.say(f"To load it:\n{written.loaded_from(target.as_posix())}")

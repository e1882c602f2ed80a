"""The folder a run leaves behind: created without harm, written atomically, resumed or refused."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from geopretrain import manifest
from geopretrain.config.saved import MARKER, migrated, write_saved
from geopretrain.errors import RunFolderError, short
from geopretrain.files import remove_leftovers, write_json, write_text, writing
from geopretrain.folders import check_free, check_marker, foreign, mark_begun
from geopretrain.lineage_shape import LineageShape
from geopretrain.records import Object, as_type, mapping, read_json_text, read_yaml
from geopretrain.runs.shapes import Record, Results
from geopretrain.schema import AnySize, as_path

CAPTURED = "diverged/step.pt"
"""The step in which a training stopped being numbers."""
_FILES = (
    *("lineage.json", "weights.json", "backbone.safetensors", "model.safetensors", "metrics.jsonl"),
    *("results.json", "subset.json", "checkpoints/last.ckpt", "checkpoints/best.ckpt"),
    *("tensorboard/hparams.yaml", CAPTURED, "config.yaml"),
)
_PICTURE = re.compile(r"figures/sample_\d\d_\d{6,}\.png")
_CSV = re.compile(r"csv/(from_step_\d{6,}/)?(metrics\.csv|hparams\.yaml)")
_EVENTS = re.compile(r"tensorboard/events\.out\.tfevents\.\d+\..+")
EVALUATION = "evaluation"
_STATE = ("checkpoints/", f"{EVALUATION}/")
"""Folders whose content decides how a run goes on."""


_CONFIG_ADVICE = "Copy the run again, or start another one from its weights with --init."


class RunFolder:
    """One run on disk: config.yaml, lineage.json, weights, metrics.jsonl, results.json, figures, checkpoint.

    Make one with ``create`` (to train into) or ``open`` (to read).
    """

    def __init__(self, path: str | Path) -> None:
        self.path = as_path(path)

    def __repr__(self) -> str:
        return f"RunFolder('{self.path}')"

    def __fspath__(self) -> str:
        return str(self.path)

    @classmethod
    def create(
        cls, path: str | Path, *, config: Mapping[str, Any], overwrite: bool = False, resume: bool = False
    ) -> RunFolder:
        """Return the folder for a run with ``config`` (its resolved settings; ``command`` names its kind).

        Args:
            path: folder to create; must be empty or absent unless one of the following is given.
            config: every setting of the run, plain values only.
            overwrite: remove an earlier run of ours from the folder first (nothing else is ever removed).
            resume: continue the run in the folder; ``config.resume`` has decided that these settings do.

        Raises:
            RunFolderError: the folder is in use, foreign, not writable, or holds a run with other settings.
        """
        run = cls(path)
        run.check_free(overwrite=overwrite, resume=resume)
        run._remove_leftovers()
        with writing(run.path):
            if not resume and (run.is_ours() or manifest.has_list(run.path)):
                run.remove_own(but=("config.yaml",))  # the marker stays until the new one takes its place
            manifest.begin(run.path, run._own())
            run.reopen()
            for folder in (run.figures, run.checkpoint.parent):
                folder.mkdir(parents=True, exist_ok=True)
        write_saved(run.path, config, own=True)
        mark_begun(run.path)
        return run

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """Return an existing run; raises RunFolderError where ``path`` holds none."""
        run = cls(path)
        if not run.path.exists():
            raise RunFolderError(
                f"There is no run folder '{path}'. Give the --out folder of a pretrain or finetune run."
            )
        if not run.is_ours():
            raise RunFolderError(
                f"'{path}' is not a run folder of geopretrain (no config.yaml of ours). "
                "Give the --out folder of a pretrain or finetune run."
            )
        return run

    def is_ours(self) -> bool:
        """Return whether the folder holds a run of this library."""
        try:
            return MARKER in self._read_config()
        except RunFolderError:
            return False

    # ---- what is in it
    @property
    def figures(self) -> Path:
        """Folder of pictures."""
        return self.path / "figures"

    @property
    def checkpoint(self) -> Path:
        """File a run is resumed from."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def best_checkpoint(self) -> Path:
        """File of the weights of the best validation."""
        return self.path / "checkpoints" / "best.ckpt"

    @property
    def config(self) -> dict[str, Any]:
        """The resolved options, as in config.yaml, in the names of today."""
        return migrated({name: value for name, value in self._read_config().items() if name != MARKER})

    @property
    def kind(self) -> str:
        """The command it is of: ``pretrain``, ``finetune segmentation`` or ``finetune depth``."""
        return str(self.config.get("command", ""))

    @property
    def lineage(self) -> dict[str, Any]:
        """Where the weights come from (lineage.json)."""
        return self._read_json("lineage.json", LineageShape)

    @property
    def results(self) -> dict[str, Any]:
        """The final numbers with their protocols (results.json)."""
        return self._read_json("results.json", Results)

    @property
    def has_lineage(self) -> bool:
        """Whether the training has begun (lineage.json is written before the first step)."""
        return (self.path / "lineage.json").is_file()

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) px that the network was trained at."""
        size: tuple[int, int] | None = as_type(
            AnySize,
            self.config.get("size"),
            self.path / "config.yaml",
            error=RunFolderError,
            advice=_CONFIG_ADVICE,
        )
        return size

    @property
    def finished(self) -> bool:
        """Whether the run came to its end (results.json is written last)."""
        return (self.path / "results.json").is_file()

    @property
    def can_continue(self) -> bool:
        """Whether there is a checkpoint, so that what was trained is not lost."""
        return self.checkpoint.is_file()

    @property
    def trained_steps(self) -> int:
        """Optimisation steps of a finished run."""
        results = self.results
        return int(results.get("steps", results.get("iterations", 0)))  # version 0.1 had both words

    def reopen(self) -> None:
        """Let a finished run be continued: its final numbers no longer hold."""
        with writing(self.path):
            (self.path / "results.json").unlink(missing_ok=True)

    def write_lineage(self, lineage: Mapping[str, Any]) -> None:
        """Write lineage.json atomically."""
        write_json(self.path / "lineage.json", dict(lineage))

    def write_results(self, results: Mapping[str, Any]) -> None:
        """Write results.json atomically, with the warnings that the training ended with.

        Do it last, it marks the run as finished.
        """
        last = max((record["step"] for record in self.metrics("train")), default=0)
        said = [record["sentence"] for record in self.metrics("warning") if record["step"] == last]
        write_json(self.path / "results.json", {**results, **({"warnings": said} if said else {})})

    # ---- metrics.jsonl
    def append_metrics(self, record: Mapping[str, Any]) -> None:
        """Append a line to metrics.jsonl; it has ``kind`` and ``step``, clock times are in ``timing``."""
        path = self.path / "metrics.jsonl"
        manifest.note(path)
        with writing(path), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(record)) + "\n")

    def metrics(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return the records of metrics.jsonl, all or of one ``kind``, without a last line torn by a kill.

        Raises:
            RunFolderError: another line is damaged.
        """
        path = self.path / "metrics.jsonl"
        if not path.is_file():
            return []
        lines = _lines(path)
        records = [
            record
            for number, line in enumerate(lines, 1)
            if (record := _record(path, line, number, last=number == len(lines))) is not None
        ]
        return [record for record in records if kind is None or record["kind"] == kind]

    def kept_validation(self) -> dict[str, Any]:
        """Return the validation of the weights that the run hands on, empty where there was none."""
        records, kept = self.metrics("validation"), self.metrics("kept")
        if kept:
            records = [record for record in records if record["step"] == kept[-1]["step"]]
        return records[-1] if records else {}

    def final_scores(self) -> dict[str, Any]:
        """Return what the weights handed on are scored by: a score of their own, or a validation."""
        scores = self.metrics("score")
        return scores[-1] if scores else self.kept_validation()

    def cut_metrics(self, last_step: int) -> None:
        """Drop what was recorded after ``last_step``, because a resumed run will record it again."""
        path = self.path / "metrics.jsonl"
        if path.is_file():
            kept = [
                json.dumps(record) + "\n" for record in self.metrics() if record.get("step", 0) <= last_step
            ]
            write_text(path, "".join(kept))

    # ---- inside
    def _remove_leftovers(self) -> None:
        for folder in (self.path, self.figures, self.checkpoint.parent):
            remove_leftovers(folder)

    def _read_config(self) -> dict[str, Any]:
        return mapping(read_yaml(self.path / "config.yaml", error=RunFolderError, advice=_CONFIG_ADVICE))

    def _read_json(self, name: str, shape: Any = Object) -> dict[str, Any]:
        path = self.path / name
        if not path.is_file():
            raise RunFolderError(
                f"'{self.path}' has no {name}: the run did not come that far. "
                "Continue it by repeating its command with --resume."
            )
        advice = (
            f"Copy the run again; its weights can still be used: --init {self.path / 'model.safetensors'}."
        )
        content = read_json_text(path, error=RunFolderError, advice=advice)
        as_type(shape, content, path, error=RunFolderError, advice=advice)
        return dict(content)

    def check_free(self, *, overwrite: bool, resume: bool, init: str | os.PathLike[str] = "random") -> None:
        """Refuse early what ``create`` would refuse, before time is spent on data; changes nothing.

        Raises:
            RunFolderError: the folder cannot receive a run, or ``init`` is this very folder.
        """
        if overwrite and resume:
            raise RunFolderError(
                "--overwrite and --resume contradict each other: the first starts again from nothing, "
                "the second continues what is there. Give one of them."
            )
        if Path(init).exists() and Path(init).resolve() == self.path.resolve():
            raise RunFolderError(
                f"--init and --out are the same folder '{self.path}'. To continue its run use --resume; "
                "to start a new run from its weights choose another --out."
            )
        if self.path.exists() and not self.path.is_dir():
            raise RunFolderError(f"'{self.path}' is a file; --out needs the name of a folder.")
        check_free(self.path)
        if not self._foreign() and not self.is_ours():
            check_marker(self.path, False, "a run", overwrite=overwrite)
            return
        if not self.is_ours():
            raise RunFolderError(
                f"'{self.path}' is not empty and was not written by geopretrain, so it is left alone "
                "(--overwrite would not help either). Choose another --out."
            )
        if not resume:
            self._check_links()
        if not (overwrite or resume):
            raise RunFolderError(
                f"'{self.path}' already holds a run. Continue it with --resume, start again from nothing "
                f"with --overwrite, train another run from it with --init {self.path} and another --out, "
                "or choose another --out."
            )

    def remove_own(self, but: Container[str] = ()) -> None:
        """Remove what runs and evaluations wrote here, and nothing else; links are not followed.

        Args:
            but: names that stay.
        """
        scores = self.path / EVALUATION
        if scores.is_dir() and not scores.is_symlink():
            manifest.remove(scores, own_scores(scores))
            manifest.forget(scores)
            manifest.remove_if_empty(scores / manifest.BOOKS)
        names = [name for name in self._own() if name not in but]
        manifest.remove(self.path, names)
        for folder in (self.figures, self.checkpoint.parent, self.path / "tensorboard", scores):
            remove_leftovers(folder)
            manifest.remove_if_empty(folder)
        manifest.forget(self.path)

    def _own(self) -> list[str]:
        """Return what runs wrote here: files of known names, and the pictures that are listed.

        Runs of earlier versions have no list; their pictures are known by the form of their names.
        """
        there = [name for name in _FILES if (self.path / name).is_file()]
        return there + self._pictures() + self._events() + self._csv()

    def _pictures(self) -> list[str]:
        if manifest.has_list(self.path):
            return [name for name in manifest.listed(self.path) if name.startswith("figures/")]
        names = [f"figures/{path.name}" for path in self.figures.glob("*.png")]
        return [name for name in names if _PICTURE.fullmatch(name)]

    def _csv(self) -> list[str]:
        """Return the tables of the logger of that name."""
        found = (path.relative_to(self.path).as_posix() for path in (self.path / "csv").rglob("*.*"))
        return [name for name in found if _CSV.fullmatch(name)]

    def _events(self) -> list[str]:
        """Return TensorBoard's files, whose names are made by itself."""
        names = [f"tensorboard/{path.name}" for path in (self.path / "tensorboard").glob("events.*")]
        return [name for name in names if _EVENTS.fullmatch(name)]

    def _foreign(self) -> list[str]:
        """Return what is in the folder and not ours, apart from empty folders that a run has."""
        empty = [
            p.name for p in (self.figures, self.checkpoint.parent) if p.is_dir() and not any(p.iterdir())
        ]
        known = {name.split("/")[0] for name in self._own()} if manifest.has_list(self.path) else set()
        scored = [EVALUATION] if manifest.has_list(self.path / EVALUATION) else []
        return [name for name in foreign(self.path) if name not in known.union(empty, scored)]

    def _check_links(self) -> None:
        """Refuse to begin anew where what decides how a run goes on lies behind a link."""
        names = [*self._own(), *(f"{EVALUATION}/{name}" for name in own_scores(self.path / EVALUATION))]
        for name in manifest.behind_links(self.path, names):
            if name.startswith(_STATE):
                folder = self.path / name.split("/")[0]
                raise RunFolderError(
                    f"'{folder}' is a link, and what is behind it is never removed. Remove the link, "
                    "or choose another --out."
                )


def own_scores(folder: Path) -> list[str]:
    """Return the files in a folder of evaluations that are ours: listed, or recognised by their content."""
    if manifest.has_list(folder):
        return manifest.listed(folder)
    known = [path.name for path in folder.glob("*.json") if _is_score(path)]
    known += [name for stem in known if (folder / (name := f"{stem.removesuffix('.json')}.csv")).is_file()]
    return known + [name for name in ("config.yaml",) if known and (folder / name).is_file()]


def _is_score(path: Path) -> bool:
    """Return whether a file is what ``evaluate`` of an earlier version wrote."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and {"run", "data", "protocol", "images"} <= content.keys()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise RunFolderError(f"'{path}' cannot be read ({error.strerror}).") from error


def _record(path: Path, line: str, number: int, *, last: bool) -> dict[str, Any] | None:
    """Return a record, None for an empty line and a last one that a kill has torn."""
    advice = "Remove the line, or the file with all that was logged; the weights are unharmed."
    if not line.strip():
        return None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        if last:
            return None
        raise RunFolderError(
            f"'{path}' is damaged: line {number} is no JSON: {short(line)}. {advice}"
        ) from error
    as_type(Record, record, path, error=RunFolderError, advice=f"It is line {number}. {advice}")
    return dict(record)

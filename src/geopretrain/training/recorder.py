"""What happens after each step: averages, sentences, validation, pictures, checkpoint, answering signals."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any, NoReturn, cast

import numpy as np
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from geopretrain.compute import may_use_fewer_threads
from geopretrain.console import console
from geopretrain.evaluation.probe import LinearProbe
from geopretrain.files import write_picture, writing
from geopretrain.interruption import Answer
from geopretrain.ranks import Ranks
from geopretrain.runs.folder import RunFolder
from geopretrain.training.averaging import WeightAverage
from geopretrain.training.capture import Guard, keep_step
from geopretrain.training.checkpoint import write_weights
from geopretrain.training.diagnostics import (
    DiagnosticsWatch,
    LogAverages,
    Outcome,
    TrainingDiverged,
    diverged,
    weights_are_finite,
)
from geopretrain.training.distributed import whole_weights
from geopretrain.training.module import TrainingModule
from geopretrain.training.monitoring import Monitor
from geopretrain.training.oversubscription import ThreadWatch
from geopretrain.training.precision import MIN_SCALE, loss_scale
from geopretrain.training.progress import Clock, ProgressLine
from geopretrain.training.settings import LoopSettings
from geopretrain.training.stream import BatchStream, Samples
from geopretrain.training.validate import evaluating, validate
from geopretrain.wording import metric


class Recorder(Callback):
    """What happens after a step: averages, sentences, validation, pictures, checkpoint, interruption."""

    def __init__(
        self,
        run: RunFolder,
        settings: LoopSettings,
        stream: BatchStream,
        validation: Samples | None,
        shown: Any,
        probe: LinearProbe | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self.ranks = ranks or Ranks()
        self.run = run
        self.settings = settings
        self.stream = stream
        self.validation = validation
        self.shown = shown
        self.probe = probe
        self.interruption: Answer | None = None
        self.averages = LogAverages(tolerant=settings.precision == "fp16")
        self.watch = DiagnosticsWatch()
        self.outcome = Outcome()
        self.clock = Clock()
        self.line = ProgressLine(settings.steps)
        self.guard: Guard | None = None
        self.average: WeightAverage | None = None
        self.monitor = Monitor(settings) if settings.monitor else None
        self.last_good_step: int | None = None
        self.last_loss = math.nan
        self.last_logs: dict[str, float] = {}
        self.restored = False
        """Whether the first step has begun, and with it everything that a checkpoint gives back."""
        self._restored: dict[str, Any] = {}
        may_use_fewer = settings.threads is None and may_use_fewer_threads()
        self.threads = ThreadWatch(torch.get_num_threads(), torch.set_num_threads if may_use_fewer else None)

    def state_dict(self) -> dict[str, Any]:
        """Return what an interval interrupted by a checkpoint needs."""
        state: dict[str, Any] = {
            "averages": self.averages.state_dict(),
            "said": list(self.watch.said),
            "outcome": self.outcome.state_dict(),
        }
        kept = {"average": self.average, "monitor": self.monitor}
        return state | {name: one.state_dict() for name, one in kept.items() if one is not None}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue such an interval."""
        self._restored = state_dict

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock and the line."""
        if self.interruption is not None:
            self.interruption.take()  # Lightning has put a handler of its own for SIGTERM before ours
        if not self._restored:
            with whole_weights(trainer):
                self.outcome.begin(pl_module)
        if self.settings.ema is not None:
            self.average = WeightAverage(cast(TrainingModule, pl_module).task, self.settings.ema)
        if self._restored:
            if self.average is not None:
                self.average.load_state_dict(self._restored["average"])
            if self.monitor is not None:
                self.monitor.load_state_dict(self._restored["monitor"])
            self.averages.load_state_dict(self._restored["averages"], pl_module.device)
            self.watch.said = list(self._restored["said"])
            self.outcome.load_state_dict(self._restored.get("outcome", {}))
            self.last_good_step = trainer.global_step
        elif self.probe is not None:  # what the features were worth before they learn
            self._validate(trainer, trainer.global_step)
        self._guard(trainer, cast(TrainingModule, pl_module))
        self.clock.restart(trainer.global_step)
        self.threads.start(trainer.global_step)
        self.line.start(trainer.global_step)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Before the first step, make sure that the loop goes on where the batches do."""
        if self.restored:
            return
        if trainer.global_step != self.stream.first_step:
            raise ValueError(f"its loop is at step {trainer.global_step}, not {self.stream.first_step}")
        if self.stream.first_step:
            check_moments(trainer.optimizers)
        self.restored = True

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the terminal back."""
        self.line.stop()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the terminal back."""
        self.line.stop()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Do whatever is due after this step; ``global_step`` already counts it."""
        step = trainer.global_step
        last_part = (batch_idx + 1) % self.settings.accumulate == 0
        # Lightning has divided the loss by the number of parts
        loss = outputs["loss"] * self.settings.accumulate
        self.averages.add(step if last_part else step + 1, loss, outputs["logs"])
        if not self._restored:
            self.outcome.add(loss)
        if not last_part:
            return
        if self.average is not None:
            self.average.update(cast(TrainingModule, pl_module).task)
        self.line.advance(step)
        if pl_module.device.type == "cpu" and (sentence := self.threads.after_step(step)):
            console.say(f"Step {step}: {sentence}")  # not recorded: it belongs to the machine
        stopping = self._asked_to_stop()
        if step % self.settings.log_every == 0 or step == self.settings.steps:
            self._log(trainer, step)
        if self.settings.validates_at(step):
            with self.threads.clock.leave_out():
                self._validate(trainer, step)
        early = self.settings.validates_at(step) and self._ends_early()
        ended = early or step == self.settings.steps
        if ended:
            self._judge(trainer, step)
        if step % self.settings.checkpoint_every == 0 or ended or stopping:
            self._save(trainer, pl_module, step)
        if early and self.monitor is not None and step < self.settings.steps:
            console.say(
                f"Step {step}: {self.settings.patience} validations without a better one; best is "
                f"{self.monitor.in_words()}. The training ends here."
            )
            trainer.should_stop = True
        if stopping:
            self.line.stop()
            raise Stopped

    def _ends_early(self) -> bool:
        """Return whether the first process, whose validations count, has run out of patience."""
        if self.monitor is None:
            return False
        return self.ranks.largest(int(self.ranks.first and self.monitor.exhausted)) > 0

    def _asked_to_stop(self) -> bool:
        """Return whether a signal has reached any of the processes, which all stop after the same step."""
        mine = self.interruption.asked if self.interruption is not None else None
        asked = self.ranks.largest(mine or 0)
        if asked and mine is None and self.interruption is not None:
            self.interruption.asked = asked
        return asked > 0

    def _log(self, trainer: Trainer, step: int) -> None:
        module = cast(TrainingModule, trainer.lightning_module)
        timing = self.clock.interval(step, self.stream.waited_seconds)
        self.averages.share(self.ranks)
        self._stop_if_diverged(step)
        scale = self._scale(trainer, step)
        if not (logs := self.averages.fetch()):
            return  # in fp16 all steps of the interval were skipped
        self.last_loss, self.last_logs = logs["loss"], logs
        rate = self.settings.lr * module.factor(step - 1)
        self.run.append_metrics(
            {"kind": "train", "step": step, **logs, **scale, "learning_rate": rate, "timing": timing}
        )
        self._log_elsewhere(trainer, {f"train/{name}": value for name, value in logs.items()}, step)
        self._log_elsewhere(trainer, {"learning_rate": rate, "data_fraction": timing["data_fraction"]}, step)
        for sentence in self.watch.new_sentences(module.task, logs, step):
            self.run.append_metrics({"kind": "diagnostics", "step": step, "sentence": sentence})
            console.say(f"Step {step}: {sentence}")
        self.line.update(step, logs["loss"], timing)

    def _scale(self, trainer: Trainer, step: int) -> dict[str, float]:
        """Return the scale of the loss in fp16; stop where gradients overflow at the smallest one, too."""
        if (scale := loss_scale(trainer)) is None:
            return {}
        if scale < MIN_SCALE:
            self._stop(step, diverged(step, self.last_good_step, what="In fp16 the gradient"))
        return {"loss_scale": scale}

    def _stop_if_diverged(self, step: int) -> None:
        if self.guard is not None and (bad := self.guard.bad_step()) is not None:
            self._stop_at(bad)
        bad_step = self.averages.bad_step()
        if bad_step is not None:
            self._stop(bad_step, diverged(bad_step, self.last_good_step))

    def _guard(self, trainer: Trainer, module: TrainingModule) -> None:
        """Have the gradients looked at; in fp16 the scale of the loss sees to that."""
        self.module = module
        if self.settings.precision != "fp16" and self.settings.strategy == "ddp":
            self.guard = module.guard = Guard(self._stop_at, waits=module.device.type != "cuda")

    def _stop_at(self, step: int) -> NoReturn:
        """Stop because of the gradients of ``step`` (0-based), and keep what computing it again needs."""
        module = self.module
        last = module.last_loss
        what = "gradient" if last is None or bool(last.isfinite()) else "loss"
        error = diverged(step + 1, self.last_good_step, what=f"The {what}")
        if self.ranks.first:
            kept = keep_step(self.run, module.task, self.stream.samples, self.settings, step)
            error = TrainingDiverged(f"{error} {kept}")
        self._stop(step + 1, error)

    def _stop(self, step: int, error: TrainingDiverged) -> NoReturn:
        self.run.append_metrics({"kind": "stopped", "step": step, "sentence": str(error)})
        raise error

    def _judge(self, trainer: Trainer, step: int) -> None:
        """Say at the end where what came out is of no use, and keep it for results.json."""
        records = self.run.metrics("validation")
        losses = [loss for record in records if isinstance(loss := record.get("loss"), float)]
        with whole_weights(trainer):
            sentences = self.outcome.sentences(
                trainer.lightning_module, self.last_loss, losses, kept=self._kept(step)
            )
        task = cast(TrainingModule, trainer.lightning_module).task
        for sentence in [*sentences, *self.watch.at_end(task, self.last_logs, step)]:
            self.run.append_metrics({"kind": "warning", "step": step, "sentence": sentence})
            console.warn(sentence)

    def _kept(self, step: int) -> str:
        """Return which earlier weights are handed on instead of the last ones, empty where these are."""
        best = None if self.monitor is None or self.settings.keep != "best" else self.monitor.best_step
        return f"step {best}" if best and best < step else ""

    def _validate(self, trainer: Trainer, step: int) -> None:
        task = cast(TrainingModule, trainer.lightning_module).task
        self.averages.share(self.ranks)
        self._stop_if_diverged(step)
        average = nullcontext() if self.average is None or not step else self.average.in_place(task)
        with self.clock.leave_out(), whole_weights(trainer), average:
            record = {}
            if self.validation is not None:
                record = validate(task, self.validation, self.settings.batch_size, self.settings.seed)
            if self.probe is not None and self.ranks.first and task.backbone is not None:
                with evaluating(task):
                    record |= self.probe.score(task.backbone)
            pictures = {}
            if self.shown is not None:
                with evaluating(task):
                    pictures = task.pictures(self.shown.to(str(task.device)))
            for name, picture in pictures.items():
                write_picture(self.run.figures / f"{name}_{step:06d}.png", np.asarray(picture))
            if record:
                self._record_validation(trainer, step, record)
            if self.monitor is not None and step and self.monitor.judge(record, step) and self.ranks.first:
                write_weights(self.run.best_checkpoint, task, step)
            self.ranks.wait()

    def _record_validation(self, trainer: Trainer, step: int, record: dict[str, Any]) -> None:
        loss = record.get("loss")
        if isinstance(loss, float) and not math.isfinite(loss):
            self._stop(step, diverged(step, self.last_good_step, what="The loss on held-out samples"))
        self.run.append_metrics({"kind": "validation", "step": step, **record})
        numbers = {f"validation/{k}": v for k, v in record.items() if isinstance(v, (int, float))}
        self._log_elsewhere(trainer, numbers, step)
        shown = ", ".join(f"{metric(k.split('/')[1])} {v:z.4g}" for k, v in numbers.items())
        if shown:
            console.say(f"Step {step}: validation {shown}")

    def _save(self, trainer: Trainer, pl_module: LightningModule, step: int) -> None:
        self.averages.share(self.ranks)
        self._stop_if_diverged(step)
        if self.ranks.largest(int(not weights_are_finite(pl_module))):
            raise diverged(step, self.last_good_step)
        trainer.save_checkpoint(self.run.checkpoint, weights_only=False)
        self.last_good_step = step

    def _log_elsewhere(self, trainer: Trainer, numbers: dict[str, float], step: int) -> None:
        for logger in trainer.loggers if numbers else ():
            with writing(self.run.path):
                logger.log_metrics(numbers, step)


def check_moments(optimizers: list[Any]) -> None:
    """Raise ValueError where the state of an optimiser does not fit its parameters."""
    for optimizer in optimizers:
        remembers = "betas" in optimizer.defaults or optimizer.defaults.get("momentum")
        if remembers and not optimizer.state:
            raise ValueError("it lacks the state of the optimiser")
        for parameter, state in optimizer.state.items():
            for name, value in state.items():
                if torch.is_tensor(value) and value.ndim and value.shape != parameter.shape:
                    raise ValueError(f"the optimiser's {name} is {tuple(value.shape)}")


class Stopped(BaseException):
    """A signal was answered: step finished, checkpoint written (Lightning exits on a KeyboardInterrupt)."""

"""Stopping, resuming, damaged checkpoints and full disks, with the real trainers."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.engine.conftest import Recorded, Session, question, tiny_config
from training.engine import beats, checkpoints, files, problems
from training.engine.checkpoints import newest_verified, published
from training.engine.files import MANIFEST, damage
from training.engine.generation import Generator
from training.engine.problems import EngineError
from training.lifecycle import smaller_passes

CURVES = ["loss", "reward", "reward_std", "grad_norm", "completions/mean_length", "entropy", "learning_rate"]


@pytest.fixture(autouse=True)
def asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny model's step is shorter than the pause between two looks at the stop sign."""
    monkeypatch.setattr(problems, "ASK_EVERY", 0.0)


def weights(folder: Path) -> dict[str, Any]:
    return load_file(folder / "adapter" / "adapter_model.safetensors")


def assert_same_weights(one: Path, other: Path) -> None:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert all((first[name] == second[name]).all() for name in first)


def another(session: Session, name: str) -> Session:
    return Session(session.folder.parent / name, session.model_folder, session.config, session.composition)


Whole = Callable[[Session], tuple[Path, Recorded]]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Folder and events of the run that nobody stopped, made once for each config."""
    known: dict[str, tuple[Path, Recorded]] = {}

    def run(session: Session) -> tuple[Path, Recorded]:
        key = session.config.model_dump_json()
        if key not in known:
            whole = Session(
                tmp_path_factory.mktemp("whole") / "session", session.model_folder, session.config, session.composition
            )
            known[key] = whole.folder, whole.run()[1]
        return known[key]

    return run


VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "plain": {},
    "past the first epoch, with KL and a falling learning rate": {
        "grpo": {"kl_penalty": 0.05},
        "training": {"lr_scheduler_type": "linear", "max_steps": 7, "num_epochs": 5},
    },
    "several forward passes a step, with dropout": {
        "training": {"batch_size": 4, "gradient_accumulation_steps": 2},
        "model": {"lora_dropout": 0.1},
    },
}


@pytest.mark.parametrize("stop_after", [1, 2, 3])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_stopped_and_resumed_session_is_the_uninterrupted_one(
    session: Session, uninterrupted: Whole, variant: str, stop_after: int
) -> None:
    session.config = tiny_config(**VARIANTS[variant])
    whole, expected = uninterrupted(session)
    stopped, first = session.run(stop=lambda recorded: recorded.step >= stop_after)
    resumed, second = session.run(resume=True)

    assert (stopped.status, resumed.status) == ("stopped", "completed")
    at = first.step
    assert second.of("phase", "training")[0].data["resumed_from"] == at
    assert min(second.curve("loss")) == at + 1
    for name in CURVES:
        assert {**first.curve(name), **second.curve(name)} == expected.curve(name), name
    assert_same_weights(session.folder, whole)


def test_a_stop_in_the_middle_of_a_rollout_keeps_the_last_completed_step(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    complete = Generator.complete

    def counted(self: Generator, *args: Any) -> Any:
        calls.append(1)
        return complete(self, *args)

    monkeypatch.setattr(Generator, "complete", counted)
    # The stop sign goes up once the fourth rollout has begun.
    stopped, first = session.run(stop=lambda recorded: len(calls) >= 4)

    assert stopped.status == "stopped"
    assert first.step == 3
    assert first.of("checkpoint")[-1].step == 3
    assert stopped.adapter is not None


def test_a_stop_in_the_middle_of_a_backward_pass_does_not_wait_for_its_end(
    session: Session, uninterrupted: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = uninterrupted(session)
    begun, ended = [], []
    backward = torch.Tensor.backward

    def counted(self: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        begun.append(1)
        backward(self, *args, **kwargs)
        ended.append(1)

    monkeypatch.setattr(torch.Tensor, "backward", counted)
    stopped, first = session.run(stop=lambda recorded: len(begun) >= 3)

    assert stopped.status == "stopped"
    assert (len(begun), len(ended)) == (3, 2)
    assert first.of("checkpoint")[-1].step == 2
    session.run(resume=True)
    assert_same_weights(session.folder, whole)


def test_resuming_a_mid_step_stop_is_exact(session: Session, uninterrupted: Whole) -> None:
    whole, _ = uninterrupted(session)
    asked = []

    def late(recorded: Recorded) -> bool:
        if recorded.step == 2:
            asked.append(1)
        return len(asked) > 6

    stopped, _ = session.run(stop=late)
    session.run(resume=True)

    assert stopped.status == "stopped"
    assert_same_weights(session.folder, whole)


def test_a_stop_before_the_first_step_leaves_no_adapter_and_resumes_from_the_start(session: Session) -> None:
    outcome, recorded = session.run(stop=lambda recorded: True)
    assert (outcome.status, outcome.adapter, recorded.step) == ("stopped", None, 0)
    again, recorded = session.run(resume=True)
    assert again.status == "completed"
    assert recorded.step == 4


def test_a_resumed_session_does_not_repeat_the_base_evaluation_and_the_warm_up(session: Session) -> None:
    session.config = tiny_config(pre_training={"enabled": True}, evaluation={"enabled": True})
    whole = another(session, "whole")
    whole.run()
    first, _ = session.run(stop=lambda recorded: recorded.step >= 2)
    second, recorded = session.run(resume=True)

    assert not recorded.of("metrics", "pretraining")
    assert {event.data["label"] for event in recorded.of("evaluation")} == {"adapter"}
    assert second.scores["base"] == first.scores["base"]
    assert_same_weights(session.folder, whole.folder)


def test_a_session_killed_between_warm_up_and_the_first_checkpoint_goes_on_from_the_warm_up(session: Session) -> None:
    session.config = tiny_config(pre_training={"enabled": True}, training={"save_steps": 100})
    whole = another(session, "whole")
    whole.run()
    session.run(stop=lambda recorded: recorded.step >= 1)
    shutil.rmtree(session.folder / "checkpoints")
    _, recorded = session.run(resume=True)

    assert recorded.of("phase", "training")[0].data["resumed_from"] == 0
    assert not recorded.of("metrics", "pretraining")
    assert_same_weights(session.folder, whole.folder)


def test_a_stopped_warm_up_goes_on_where_it_was(session: Session) -> None:
    session.config = tiny_config(
        pre_training={"enabled": True, "epochs": 4, "batch_size": 2, "learning_rate": 1e-2},
        training={"max_steps": 1},
    )
    whole = another(session, "whole")
    _, uninterrupted = whole.run()
    stopped, first = session.run(stop=lambda recorded: bool(recorded.of("checkpoint", "pretraining")))
    _, second = session.run(resume=True)

    assert stopped.status == "stopped"
    assert second.of("phase", "pretraining")[0].data["resumed_from"] == max(first.curve("loss", "pretraining"))
    joined = {**first.curve("loss", "pretraining"), **second.curve("loss", "pretraining")}
    assert joined == uninterrupted.curve("loss", "pretraining")
    assert_same_weights(session.folder, whole.folder)


def test_a_session_stopped_while_the_adapter_is_evaluated_only_evaluates_again(session: Session) -> None:
    session.config = tiny_config(evaluation={"enabled": True})
    stopped, _ = session.run(stop=lambda recorded: bool(recorded.of("phase", "finishing")))
    before = weights(session.folder)
    resumed, recorded = session.run(resume=True)

    assert stopped.status == "stopped"
    assert resumed.status == "completed"
    assert not recorded.of("metrics", "training")
    assert set(resumed.scores) == {"base", "adapter"}
    assert all((before[name] == weights(session.folder)[name]).all() for name in before)


def test_a_damaged_newest_checkpoint_is_set_aside_and_the_older_one_used(
    session: Session, uninterrupted: Whole
) -> None:
    whole, _ = uninterrupted(session)
    session.run()
    newest, older = published(session.folder, "training")
    with (newest / "optimizer.pt").open("r+b") as file:
        file.seek(100)
        file.write(b"damage")
    _, recorded = session.run(resume=True)

    assert recorded.of("phase", "training")[0].data["resumed_from"] == checkpoints.step_of(older)
    assert any("optimizer.pt has changed" in event.data["message"] for event in recorded.of("log"))
    assert newest.with_name(f"damaged-{newest.name}").is_dir()
    assert_same_weights(session.folder, whole)


@pytest.mark.parametrize("file", [MANIFEST, "adapter_model.safetensors", "trainer_state.json"])
def test_a_checkpoint_without_one_of_its_files_is_no_checkpoint(session: Session, file: str) -> None:
    session.run()
    newest, older = published(session.folder, "training")
    (newest / file).unlink()
    told: list[str] = []

    assert newest_verified(session.folder, "training", told.append) == older
    assert len(told) == 1


def test_only_as_many_checkpoints_as_asked_for_stay(session: Session) -> None:
    session.config = tiny_config(training={"save_steps": 1, "save_total_limit": 3})
    session.run()

    assert [checkpoints.step_of(path) for path in published(session.folder, "training")] == [4, 3, 2]


def test_the_best_checkpoint_stays_beside_the_newest(session: Session) -> None:
    session.config = tiny_config(training={"save_steps": 1, "save_total_limit": 2, "max_steps": 7})
    _, recorded = session.run()

    rewards = {event.step: event.data["reward"] for event in recorded.of("checkpoint")}
    assert rewards == recorded.curve("reward")
    best = max(rewards, key=lambda step: (rewards[step], step))
    kept = {checkpoints.step_of(path) for path in published(session.folder, "training")}
    assert kept == {7, 6, best}
    assert best not in (6, 7), "with this seed the best is an old one: else this shows nothing"


@pytest.mark.parametrize("chosen", [2, 4, 6])
def test_a_session_goes_on_from_each_of_its_checkpoints_as_if_it_had_not_gone_further(
    session: Session, uninterrupted: Whole, chosen: int
) -> None:
    session.config = tiny_config(training={"save_steps": 2, "save_total_limit": 9, "max_steps": 8})
    whole, expected = uninterrupted(session)
    session.run(stop=lambda recorded: recorded.step >= 7)
    left = checkpoints.set_later_ones_aside(checkpoints.checkpoint_path(session.folder, "training", chosen))
    _, recorded = session.run(resume=True)

    assert {path.name for path in left} > {f".unfinished-left-training-{step:08d}" for step in (7,)} or chosen == 6
    assert recorded.of("phase", "training")[0].data["resumed_from"] == chosen
    losses = expected.curve("loss")
    assert recorded.curve("loss") == {step: losses[step] for step in range(chosen + 1, 9)}
    assert_same_weights(session.folder, whole)
    assert not list((session.folder / "checkpoints").glob(".unfinished-*"))


def test_a_checkpoint_of_the_warm_up_puts_all_that_came_after_it_aside(session: Session) -> None:
    folder = session.folder
    for name in ("checkpoints/pretraining-00000002", "checkpoints/pretraining-00000004", "warm_up"):
        (folder / name).mkdir(parents=True)
    (folder / "checkpoints" / "training-00000002").mkdir()
    checkpoints.set_later_ones_aside(folder / "checkpoints" / "pretraining-00000002")

    assert [path.name for path in folder.glob("checkpoints/[!.]*")] == ["pretraining-00000002"]
    assert not (folder / "warm_up").exists()


def test_half_the_pass_and_twice_the_passes_train_the_same(session: Session) -> None:
    """What a session does after its memory ran out. Sums in another order differ in their last bits."""
    session.config = tiny_config(training={"max_steps": 6})
    whole = another(session, "whole")
    _, uninterrupted = whole.run()
    session.run(stop=lambda recorded: recorded.step >= 3)
    session.config = smaller_passes(session.config)
    outcome, recorded = session.run(resume=True)

    assert (session.config.training.batch_size, session.config.training.gradient_accumulation_steps) == (4, 2)
    assert outcome.status == "completed"
    curve = recorded.curve("reward")
    assert curve == {step: uninterrupted.curve("reward")[step] for step in curve}
    assert largest_difference(session.folder, whole.folder) < 1e-4


def largest_difference(one: Path, other: Path) -> float:
    first, second = weights(one), weights(other)
    return max(float((first[name] - second[name]).abs().max()) for name in first)


@pytest.mark.parametrize(("iterations", "stop_after", "most"), [(2, 2, 0.0), (2, 3, 0.1)])
def test_with_several_passes_over_one_rollout_a_resume_in_its_middle_draws_new_answers(
    session: Session, iterations: int, stop_after: int, most: float
) -> None:
    """The rollout in memory is not a part of a checkpoint: docs/reliability.md says how exact a resume is."""
    session.config = tiny_config(grpo={"num_iterations": iterations}, training={"max_steps": 6})
    whole = another(session, "whole")
    whole.run()
    session.run(stop=lambda recorded: recorded.step >= stop_after)
    session.run(resume=True)

    assert largest_difference(session.folder, whole.folder) <= most


# What is not a number


def test_a_base_model_of_nothing_but_nan_ends_with_what_to_do(session: Session, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(session.model_folder, broken)
    tensors = load_file(broken / "model.safetensors")
    save_file({name: torch.full_like(each, torch.nan) for name, each in tensors.items()}, broken / "model.safetensors")
    session.model_folder = broken
    with pytest.raises(EngineError, match="not a number") as caught:
        session.run()
    assert "choose another" in caught.value.hint
    assert not published(session.folder, "training")


@pytest.mark.parametrize("where", ["loss", "gradient", "weights"])
def test_what_is_not_a_number_ends_the_run_before_it_is_saved(
    session: Session, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    session.config = tiny_config(training={"save_steps": 1, "save_total_limit": 9})
    spoil(monkeypatch, where, at=3)
    with pytest.raises(EngineError, match="not a number") as caught:
        session.run()

    assert caught.value.message.startswith("Step 3: ")
    assert "learning_rate" in caught.value.hint
    steps = [checkpoints.step_of(path) for path in published(session.folder, "training")]
    assert steps == [2, 1]
    for path in published(session.folder, "training"):
        assert all(each.isfinite().all() for each in load_file(path / "adapter_model.safetensors").values())


def spoil(monkeypatch: pytest.MonkeyPatch, where: str, at: int) -> None:
    """As an overflow of a large learning rate would, in step `at`."""
    from transformers import Trainer

    plain = Trainer.training_step

    def spoilt(self: Any, *args: Any, **kwargs: Any) -> Any:
        loss = plain(self, *args, **kwargs)
        if self.state.global_step + 1 < at:
            return loss
        learned = [each for each in self.model.parameters() if each.requires_grad]
        if where == "gradient":
            learned[0].grad.fill_(torch.inf)
        if where == "weights":
            learned[0].data.fill_(torch.nan)
        return loss * torch.nan if where == "loss" else loss

    monkeypatch.setattr(Trainer, "training_step", spoilt)


def test_the_sign_of_life_names_what_the_run_is_doing(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    session.config = tiny_config(evaluation={"enabled": True}, pre_training={"enabled": True})
    seen: list[str] = []
    enter = beats.Pulse.enter

    def noted(self: Any, doing: str) -> None:
        enter(self, doing)
        told = beats.last_beat(session.folder)
        assert told is not None
        seen.append(told[0])

    monkeypatch.setattr(beats.Pulse, "enter", noted)
    session.run()

    assert seen[0] == "loading"
    assert {"loading", "generating", "rewarding", "training", "saving"} == set(seen)


def test_a_checkpoint_event_names_what_is_on_disk(session: Session) -> None:
    _, recorded = session.run()

    for event in recorded.of("checkpoint"):
        folder = session.folder / event.data["path"]
        assert damage(folder) is None
        assert files.sha256_of(folder / MANIFEST) == event.data["sha256"]
        listed = json.loads((folder / MANIFEST).read_text())["files"]
        assert sum(entry["bytes"] for entry in listed.values()) == event.data["bytes"]


def test_neither_adapter_nor_checkpoint_names_a_path_of_this_machine(session: Session) -> None:
    session.config = tiny_config(grpo={"kl_penalty": 0.1})
    session.run()

    for config in session.folder.rglob("adapter_config.json"):
        assert json.loads(config.read_text())["base_model_name_or_path"] == session.config.model.name
    assert not list(session.folder.rglob("README.md"))


@pytest.fixture
def full_after(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets `count` checkpoints be written, then the disk is full for the file given."""

    def prepare(count: int, method: str) -> None:
        from transformers import Trainer

        write = getattr(Trainer, method)
        calls: list[int] = []

        def full(self: Any, *args: Any, **kwargs: Any) -> Any:
            calls.append(1)
            if len(calls) > count:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(self, *args, **kwargs)

        monkeypatch.setattr(Trainer, method, full)

    return prepare


@pytest.mark.parametrize("method", ["_save_optimizer_and_scheduler", "_save_rng_state", "save_model"])
def test_a_full_disk_ends_the_session_with_that_message_and_keeps_earlier_checkpoints(
    session: Session, full_after: Any, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = another(session, "whole")
    whole.run()
    full_after(1, method)
    with pytest.raises(EngineError, match="disk is full") as caught:
        session.run()

    assert str(session.folder) in caught.value.message
    assert "Earlier checkpoints are intact" in caught.value.message
    assert [checkpoints.step_of(path) for path in published(session.folder, "training")] == [2]
    assert not list((session.folder / "checkpoints").glob(".unfinished-*"))
    monkeypatch.undo()


TMPFS = """
import sys
from pathlib import Path
from safetensors.torch import save_file
import torch
from training.engine.problems import explained
folder = Path(sys.argv[1])
for write in (
    lambda: save_file({"a": torch.zeros(600_000)}, folder / "a.safetensors"),
    lambda: torch.save({"a": torch.zeros(600_000)}, folder / "b.pt"),
    lambda: (folder / "c.json").write_text("x" * 3_000_000),
):
    try:
        write()
    except BaseException as error:
        problem = explained(error, folder)
        assert problem and "disk is full" in problem.message, repr(error)
    else:
        raise AssertionError("it fitted")
    for file in folder.iterdir():
        file.unlink()
"""


def test_a_truly_full_disk_is_told_whichever_library_was_writing(tmp_path: Path) -> None:
    script = f"mount -t tmpfs -o size=1m none {tmp_path} && exec {sys.executable} -c '{TMPFS}' {tmp_path}"
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", script]
    if shutil.which("unshare") is None or subprocess.run([*command[:3], "true"], check=False).returncode:
        pytest.skip("mount namespaces are not allowed here")
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_a_killed_attempt_left_half_written_is_cleared_away(session: Session) -> None:
    litter = session.folder / "checkpoints" / ".unfinished-abc"
    litter.mkdir(parents=True)
    (litter / "optimizer.pt").write_text("half")
    session.run()

    assert not litter.exists()


def test_a_stop_is_quick_even_in_a_long_rollout(session: Session) -> None:
    session.config = tiny_config(training={"max_new_tokens": 100_000, "max_sequence_length": 1_000_000})
    session.train_rows = [question(n) for n in range(2)]
    began = time.monotonic()
    outcome, _ = session.run(stop=lambda recorded: time.monotonic() - began > 2)

    assert outcome.status == "stopped"
    assert time.monotonic() - began < 12

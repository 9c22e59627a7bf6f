"""An export is compared with its adapter: formulas, the llama.cpp runtime, whole checks in their child process."""

import io
import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command

from accounts.models import Team
from datasets_app import importing
from exports import building, checks, formats, parity
from exports.models import Check, Export, Verdict
from exports.parity import Answered, Asked
from exports.tasks import CHECKS
from jobs import running
from jobs.choices import JobStatus
from tests.exports.fixtures import MakeSession
from tests.exports.test_building import built, needs_library
from training.engine.problems import EngineError
from training.models import Session

ROWS = 12


def answers(texts: Sequence[str], correct: Sequence[bool | None], log_probability: float = -1.0) -> list[Answered]:
    return [
        Answered(
            [ord(letter) for letter in text], text, log_probability, right, None if right is None else float(right)
        )
        for text, right in zip(texts, correct, strict=True)
    ]


def result_of(ours: list[Answered], theirs: list[Answered]) -> dict[str, Any]:
    return parity.compared([Asked(row, "?", "!") for row in range(len(ours))], ours, theirs)


def test_the_same_answers_are_as_good() -> None:
    ours = answers(["ab", "cd"], [True, False])
    found = result_of(ours, ours)
    assert found["identical"]["share"] == 1
    assert (found["log_probability_difference"], found["perplexity_ratio"]) == (0, 1)
    assert parity.judged(found).verdict == Verdict.AS_GOOD


def test_less_likely_answers_are_degraded_even_if_every_score_is_the_same() -> None:
    texts, right = ["ab", "cd"], [True, True]
    found = result_of(answers(texts, right, -1.0), answers(texts, right, -1.0 - 2 * 0.11))
    assert found["log_probability_difference"] == pytest.approx(-0.11)
    assert found["perplexity_ratio"] == pytest.approx(math.exp(0.11))
    judged = parity.judged(found)
    assert judged.verdict == Verdict.DEGRADED
    assert "0.110 nats a token, and the limit is 0.1" in judged.reason


def test_a_shown_drop_of_right_answers_is_degraded_and_one_that_may_be_chance_is_not() -> None:
    ours = answers(["a"] * 64, [True] * 64)
    shown = parity.judged(result_of(ours, answers(["b"] * 64, [False] * 16 + [True] * 48)))
    assert shown.verdict == Verdict.DEGRADED
    assert "points fewer right answers" in shown.reason
    chance = parity.judged(result_of(ours, answers(["b"] * 64, [False] + [True] * 63)))
    assert chance.verdict == Verdict.AS_GOOD


def test_answers_that_nobody_could_judge_leave_no_scores() -> None:
    ours = answers(["a", "b"], [None, None])
    found = result_of(ours, ours)
    assert found["accuracy_difference"] is None and found["adapter"]["reward"] is None
    assert parity.judged(found).verdict == Verdict.AS_GOOD


# In the real child processes


@pytest.fixture
def checked_session(make_trained: MakeSession, team: Team) -> Session:
    lines = [{"question": f"what is {n} plus {n + 1}?", "answer": str(2 * n + 1)} for n in range(4 * ROWS)]
    file = io.BytesIO("\n".join(map(json.dumps, lines)).encode())
    version = importing.import_jsonl(team, None, "Sums", file)
    version.split = {"seed": 1, "held_out": ROWS}
    version.save()
    session = make_trained(dataset_version=version)
    session.config["dataset"] |= {"instruction_field": "question", "response_field": "answer"}
    session.save()
    return session


def checked(export: Export) -> Check:
    assert running.run(CHECKS, str(export.parity.pk if export.parity else ""))
    row = Check.objects.select_related("export").get(export=export)
    assert row.status == JobStatus.READY, row.error
    return row


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("rung", "in_this_process")
def test_good_files_pass_and_one_whose_weights_are_broken_does_not(checked_session: Session) -> None:
    needs_library()
    f16 = checked(built(checked_session, "gguf", "f16"))
    assert (f16.verdict, f16.result["questions"], f16.result["differing_prompts"]) == (Verdict.AS_GOOD, ROWS, 0), (
        f16.reason
    )
    assert f16.result["identical"]["share"] > 0.8
    assert abs(f16.result["log_probability_difference"]) < 0.01
    assert f16.result["adapter"]["reward"] and f16.result["export"]["reward"]
    (kept,) = f16.export.folder.glob(".reference-*.json")
    made_at = kept.stat().st_mtime_ns
    adapter = checked(built(checked_session, "adapter"))
    assert (adapter.verdict, adapter.result["identical"]["share"]) == (Verdict.AS_GOOD, 1)
    assert [file.stat().st_mtime_ns for file in f16.export.folder.glob(".reference-*")] == [made_at], "computed once"
    export = Export.objects.get(pk=f16.export_id)
    readme = building.artefact_folder(export) / "README.md"
    assert "As good: " in readme.read_text() and "nats a token" in readme.read_text()
    assert readme.stat().st_size == next(entry["size"] for entry in export.files if entry["name"] == "README.md")
    spoil(f16.export)
    checks.start(f16.export)
    again = checked(Export.objects.get(pk=f16.export_id))
    assert again.verdict == Verdict.DEGRADED
    assert again.needs_sign_off and again.differing


def spoil(export: Export) -> None:
    """One matrix of the file gets other numbers, as a quantisation that went wrong would leave them."""
    import numpy as np
    from gguf import GGUFReader

    reader = GGUFReader(str(export.folder / export.file), "r+")
    tensor = next(tensor for tensor in reader.tensors if tensor.name == "blk.0.ffn_down.weight")
    tensor.data[:] = np.random.default_rng(0).normal(0, 0.2, tensor.data.shape).astype(tensor.data.dtype)
    reader.data.flush()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("rung")
def test_the_command_checks_the_merged_model_and_says_so_on_standard_error(
    checked_session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("export", str(checked_session.pk), "--format", "merged")
    said = capsys.readouterr()
    assert "As good." in said.err
    assert Path(said.out.strip().splitlines()[-1]).is_dir()
    row = Check.objects.get()
    assert row.verdict == Verdict.AS_GOOD
    assert abs(row.result["log_probability_difference"]) < 0.05


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("rung", "in_this_process")
def test_without_held_out_rows_it_says_why_it_was_not_checked(
    make_trained: MakeSession, capsys: pytest.CaptureFixture[str]
) -> None:
    session = make_trained()
    call_command("export", str(session.pk), "--format", "adapter", "--no-check")
    assert not Check.objects.exists()
    call_command("export", str(session.pk), "--format", "adapter")
    row = Check.objects.get()
    assert (row.status, row.verdict) == (JobStatus.READY, Verdict.NOT_CHECKED)
    assert "held-out rows" in row.reason
    assert "Not checked." in capsys.readouterr().err


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("rung", "in_this_process")
def test_a_check_that_ended_does_not_stop_the_download_of_what_is_whole(checked_session: Session) -> None:
    export = built(checked_session, "adapter")
    row = checks.start(export)
    assert checks.cancel(row)
    row.refresh_from_db()
    assert (row.verdict, row.reason) == (Verdict.NOT_CHECKED, "The check was cancelled.")
    assert not checks.needs_sign_off(Export.objects.get(pk=export.pk))
    assert checks.start(export).status == JobStatus.QUEUED, "it can be asked for again"


def test_the_limits_are_settings() -> None:
    assert settings.PARITY_PROMPTS == 64
    assert 0 < settings.PARITY_LOG_PROBABILITY_DROP < 1


# The runtime


@pytest.fixture(scope="module")
def gguf_file(tiny_base: Path, tiny_adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs_library()
    from exports import gguf_files
    from training.engine.merging import merge

    folder = tmp_path_factory.mktemp("gguf")
    merge(str(tiny_base), tiny_adapter, folder / "merged", "float16")
    gguf_files.convert(folder / "merged", folder / "model-f16.gguf", "f16", "tiny", 1, lambda share: None)
    return folder / "model-f16.gguf"


MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "what is 3 plus 4?"}]


def test_the_runtime_reads_renders_answers_and_scores_as_transformers_does(gguf_file: Path) -> None:
    import numpy as np

    from exports.llama_runtime import LlamaModel
    from exports.references import Torch
    from training.engine import loading, prompting
    from training.engine.generation import Sampling
    from training.engine.problems import Stopper, never

    theirs = Torch(*loading.load_for_generation(str(gguf_file.parent / "merged"), None))
    ours = LlamaModel(gguf_file)
    text = prompting.render(theirs.tokenizer, MESSAGES)
    assert ours.render(MESSAGES) == text
    prompts = [text, text.replace("3 plus 4", "20 plus 13"), text]
    ids = [prompting.encode(theirs.tokenizer, prompt) for prompt in prompts]
    assert [ours.encode(prompt) for prompt in prompts] == ids
    expected = theirs.greedy(ids, 12, Stopper(never))
    found = ours.complete(ids, Sampling(12), np.random.default_rng(0), Stopper(never))
    assert [row.ids for row in found] == [tokens for tokens, _ in expected]
    answers = ours.answer(prompts, Sampling(12), seed=0, batch_size=2)
    assert [answer.tokens for answer in answers] == [len(tokens) for tokens, _ in expected]
    assert ours.decode(ours.encode("<|im_start|>what is 3 plus 4?<|im_end|>")).strip() == "what is 3 plus 4?"
    for prompt, (tokens, _) in zip(ids, expected, strict=True):
        assert sum(ours.log_probabilities(prompt, tokens)) == pytest.approx(
            theirs.log_probability(prompt, tokens), abs=0.05
        )
    ours.close()


def test_the_runtime_samples_by_seed_and_stops_where_it_is_told(gguf_file: Path) -> None:
    from exports.llama_runtime import LlamaModel
    from training.engine.generation import Sampling
    from training.engine.problems import StopRequested

    model = LlamaModel(gguf_file)
    text, drawn = model.render(MESSAGES), Sampling(16, temperature=1.5, top_p=0.95, top_k=100, min_p=0.001)
    first, same, other = (model.answer([text], drawn, seed=seed, batch_size=1)[0].text for seed in (1, 1, 2))
    assert first == same != other
    told: list[str] = []
    whole = model.stream(text, Sampling(16), seed=0, on_text=told.append)
    assert told and whole.text.startswith(told[0])
    stop = whole.text[3:6]
    assert (
        model.stream(text, Sampling(16), seed=0, stops=[stop], on_text=told.append).text
        == whole.text.partition(stop)[0]
    )
    with pytest.raises(StopRequested):
        model.answer([text], Sampling(16), seed=0, batch_size=1, should_stop=lambda: True)
    model.close()


def test_every_quantisation_on_offer_is_made_and_answers(gguf_file: Path, tmp_path: Path) -> None:
    from exports import gguf_files, llama_runtime

    sizes = {}
    for choice in formats.ALL:
        if choice.format != "gguf" or choice.quantization == "f16":
            continue
        out = tmp_path / choice.gguf_name
        gguf_files.quantize(gguf_file, out, choice)
        assert gguf_files.check(out, choice).file_type == choice.file_type
        llama_runtime.try_out(out)
        sizes[choice.quantization] = out.stat().st_size
        out.unlink()
    assert len(sizes) == 17
    assert sizes["q2_k"] < sizes["q4_k_m"] < sizes["q6_k"] < sizes["q8_0"] < sizes["bf16"]


def test_a_file_that_is_no_model_is_refused_in_words(tmp_path: Path) -> None:
    needs_library()
    from exports import llama_runtime

    (tmp_path / "model.gguf").write_bytes(b"GGUF and nothing more")
    with pytest.raises(EngineError, match=r"can't load model\.gguf"):
        llama_runtime.try_out(tmp_path / "model.gguf")


# Several at once


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("in_this_process")
def test_several_files_are_made_of_one_f16_file_which_then_goes(session: Session, rung: list[str]) -> None:
    needs_library()
    from exports.tasks import KIND

    wanted = [building.keyed(key) for key in ("gguf-q8_0", "gguf-q4_0", "gguf-q6_k")]
    found = building.create_all(session, None, wanted)
    assert len(rung) == 3
    folder = found[0].folder
    assert running.run(KIND, rung[0])
    (shared,) = folder.glob(".shared-*")
    made_at = (shared / "model-f16.gguf").stat().st_mtime_ns
    assert running.run(KIND, rung[1])
    assert (shared / "model-f16.gguf").stat().st_mtime_ns == made_at
    assert running.run(KIND, rung[2])
    assert not list(folder.glob(".*")), "what was shared is gone"
    assert {export.status for export in Export.objects.all()} == {JobStatus.READY}
    assert len(list(folder.glob("*/Modelfile"))) == 3


@pytest.mark.django_db
def test_several_that_do_not_fit_together_are_all_refused(
    session: Session, rung: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [building.keyed(key) for key in ("merged", "gguf-f16", "gguf-q8_0")]
    usage = shutil.disk_usage(settings.EXPORTS_DIR)
    weights = formats.parameters(session)
    one = formats.needed_space(wanted[:1], weights, session.adapter)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=one + 1))
    building.create_all(session, None, wanted[:1])
    with pytest.raises(building.ExportProblem, match="these 2 formats need about"):
        building.create_all(session, None, wanted)
    assert Export.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.usefixtures("rung", "in_this_process")
def test_an_export_can_be_asked_as_any_model_by_who_may_see_its_session(
    session: Session, gguf_file: Path, owner: User, outsider: User
) -> None:
    from evaluation import answerers, candidates
    from training.engine.generation import Sampling

    export = building.create(session, None, "gguf", "f16")
    folder = building.artefact_folder(export)
    folder.mkdir(parents=True)
    shutil.copyfile(gguf_file, folder / "model-f16.gguf")
    key, theirs = f"export:{export.pk}", candidates.visible_to(owner)
    with pytest.raises(candidates.NoSuchCandidate):
        candidates.named(theirs, key)
    Export.objects.filter(pk=export.pk).update(status=JobStatus.READY, file=f"{folder.name}/model-f16.gguf")
    assert key in [choice.value for choice in candidates.offered(theirs, "")]
    for sessions, name in ((candidates.visible_to(outsider), key), (theirs, "export:../../etc/passwd")):
        with pytest.raises(candidates.NoSuchCandidate):
            candidates.named(sessions, name)
    found = candidates.restored(candidates.named(theirs, key).stored)
    assert answerers.weight_bytes(found) == gguf_file.stat().st_size
    model = answerers.load(found)
    assert model.answer([model.render(MESSAGES)], Sampling(3), seed=0, batch_size=1)[0].tokens <= 3
    building.delete(export)
    with pytest.raises(EngineError, match="was deleted"):
        answerers.load(found)

"""Artefacts are really built and read back (S11.1, S11.2). test_jobs.py has the real child processes."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from exports import building, formats, gguf_files
from exports.models import Export
from exports.problems import ExportProblem
from exports.tasks import KIND
from jobs import running
from jobs.choices import JobStatus
from tests.exports import tiny
from training.models import Session

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("rung", "in_this_process")]


def built(session: Session, format: str, quantization: str = "") -> Export:
    export = building.create(session, None, format, quantization)
    assert running.run(KIND, str(export.pk))
    export.refresh_from_db()
    assert export.status == JobStatus.READY, export.error
    return export


def on_disk(export: Export, name: str) -> Path:
    return building.artefact_folder(export) / name


def needs_library() -> None:
    if formats.has_library():
        return
    if os.environ.get("CI", "").lower() in ("1", "true") and shutil.which("g++"):
        pytest.fail(f"llama_cpp is missing although this machine can build it. {formats.INSTALL_LIBRARY}")
    pytest.skip(f"llama_cpp is missing, so K-quants can't be made here. {formats.INSTALL_LIBRARY}")


def test_adapter_is_copied_with_a_card_and_without_the_path_of_this_machine(session: Session) -> None:
    session.config["model"]["name"] = "owner/base"
    Session.objects.filter(pk=session.pk).update(config=session.config)
    export = built(session, "huggingface")
    names = {entry["name"] for entry in export.files}
    assert {"adapter_config.json", "adapter_model.safetensors", "README.md", "run-manifest.json"} <= names
    manifest = json.loads(on_disk(export, "run-manifest.json").read_text())
    assert manifest["session"]["id"] == str(export.session_id)
    assert str(settings.DATA_DIR) not in json.dumps(manifest) and manifest["config"]["model"]["name"] == "owner/base"
    assert json.loads(on_disk(export, "adapter_config.json").read_text())["base_model_name_or_path"] == "owner/base"
    card = on_disk(export, "README.md").read_text()
    assert 'base_model: "owner/base"' in card
    assert "| With adapter |" in card
    assert "Better:" in card


def test_every_file_is_recorded_with_its_size_and_checksum(session: Session) -> None:
    export = built(session, "adapter")
    on_disk_names = {file.name for file in building.artefact_folder(export).iterdir()}
    assert {entry["name"] for entry in export.files} == on_disk_names
    for entry in export.files:
        data = on_disk(export, entry["name"]).read_bytes()
        assert (entry["size"], entry["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert export.size == sum(entry["size"] for entry in export.files)
    assert export.sha256 == next(e["sha256"] for e in export.files if e["name"] == "adapter_model.safetensors")
    assert not building.parts(export.folder, str(export.pk))


def test_merged_model_is_one_safetensors_model_with_its_tokenizer(session: Session) -> None:
    export = built(session, "merged")
    names = {entry["name"] for entry in export.files}
    assert {"model.safetensors", "config.json", "tokenizer.json", "README.md"} <= names
    assert "adapter_model.safetensors" not in names


def check_gguf(export: Export) -> gguf_files.Header:
    file = on_disk(export, f"model-{export.quantization}.gguf")
    assert export.file == f"{file.parent.name}/{file.name}"
    header = gguf_files.read_header(file)
    assert header.architecture == "llama"
    assert header.tensors == 20
    assert header.chat_template == tiny.CHAT_TEMPLATE
    assert header.eos == 4
    assert {entry["name"] for entry in export.files} == {file.name, "Modelfile", "README.md", "run-manifest.json"}
    return header


def test_f16_answers_in_llama_cpp_as_the_adapter_does_in_torch_and_q4_k_m_is_made_from_it(
    session: Session, tiny_adapter: Path
) -> None:
    export = built(session, "gguf", "f16")
    header = check_gguf(export)
    assert (header.file_type, header.tensor_types) == (1, {"F32", "F16"})
    file = on_disk(export, "model-f16.gguf")
    check_refusals(file)
    needs_library()
    check_answers(file, session.config["model"]["name"], tiny_adapter)
    smaller = built(session, "gguf", "q4_k_m")
    header = check_gguf(smaller)
    assert header.file_type == 15
    assert "Q4_K" in header.tensor_types
    assert "FROM ./model-q4_k_m.gguf\n" in on_disk(smaller, "Modelfile").read_text()


def check_refusals(f16_file: Path) -> None:
    """A file that is not what its name says is refused."""
    q8_0, f16 = formats.choice("gguf", "q8_0"), formats.choice("gguf", "f16")
    assert q8_0 and f16
    with pytest.raises(ExportProblem, match="file type 1, not 7"):
        gguf_files.check(f16_file, q8_0)
    with pytest.raises(ExportProblem, match="holds 20 tensors, 21 were expected"):
        gguf_files.check(f16_file, f16, tensors=21)


def check_answers(file: Path, base: str, adapter: Path) -> None:
    import llama_cpp
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    tokens = list(range(265, 295))
    runtime = llama_cpp.Llama(str(file), n_ctx=64, logits_all=True, verbose=False)
    runtime.eval(tokens)
    found = torch.tensor(runtime.scores[: len(tokens)])
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), str(adapter))
    with torch.no_grad():
        assert (found - model(torch.tensor([tokens])).logits[0]).abs().max() < 0.05


def test_q5_k_m_from_nothing(session: Session) -> None:
    needs_library()
    header = check_gguf(built(session, "gguf", "q5_k_m"))
    assert header.file_type == 17
    assert "Q5_K" in header.tensor_types


def test_a_converter_that_fails_says_why_and_leaves_nothing(session: Session, tiny_base: Path, tmp_path: Path) -> None:
    base = tmp_path / "unknown"
    shutil.copytree(tiny_base, base)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "architectures": ["LlamaForCausalLM"]}))
    # A tokenizer of a kind that llama.cpp has never seen.
    tokenizer = json.loads((base / "tokenizer.json").read_text())
    tokenizer["model"]["byte_fallback"] = False
    (base / "tokenizer.json").write_text(json.dumps(tokenizer))
    session.config["model"]["name"] = str(base)
    Session.objects.filter(pk=session.pk).update(config=session.config)
    export = building.create(session, None, "gguf", "f16")
    running.run(KIND, str(export.pk))
    export.refresh_from_db()
    assert export.status == JobStatus.FAILED
    assert "tokenizer" in export.error
    assert list(export.folder.iterdir()) == []


def test_disk_that_is_too_full_is_refused_with_figures(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(settings.EXPORTS_DIR)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    with pytest.raises(ExportProblem) as caught:
        building.create(session, None, "gguf", "q8_0")
    assert "needs about" in caught.value.message
    assert "1 MB are free" in caught.value.message
    assert not Export.objects.exists()


def test_disk_that_fills_up_while_building_leaves_nothing_half_written(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    from exports import artefacts

    export = building.create(session, None, "merged")
    Export.objects.filter(pk=export.pk).update(status=JobStatus.RUNNING, attempt=1)
    export.refresh_from_db()

    def full(session: Session, adapter: Path, folder: Path, dtype: str) -> Path:
        (folder / "model.safetensors").write_bytes(b"half")
        raise RuntimeError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(artefacts, "_merge", full)
    artefacts.build(export)
    export.refresh_from_db()
    assert (export.status, export.error[:17]) == (JobStatus.FAILED, "The disk is full.")
    assert list(export.folder.iterdir()) == []


def test_a_result_that_comes_too_late_is_thrown_away(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    from exports import artefacts

    export = building.create(session, None, "adapter")
    Export.objects.filter(pk=export.pk).update(status=JobStatus.RUNNING, attempt=1)
    export.refresh_from_db()
    copy = artefacts._adapter

    def overtaken(*args: object) -> None:
        copy(*args)  # type: ignore[arg-type]
        Export.objects.filter(pk=export.pk).update(attempt=2)

    monkeypatch.setattr(artefacts, "_adapter", overtaken)
    with pytest.raises(running.Lost):
        artefacts.build(export)
    export.refresh_from_db()
    assert (export.status, export.sha256) == (JobStatus.RUNNING, "")
    assert list(export.folder.iterdir()) == []


def test_a_format_whose_tool_is_missing_is_refused_with_how_to_install_it(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "has_library", lambda: False)
    with pytest.raises(ExportProblem, match="requirements-gguf"):
        building.create(session, None, "gguf", "q4_k_m")
    monkeypatch.setattr(settings, "CONVERTER_DIR", Path("/nowhere"))
    with pytest.raises(ExportProblem, match="requirements-converter"):
        building.create(session, None, "gguf", "q8_0")
    assert not Export.objects.exists()


@pytest.mark.parametrize(
    ("format", "quantization"), [("gguf", "q9"), ("onnx", ""), ("../../etc", ""), ("gguf", "../x")]
)
def test_an_unknown_format_is_refused_with_the_known_ones(session: Session, format: str, quantization: str) -> None:
    with pytest.raises(ExportProblem, match="Choose one of: adapter, merged, gguf f16"):
        building.create(session, None, format, quantization)


def test_the_same_export_is_not_built_twice_until_the_adapter_changes(session: Session, rung: list[str]) -> None:
    first = building.create(session, None, "adapter")
    assert building.create(session, None, "peft") == first
    running.run(KIND, str(first.pk))
    assert building.create(session, None, "adapter") == first
    assert rung == [str(first.pk)]
    weights = session.adapter / "adapter_model.safetensors"
    later = first.created_at.timestamp() + 60
    os.utime(weights, (later, later))
    assert building.create(session, None, "adapter") != first


def test_a_session_without_adapter_can_not_be_exported(make_trained) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ExportProblem, match="no adapter yet"):
        building.create(make_trained(adapter=False), None, "adapter")


def test_deleting_removes_row_and_files(session: Session) -> None:
    export = built(session, "adapter")
    folder = building.artefact_folder(export)
    assert folder.is_dir()
    building.delete(export)
    assert not folder.exists()
    assert not Export.objects.exists()


def test_the_command_builds_q8_0_with_its_modelfile_and_prints_the_path_last(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("export", str(session.pk), "--format", "gguf", "--quantization", "q8_0")
    path = Path(capsys.readouterr().out.strip().splitlines()[-1])
    export = Export.objects.get()
    assert path == on_disk(export, "model-q8_0.gguf")
    header = check_gguf(export)
    assert (header.file_type, header.tensor_types) == (7, {"F32", "Q8_0"})
    text = (path.parent / "Modelfile").read_text()
    assert "FROM ./model-q8_0.gguf\n" in text
    assert "<|im_start|>user\n{{ .Prompt }}<|im_end|>\n<|im_start|>assistant\n{{ .Response }}<|im_end|>" in text
    assert 'SYSTEM """Answer with a number between <SOLUTION> and </SOLUTION>."""' in text
    assert 'PARAMETER stop "<|im_end|>"' in text
    assert "PARAMETER num_ctx 200" in text


def test_a_chat_template_of_the_sessions_own_is_in_the_gguf_and_in_its_modelfile(session: Session) -> None:
    own = (
        "{% for m in messages %}[{{ m.role }}: {{ m.content }}]{% endfor %}"
        "{% if add_generation_prompt %}[assistant: {% endif %}"
    )
    session.config["prompt"]["chat_template"] = own
    Session.objects.filter(pk=session.pk).update(config=session.config)
    export = built(session, "gguf", "q8_0")
    assert gguf_files.read_header(on_disk(export, "model-q8_0.gguf")).chat_template == own
    text = on_disk(export, "Modelfile").read_text()
    assert "[user: {{ .Prompt }}][assistant: {{ .Response }}]" in text


@pytest.mark.parametrize(
    ("session_id", "format", "words"), [("no-id", "gguf", "no session"), (None, "onnx", "no export")]
)
def test_the_command_says_what_is_wrong(session: Session, session_id: str | None, format: str, words: str) -> None:
    with pytest.raises(CommandError, match=words):
        call_command("export", session_id or str(session.pk), "--format", format)


def test_gguf_without_a_quantization_is_q8_0() -> None:
    assert building.resolve("gguf").quantization == "q8_0"
    assert building.resolve("huggingface").format == "adapter"

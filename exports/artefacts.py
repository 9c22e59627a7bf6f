"""Makes the files of an export. Runs in the child process `manage.py build_export` only: it imports torch.

Everything is written into a temporary folder beside its place, fsynced, checked and then renamed: a half-written
artefact is never seen. A build that is interrupted starts again from nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from exports import building, cards, formats, gguf_files, modelfile
from exports.formats import ADAPTER_FILES, Choice, parameters
from exports.models import Export, Format
from exports.problems import ExportProblem
from jobs import running
from jobs.choices import JobStatus
from training import adapters, base_models, manifests
from training.engine.problems import EngineError, is_disk_full, is_out_of_memory
from training.models import Session

log = logging.getLogger(__name__)
Report = Callable[[float, str], None]
RUN_MANIFEST = "run-manifest.json"
F16_NAME = "model-f16.gguf"


def build(export: Export) -> None:
    """Builds and records the outcome. Raises running.Lost if the export was cancelled or taken by another worker."""
    try:
        _build(export)
    except running.Lost:
        raise
    except Exception as error:
        log.exception("Export %s failed", export.pk)
        running.fail(export, _explained(error).sentence)


def _build(export: Export) -> None:
    wanted = formats.choice(export.format, export.quantization)
    adapter = adapters.newest(export.session)
    if wanted is None or adapter is None:
        raise ExportProblem("The adapter of this session is gone.", "Resume or repeat the session.")
    building.check_space(export.session, wanted, adapter)
    for left_over in building.parts(export.folder, str(export.pk)):
        shutil.rmtree(left_over)
    part = building.part_folder(export)
    part.mkdir(parents=True)
    try:
        _make(export, wanted, adapter, part)
        _publish(export, part)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _make(export: Export, wanted: Choice, adapter: Path, part: Path) -> None:
    def report(progress: float, message: str) -> None:
        running.report(export, progress, message)

    makers = {Format.ADAPTER: _adapter, Format.MERGED: _merged, Format.GGUF: _gguf}
    makers[Format(wanted.format)](export, wanted, adapter, part, report)


def _adapter(export: Export, wanted: Choice, adapter: Path, part: Path, report: Report) -> None:
    report(0.1, "Copying the adapter")
    names = [
        *ADAPTER_FILES,
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "special_tokens_map.json",
    ]
    for name in names:
        if (adapter / name).is_file():
            shutil.copyfile(adapter / name, part / name)
    settings_file = part / "adapter_config.json"
    settings = json.loads(settings_file.read_text())
    # Where the base lies on this machine says nothing to whoever gets the adapter.
    settings["base_model_name_or_path"] = export.session.parsed_config.model.name
    settings_file.write_text(json.dumps(settings, indent=2, sort_keys=True))
    _describe(export.session, part, merged=False)


def _merged(export: Export, wanted: Choice, adapter: Path, part: Path, report: Report) -> None:
    report(0.05, "Merging the adapter into the base model")
    _merge(export.session, adapter, part, "bfloat16")
    _describe(export.session, part, merged=True)


def _describe(session: Session, part: Path, *, merged: bool) -> None:
    """How it was made, for people and for who wants to make it again."""
    (part / "README.md").write_text(cards.card(session, merged=merged))
    manifest = json.dumps(manifests.manifest(session), indent=2, ensure_ascii=False)
    (part / RUN_MANIFEST).write_text(manifest, encoding="utf-8")


def _merge(session: Session, adapter: Path, folder: Path, dtype: str) -> Path:
    from training.engine.merging import merge

    config = session.parsed_config
    base, template = base_models.locate(config.model.name), config.prompt.chat_template
    return merge(base, adapter, folder, dtype, revision=config.model.revision, chat_template=template)


def _gguf(export: Export, wanted: Choice, adapter: Path, part: Path, report: Report) -> None:
    ready = None if wanted.converter else _ready_f16(export, adapter)
    if ready:
        _quantized(wanted, ready / F16_NAME, part, report)
        modelfile_text = (ready / "Modelfile").read_text()
        (part / "Modelfile").write_text(modelfile_text.replace(f"FROM ./{F16_NAME}", f"FROM ./{wanted.gguf_name}"))
        return
    report(0.02, "Merging the adapter into the base model")
    # float16, not bf16: F16 keeps three more bits of each weight, and the converter then changes none of them.
    merged = _merge(export.session, adapter, part / "merged", "float16")
    _converted(export, wanted, merged, part, report)
    report(0.95, "Writing the Modelfile")
    (part / "Modelfile").write_text(_modelfile(export.session, merged, part / wanted.gguf_name))
    shutil.rmtree(merged)


def _ready_f16(export: Export, adapter: Path) -> Path | None:
    """The folder of an F16 export of the same adapter: quantising starts from it, without torch."""
    f16 = formats.choice(Format.GGUF, "f16")
    found = building.existing(export.session, f16, adapter) if f16 else None
    return building.artefact_folder(found) if found and found.status == JobStatus.READY else None


def _converted(export: Export, wanted: Choice, merged: Path, part: Path, report: Report) -> None:
    direct = wanted if wanted.converter else formats.choice(Format.GGUF, "f16")
    assert direct is not None
    out = part / direct.gguf_name
    expected = int((parameters(export.session) or 0) * direct.bits / 8)

    def converting(share: float) -> None:
        report(0.35 + 0.4 * share, f"Converting to {direct.title}")

    gguf_files.convert(merged, out, direct.quantization, export.session.name[:100], expected, converting)
    if direct is wanted:
        gguf_files.check(out, wanted)
    else:
        _quantized(wanted, out, part, report)
        out.unlink()


def _quantized(wanted: Choice, source: Path, part: Path, report: Report) -> None:
    header = gguf_files.read_header(source)
    report(0.8, f"Quantising to {wanted.quantization.upper()}")
    gguf_files.quantize(source, part / wanted.gguf_name, wanted)
    gguf_files.check(part / wanted.gguf_name, wanted, header.tensors)


def _modelfile(session: Session, merged: Path, gguf: Path) -> str:
    from transformers import AutoTokenizer

    from training.engine import prompting

    tokenizer = AutoTokenizer.from_pretrained(str(merged), trust_remote_code=False)

    def render(messages: list[dict[str, str]], answer_next: bool) -> str:
        if answer_next:
            return prompting.render(tokenizer, messages)
        return str(tokenizer.apply_chat_template(messages, tokenize=False))

    config = session.parsed_config
    # Only a begin token that llama.cpp adds itself is left out: SmolLM2's is the <|im_start|> of its template.
    bos = tokenizer.bos_token or "" if gguf_files.read_header(gguf).adds_bos else ""
    made = modelfile.ollama(render, bos)
    note = f"{' '.join(session.name.split())}: made by LoRA Craft. Use: ollama create my-model -f Modelfile"
    if not made.exact:
        note += "\nThis model has no chat template that can be written for Ollama: the text is passed on as it is."
    return modelfile.write(
        gguf.name,
        made.template,
        system=config.prompt.rendered,
        stops=_stops(merged, tokenizer),
        options={
            "temperature": config.training.temperature,
            "top_p": config.training.top_p,
            "num_ctx": config.training.max_sequence_length,
            "num_predict": config.training.max_new_tokens,
        },
        note=note,
    )


def _stops(merged: Path, tokenizer: Any) -> list[str]:
    """The end-of-text tokens of the model and its tokenizer, as text."""
    file = merged / "generation_config.json"
    declared = json.loads(file.read_text()).get("eos_token_id") if file.is_file() else None
    ids = declared if isinstance(declared, list) else [declared]
    tokens = [*(tokenizer.convert_ids_to_tokens(i) for i in ids if i is not None), tokenizer.eos_token]
    return [token for token in dict.fromkeys(tokens) if token]


def _publish(export: Export, part: Path) -> None:
    """The row is written last, and only if this attempt still counts."""
    running.report(export, 0.97, "Computing checksums")
    files = [_entry(file) for file in sorted(part.iterdir())]
    main = _main_file(export, files)
    _sync_folder(part)
    final = building.artefact_folder(export)
    shutil.rmtree(final, ignore_errors=True)
    os.replace(part, final)
    _sync_folder(final.parent)
    file = f"{final.name}/{main['name']}" if export.format == Format.GGUF else final.name
    try:
        running.finish(
            export,
            file=file,
            size=sum(f["size"] for f in files),
            sha256=main["sha256"],
            files=[main, *_others(files, main)],
        )
    except running.Lost:
        shutil.rmtree(final, ignore_errors=True)
        raise


def _main_file(export: Export, files: list[dict[str, Any]]) -> dict[str, Any]:
    """The one with the weights, whose checksum stands for the export: the largest."""
    return max(files, key=lambda entry: entry["size"])


def _others(files: list[dict[str, Any]], main: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry for entry in files if entry is not main]


def _entry(file: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
        os.fsync(stream.fileno())
    return {"name": file.name, "size": file.stat().st_size, "sha256": digest.hexdigest()}


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _explained(error: Exception) -> ExportProblem:
    if isinstance(error, ExportProblem):
        return error
    if isinstance(error, EngineError):
        return ExportProblem(error.message, error.hint)
    if is_disk_full(error):
        return ExportProblem("The disk is full.", "Nothing half-written was kept. Free some space and export again.")
    if is_out_of_memory(error):
        return ExportProblem("The memory was full.", "End other work on this machine, then export again.")
    if isinstance(error, OSError):
        return ExportProblem(
            f"A file could not be read or written: {error.strerror or error}.", "See the worker's log."
        )
    return ExportProblem(f"The export failed: {type(error).__name__}.", "The worker's log has the details.")

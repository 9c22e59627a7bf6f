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

from django.db import transaction

from exports import building, cards, checks, formats, gguf_files, llama_runtime, modelfile, sharing
from exports.formats import ADAPTER_FILES, Choice, has_library, parameters
from exports.models import Export, Format
from exports.problems import ExportProblem
from jobs import running
from training import adapters, base_models, manifests
from training.engine.files import sha256_of
from training.engine.problems import EngineError, is_disk_full, is_out_of_memory
from training.models import Session

log = logging.getLogger(__name__)
Report = Callable[[float, str], None]
RUN_MANIFEST = "run-manifest.json"
MODELFILE = "Modelfile"


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
    building.check_space(export.session, [wanted], adapter)
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

    export.adapter_sha256 = sha256_of(adapter / "adapter_model.safetensors")
    running.report(export, 0.01, "Reading the adapter", adapter_sha256=export.adapter_sha256)

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
    _describe(export, part)


def _merged(export: Export, wanted: Choice, adapter: Path, part: Path, report: Report) -> None:
    report(0.05, "Merging the adapter into the base model")
    _merge(export.session, adapter, part, "bfloat16")
    _describe(export, part)


def _describe(export: Export, part: Path) -> None:
    """How it was made, for people and for who wants to make it again."""
    (part / cards.NAME).write_text(cards.card(export))
    manifest = json.dumps(manifests.manifest(export.session), indent=2, ensure_ascii=False)
    (part / RUN_MANIFEST).write_text(manifest, encoding="utf-8")


def _merge(session: Session, adapter: Path, folder: Path, dtype: str) -> Path:
    from training.engine.merging import merge

    config = session.parsed_config
    base, template = base_models.locate(config.model.name), config.prompt.chat_template
    return merge(base, adapter, folder, dtype, revision=config.model.revision, chat_template=template)


def _gguf(export: Export, wanted: Choice, adapter: Path, part: Path, report: Report) -> None:
    source = sharing.source(export) if has_library() else None
    if source is None and wanted.converter and not (has_library() and sharing.is_wanted(export)):
        _converted(export, wanted, adapter, part, report)
    else:
        source = source or _shared(export, adapter, part, report)
        _of_f16(wanted, source, part, report)
    _describe(export, part)
    if has_library():
        report(0.96, "Asking the file a question")
        llama_runtime.try_out(part / wanted.gguf_name)


def _shared(export: Export, adapter: Path, part: Path, report: Report) -> Path:
    """Makes the F16 file that this export is made of, for the others that wait, too."""
    f16, made = formats.choice(Format.GGUF, "f16"), part / "f16"
    assert f16 is not None
    made.mkdir()
    _converted(export, f16, adapter, made, report)
    return sharing.keep(export, made) if sharing.is_wanted(export) else made


def _converted(export: Export, wanted: Choice, adapter: Path, folder: Path, report: Report) -> None:
    """Straight from the converter, with its Modelfile."""
    report(0.02, "Merging the adapter into the base model")
    # float16, not bf16: F16 keeps three more bits of each weight, and the converter then changes none of them.
    merged = _merge(export.session, adapter, folder / "merged", "float16")
    out = folder / wanted.gguf_name
    expected = int((parameters(export.session) or 0) * wanted.bits / 8)

    def converting(share: float) -> None:
        report(0.35 + 0.4 * share, f"Converting to {wanted.title}")

    gguf_files.convert(merged, out, wanted.quantization, export.session.name[:100], expected, converting)
    gguf_files.check(out, wanted)
    report(0.78, "Writing the Modelfile")
    (folder / MODELFILE).write_text(_modelfile(export.session, merged, out))
    shutil.rmtree(merged)


def _of_f16(wanted: Choice, source: Path, part: Path, report: Report) -> None:
    """From the folder of an F16 file, without torch."""
    f16, out = source / sharing.F16_NAME, part / wanted.gguf_name
    tensors = gguf_files.read_header(f16).tensors
    report(0.8, f"Writing {wanted.title}")
    if wanted.quantization == "f16":
        shutil.copyfile(f16, out)
    else:
        gguf_files.quantize(f16, out, wanted)
    gguf_files.check(out, wanted, tensors)
    text = (source / MODELFILE).read_text()
    (part / MODELFILE).write_text(text.replace(f"FROM ./{f16.name}", f"FROM ./{out.name}"))
    if source.parent == part:
        shutil.rmtree(source)


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
        with transaction.atomic():
            running.finish(
                export,
                file=file,
                size=sum(f["size"] for f in files),
                sha256=main["sha256"],
                files=[main, *_others(files, main)],
            )
            if export.wants_check:
                checks.start(export)
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

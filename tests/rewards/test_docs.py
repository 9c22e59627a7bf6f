"""The pages about rewards say what the functions do."""

import importlib.util
import re
from pathlib import Path

from rewards.composition import REGISTRY

ROOT = Path(__file__).resolve().parents[2]


def generator():
    spec = importlib.util.spec_from_file_location("reward_docs", ROOT / "scripts" / "reward_docs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_functions_is_what_the_functions_say():
    made = generator()
    assert made.DOCUMENT.read_text() == made.document(), "run: python scripts/reward_docs.py"


def test_every_function_has_a_section_with_its_parameters_and_examples():
    text = generator().document()
    for function in REGISTRY.values():
        section = re.search(rf"^`{function.name}` · .*?(?=^##|\Z)", text, re.M | re.S)[0]
        assert function.help in section
        assert all(f"| `{name}` |" in section for name in function.parameters.model_fields)
        assert "| answer | reference | parameters | score |" in section, f"{function.name} has no example"


def test_a_cell_breaks_no_table():
    code = generator().code
    assert code("a | b\nc") == "`a \\| b⏎c`"
    assert code("```x```").startswith("`` ") and code(" ") == ""


def test_the_guide_names_only_functions_that_exist():
    text = (ROOT / "docs" / "reward-guide.md").read_text()
    named = set(re.findall(r"`([a-z_]+)`", text))
    known = set(REGISTRY) | {"code_tests", "gate", "clip", "formula", "normalise", "gated_total"}
    assert named <= known, named - known

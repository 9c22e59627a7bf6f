import ast

import pytest
from django.conf import settings

from loracraft.numbers import thousands

APPS = ("accounts", "datasets_app", "evaluation", "exports", "jobs", "loracraft", "rewards", "training")


@pytest.mark.parametrize(
    ("amount", "places", "written"),
    [(999, 0, "999"), (1000, 0, "1\u202f000"), (-1234567, 0, "-1\u202f234\u202f567"), (1234.5, 1, "1\u202f234.5")],
)
def test_thousands_are_set_apart_by_a_space_at_which_no_line_breaks(amount, places, written):
    assert thousands(amount, places) == written


# The name of a dataset is typed by people, too.
NAMES = {"datasets_app/importing.py"}


def test_nothing_formats_thousands_by_hand():
    files = [file for app in APPS for file in (settings.BASE_DIR / app).rglob("*.py")]
    found = {str(file.relative_to(settings.BASE_DIR)) for file in files if any(map(sets_commas, formats_of(file)))}
    assert found == NAMES | {"loracraft/numbers.py"}


def formats_of(file):
    return [node.format_spec for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FormattedValue)]


def sets_commas(spec):
    parts = [part.value for part in spec.values if isinstance(part, ast.Constant)] if spec else []
    return "".join(parts).startswith(",")

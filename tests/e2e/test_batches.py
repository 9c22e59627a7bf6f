"""A batch test in a real browser: a file with a faulty line, a tiny model that answers it, the table and its export."""

import json
import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.app import App
from tests.e2e.conftest import sign_in

pytestmark = pytest.mark.e2e
ANSWER_TIMEOUT = 240_000
CSV = b"ask,right\nwhat is 3 plus 4?,7\n,9\nwhat is 5 plus 5?,10\nwhat is 2 plus 2?,4\n"


def test_a_file_is_answered_looked_through_exported_and_deleted(app: App, page: Page, tiny_model: Path) -> None:
    shutil.copytree(tiny_model, app.data / "models" / "tiny")
    problems = list[str]()
    page.on("pageerror", lambda error: problems.append(str(error)))
    sign_in(app, page, "/batches/")
    page.get_by_role("link", name="New batch test").click()
    page.locator("[name=upload]").set_input_files({"name": "sums.csv", "mimeType": "text/csv", "buffer": CSV})
    page.get_by_label("Column of the prompts").select_option("ask")
    expect(page.get_by_text("Line 3, column “ask”: there is no prompt.").first).to_be_visible()
    page.get_by_label("Column of the reference answers").select_option("right")
    expect(page.get_by_text("3 with a reference answer")).to_be_visible()
    page.get_by_role("radio", name=re.compile("^tiny")).check()
    page.get_by_label("New tokens").fill("8")
    page.get_by_label("Reward").select_option(label="Math, short answer")
    page.get_by_role("button", name="Start the batch test").click()
    expect(page.get_by_text("or leave them out")).to_be_visible()
    expect(page.get_by_label("New tokens")).to_have_value("8")
    page.get_by_label("Leave these lines out").check()
    page.get_by_role("button", name="Start the batch test").click()

    expect(page.get_by_text("3 rows, ended")).to_be_visible(timeout=ANSWER_TIMEOUT)
    rows = page.locator("main tbody tr")
    expect(rows).to_have_count(3)
    page.locator("main input[type=search]").fill("5 plus 5")
    page.locator("main input[type=search]").press("Enter")
    expect(rows).to_have_count(1)
    rows.get_by_role("link").first.click()
    expect(page.get_by_text("Prompt as the model saw it")).to_be_visible()
    expect(page.get_by_text("Line 4 of sums.csv")).to_be_visible()
    page.go_back()
    with page.expect_download() as download:
        page.get_by_role("link", name="JSON").click()
    exported = json.loads(Path(download.value.path()).read_text())
    assert [row["reference"] for row in exported["rows"]] == ["7", "10", "4"]
    page.get_by_role("button", name="Delete").first.click()
    page.get_by_role("dialog").get_by_role("button", name=re.compile("Delete")).click()
    expect(page.get_by_text("No batch test yet")).to_be_visible()
    assert not problems

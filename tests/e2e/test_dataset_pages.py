"""A dataset's life on its pages in a real browser: mapped by hand, searched, split, filtered, and a prompt for it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.app import App
from tests.e2e.conftest import sign_in

pytestmark = pytest.mark.e2e
ROWS = 60
TIMEOUT = 20_000


@pytest.fixture
def signed_in(app: App, page: Page) -> Iterator[Page]:
    problems = list[str]()
    page.on("pageerror", lambda error: problems.append(str(error)))
    sign_in(app, page, "/datasets/")
    yield page
    assert not problems


def uploaded(app: App, page: Page, file: Path) -> str:
    """The address of the dataset's page."""
    page.goto(f"{app.url}/datasets/upload/")
    page.locator("#id_file").set_input_files(file)
    page.get_by_role("button", name="Upload and check").click()
    page.wait_for_url(re.compile(r"/datasets/(?!imports|upload)[0-9a-f-]{36}/"), timeout=60_000)
    return page.url.split("?")[0]


def test_columns_that_say_nothing_are_mapped_split_and_filtered_by_hand(
    app: App, signed_in: Page, tmp_path: Path
) -> None:
    page, file = signed_in, tmp_path / "letters.csv"
    lines = [f"Add {n} and 1 for me,The sum is {n + 1},{n % 3}\n" for n in range(ROWS)]
    file.write_text("".join(["zz,yy,xx\n", *lines, "Add 1 and 1 for me,The sum is 2,1\n"]))
    address = uploaded(app, page, file)

    page.goto(f"{address}?tab=mapping")
    page.get_by_label("Question required").select_option("zz")
    page.get_by_label("Answer required", exact=True).select_option("yy")
    preview = page.locator("#preview")
    expect(preview).to_contain_text("Add 0 and 1 for me", timeout=TIMEOUT)
    page.get_by_label("Final answer").select_option(label="The last number")
    expect(preview.locator(".given, pre, .mono").filter(has_text=re.compile(r"^\s*1\s*$")).first).to_be_visible()
    page.get_by_role("button", name="Save columns").click()
    expect(page.locator(".compatibility")).to_contain_text(f"{ROWS + 1} of {ROWS + 1} rows")

    page.get_by_label("Test", exact=True).fill("6")
    page.get_by_label("Validation", exact=True).fill("6")
    page.get_by_role("button", name="Save split").click()
    expect(page.get_by_text("6 rows, the held-out questions")).to_be_visible()

    page.goto(f"{address}?tab=versions")
    page.get_by_text("Rows that are the same in every column").click()
    dry_run = page.locator("#dry-run")
    expect(dry_run.locator(".dry-run-kept")).to_contain_text(str(ROWS), timeout=TIMEOUT)
    page.get_by_role("button", name="Make the new version").click()
    expect(page.get_by_text("You look at version")).to_have_count(0)
    page.wait_for_url(re.compile(r"/datasets/[0-9a-f-]{36}/"), timeout=60_000)
    page.goto(f"{address}?tab=versions")
    expect(page.get_by_role("link", name="Version 2")).to_be_visible(timeout=TIMEOUT)
    [[kept]] = app.rows("select row_count from datasets_app_datasetversion where number = 2")
    assert kept == ROWS
    [[before]] = app.rows("select row_count from datasets_app_datasetversion where number = 1")
    assert before == ROWS + 1, "the first version stays as it was"


def test_rows_are_searched_opened_and_walked_with_the_keyboard(app: App, signed_in: Page, tmp_path: Path) -> None:
    page, file = signed_in, tmp_path / "capitals.jsonl"
    file.write_text("".join(f'{{"question": "Capital {n}?", "answer": "City {n}"}}\n' for n in range(ROWS)))
    address = uploaded(app, page, file)
    page.goto(f"{address}?tab=preview")
    expect(page.get_by_text("1 to 20 of 60")).to_be_visible()
    page.keyboard.press("/")
    expect(page.locator("[data-search]")).to_be_focused()
    page.keyboard.type("City 4")
    expect(page.locator("[data-search]")).to_have_value("City 4")
    page.keyboard.press("Enter")
    expect(page.get_by_text("City 42")).to_be_visible(timeout=TIMEOUT)
    expect(page.get_by_text("City 39")).to_have_count(0)
    page.locator("[data-search]").evaluate("box => box.blur()")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    opened = page.locator("#row")
    expect(opened).to_contain_text("Capital 4?", timeout=TIMEOUT)
    page.keyboard.press("j")
    expect(opened).to_contain_text("Capital 40?", timeout=TIMEOUT)
    page.keyboard.press("Escape")
    expect(opened).to_be_empty()


def test_a_prompt_template_is_made_checked_and_saved(app: App, signed_in: Page) -> None:
    page = signed_in
    page.goto(f"{app.url}/datasets/prompts/new/")
    page.get_by_label("Name").fill("Short answers")
    page.get_by_label("System prompt").fill("Answer between {solution_start} and {solution_end}.")
    page.get_by_label("Solution starts with").fill("<ANSWER>")
    page.get_by_label("Solution ends with").fill("</ANSWER>")
    expect(page.get_by_text("Answer between <ANSWER> and </ANSWER>.")).to_be_visible(timeout=TIMEOUT)
    page.get_by_text("Chat template of your own").click()
    page.get_by_label("Chat template", exact=False).last.fill("{% for message in messages %}{{ message.content }")
    page.get_by_role("button", name="Create template").click()
    expect(page.locator("#error-chat_template")).to_contain_text("Line 1")
    expect(page.get_by_label("System prompt")).to_have_value("Answer between {solution_start} and {solution_end}.")
    page.get_by_label("Chat template", exact=False).last.fill("")
    page.get_by_role("button", name="Create template").click()
    page.wait_for_url(re.compile(r"/prompts/"))
    [[markers]] = app.rows("select solution_start from datasets_app_prompttemplate where name = 'Short answers'")
    assert markers == "<ANSWER>"

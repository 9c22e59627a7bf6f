"""Paging and searching over all rows, and one row with every cell whole (P3)."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Team
from datasets_app import cells, membership, searching, tables
from datasets_app.models import Dataset, DatasetVersion, Source
from datasets_app.searching import Query
from tests.datasets.conftest import Importer, sums

MILLION = 1_000_000
GROUP = 10_000


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, settings: Any) -> None:
    settings.CACHE_DIR = tmp_path / "cache"


def text(response: Any) -> str:
    found: str = " ".join(response.content.decode().split())
    return found


def visible(response: Any) -> str:
    return re.sub(r"<[^>]+>", "", text(response))


def page(client: Client, version: DatasetVersion, **query: Any) -> Any:
    response = client.get(reverse("datasets:detail", args=[version.dataset_id]), query)
    assert response.status_code == 200
    return response


def rows(client: Client, version: DatasetVersion, **query: Any) -> Any:
    response = client.get(reverse("datasets:rows", args=[version.dataset_id]), query, headers={"HX-Request": "true"})
    assert response.status_code == 200
    return response


def numbers(response: Any) -> list[int]:
    return [number + 1 for number, _ in response.context["table"]]


def stored(team: Team, folder: Path, write: Any, count: int, columns: list[tuple[str, str]]) -> DatasetVersion:
    """A version whose file is written by `write(path)`, past the import: a million rows in a second."""
    write(folder / "rows.parquet")
    dataset = Dataset.objects.create(team=team, name="Many", source=Source.UPLOAD)
    version: DatasetVersion = DatasetVersion.objects.create(
        dataset=dataset,
        file="rows.parquet",
        sha256="0" * 64,
        row_count=count,
        columns=[{"name": name, "type": kind, "filled": 1} for name, kind in columns],
    )
    return version


@pytest.fixture
def million(team: Team, uploads: Path) -> DatasetVersion:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    def write(path: Path) -> None:
        every = pa.array(range(MILLION))
        texts = pc.binary_join_element_wise("What is number ", every.cast(pa.string()), "?", "")
        table = pa.table({"question": texts, "answer": every})
        pq.write_table(table, path, row_group_size=GROUP)

    return stored(team, uploads, write, MILLION, [("question", "text"), ("answer", "integer")])


# Paging


def test_rows_are_paged(owner_client: Client, version: DatasetVersion) -> None:
    assert numbers(page(owner_client, version)) == list(range(1, 21))
    second = rows(owner_client, version, page="2")
    assert numbers(second) == list(range(21, 41))
    assert "<html" not in text(second)
    assert second["HX-Push-Url"] == reverse("datasets:detail", args=[version.dataset_id]) + "?page=2"
    assert numbers(rows(owner_client, version, page="999999")) == list(range(21, 41))


def test_any_row_of_a_million_is_read_without_those_before_it(owner_client: Client, million: DatasetVersion) -> None:
    import pyarrow.parquet as pq

    group = pq.read_metadata(million.path).row_group(98)
    start = min(group.column(0).dictionary_page_offset or 2**62, group.column(0).data_page_offset)
    with million.path.open("r+b") as file:
        file.seek(4)
        file.write(b"\0" * (start - 4))
    response = page(owner_client, million, row="987654")
    assert 987654 in numbers(response)
    assert "What is number 987653?" in visible(response)


@pytest.mark.parametrize(("asked", "opened"), [("7", 7), ("0", 1), ("99999", 40), ("x", None), ("-3", None)])
def test_a_jump_goes_to_the_nearest_row_that_there_is(
    owner_client: Client, version: DatasetVersion, asked: str, opened: int | None
) -> None:
    response = page(owner_client, version, row=asked)
    assert response.context["opened_row"] == opened
    assert ("row" in response.context and bool(response.context.get("row"))) == bool(opened)


# Searching


def test_a_search_looks_at_every_row_and_marks_what_it_found(owner_client: Client, million: DatasetVersion) -> None:
    response = rows(owner_client, million, q="NUMBER 99999")
    found, shown = numbers(response), text(response)
    while response.context["following"]:
        response = rows(owner_client, million, q="NUMBER 99999", **further(response))
        found += numbers(response)
        shown += text(response)
    assert found == [100_000, *range(999_991, 1_000_001)]
    assert shown.count("<mark>number 99999</mark>") == 11
    assert "That is all: 11 rows found." in visible(response)


def further(response: Any) -> dict[str, Any]:
    return {"from": response.context["following"], "seen": response.context["seen"]}


def test_no_request_searches_longer_than_its_time_and_the_next_goes_on(million: DatasetVersion) -> None:
    found = searching.search(million.path, Query("nowhere"), seconds=0)
    assert found.rows == []
    assert found.timed_out
    assert found.following == found.end == tables.BATCH_ROWS
    looked, start = 0, 0
    while start is not None and looked < 10:
        found = searching.search(million.path, Query("nowhere"), start=start, seconds=0)
        assert found.first == start
        start, looked = found.following, looked + 1
    assert found.end > 5 * tables.BATCH_ROWS


def test_a_search_that_runs_out_of_time_says_how_far_it_came_and_goes_on_by_itself(
    owner_client: Client, million: DatasetVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = searching.search
    monkeypatch.setattr(searching, "search", lambda *args, **kw: real(*args, **{**kw, "seconds": 0}))
    response = rows(owner_client, million, q="nowhere")
    assert response.context["found"].end == tables.BATCH_ROWS
    assert "rows, going on." in visible(response)
    assert 'hx-trigger="load"' in text(response)
    assert "Go on from row" in visible(response)
    further = rows(owner_client, million, q="nowhere", **{"from": "4097"})
    assert "<table" not in text(further), "further hits are rows for the table that is there"


def test_a_page_of_hits_goes_on_after_its_last_one(version: DatasetVersion) -> None:
    first = searching.search(version.path, Query("what"), limit=15)
    assert [number for number, _ in first.rows] == list(range(15))
    assert (first.following, first.timed_out) == (15, False)
    second = searching.search(version.path, Query("what"), start=15, limit=100)
    assert [number for number, _ in second.rows] == list(range(15, 40))
    assert second.following is None


def test_a_search_in_one_column_leaves_the_others_alone(owner_client: Client, imported: Importer) -> None:
    version = imported(*({"question": f"q{n}", "answer": f"a{n}", "level": n} for n in range(40)))
    assert numbers(rows(owner_client, version, q="A7", **{"in": "answer"})) == [8]
    assert numbers(rows(owner_client, version, q="a7", **{"in": "question"})) == []
    assert numbers(rows(owner_client, version, q="39", **{"in": "level"})) == [40], "numbers are searched as text"
    assert numbers(rows(owner_client, version, q="39", **{"in": "no such column"})) == [40]


def test_text_is_searched_as_it_is_written_and_in_any_script(owner_client: Client, imported: Importer) -> None:
    version = imported(
        {"question": "100 % (a.b)*?", "answer": "1"},
        {"question": "ÄÖÜ straße Привет", "answer": "2"},
        {"question": "100", "answer": None},
    )
    assert numbers(rows(owner_client, version, q="% (A.B)*")) == [1]
    assert numbers(rows(owner_client, version, q="äöü")) == [2]
    assert numbers(rows(owner_client, version, q="привет")) == [2]
    assert numbers(rows(owner_client, version, q="\x00")) == [1, 2, 3]


def test_rows_in_which_a_column_is_empty_are_found(owner_client: Client, imported: Importer) -> None:
    version = imported(
        *({"question": "q", "answer": cell, "n": 1 if cell else None} for cell in ("x", "", "  \n", None, "y"))
    )
    assert numbers(rows(owner_client, version, empty="answer")) == [2, 3, 4]
    assert numbers(rows(owner_client, version, empty="n")) == [2, 4]
    assert numbers(rows(owner_client, version, empty="question")) == []


def test_each_part_is_searched_and_together_they_are_all_rows(owner_client: Client, imported: Importer) -> None:
    version = imported(*sums(60))
    found = {part: numbers(rows(owner_client, version, part=part)) for part in ("train", "validation", "test")}
    assert len(found["test"]) == version.report["parts"]["held_out"]
    every = [*found["train"], *found["validation"], *found["test"]]
    assert len(set(every)) == len(every)
    offered = [(name, count) for name, _, count in page(owner_client, version).context["part_choices"]]
    assert ("train", version.report["parts"]["train"]) in offered


def test_parts_of_many_rows_wait_for_the_check(
    owner_client: Client, version: DatasetVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "QUICK_ROWS", 10)
    assert not page(owner_client, version).context["parts_at_hand"]
    membership.write(version)
    assert page(owner_client, version).context["parts_at_hand"]
    version.split = {**version.split, "seed": 7}
    assert membership.at_hand(version) is None, "other parts, another file"


def test_nothing_found_says_so(owner_client: Client, version: DatasetVersion) -> None:
    assert "No row fits. All 40 rows were looked at." in visible(rows(owner_client, version, q="zebra"))


def test_browsing_pulls_no_pandas_into_the_web_process(version: DatasetVersion) -> None:
    import subprocess

    code = (
        "import sys; from pathlib import Path; from datasets_app import searching, tables;"
        "path = Path(sys.argv[1]); marks = Path(sys.argv[2]);"
        "searching.search(path, searching.Query('what', part=1, empty='answer'), marks=marks);"
        "searching.search(path, searching.Query('what')); tables.page(path, 3, 2);"
        "assert 'pandas' not in sys.modules"
    )
    marks = membership.write(version)
    subprocess.run([sys.executable, "-c", code, str(version.path), str(marks)], check=True)


# One row


def test_a_row_shows_every_cell_whole(owner_client: Client, imported: Importer) -> None:
    version = imported({"question": "q" * 9000 + "end", "answer": "short"}, {"question": "x", "answer": None})
    address = reverse("datasets:row", args=[version.dataset_id, 1])
    response = owner_client.get(address, headers={"HX-Request": "true"})
    assert "q" * 9000 + "end" in text(response)
    assert response["HX-Replace-Url"].endswith("?row=1")
    assert "q" * 9000 not in text(page(owner_client, version)), "the table shows the beginning"
    assert '<span class="faint">empty</span>' in text(page(owner_client, version, row="2"))


def test_a_row_that_there_is_not_is_404(owner_client: Client, version: DatasetVersion) -> None:
    for number in (0, 41, 10**12):
        assert owner_client.get(reverse("datasets:row", args=[version.dataset_id, number])).status_code == 404


def test_what_a_cell_holds_is_never_markup(owner_client: Client, imported: Importer) -> None:
    bad = "<script>alert(1)</script>"
    version = imported(
        {"question": bad, "answer": f"```{bad}\n{bad}\n``` $x_{bad}$", "messages": [{"role": bad, "content": bad}]}
    )
    response = page(owner_client, version, row="1", q="script")
    assert "<script>alert" not in text(response)
    assert "&lt;<mark>script</mark>&gt;alert(1)" in text(response)


def kinds(value: Any, type: str = "text") -> list[tuple[str, str]]:
    shown = cells.whole("c", type, value)
    return [(block.kind, block.text or "".join(piece.text for piece in block.pieces)) for block in shown.blocks]


def test_fenced_code_and_whole_cells_of_code_are_code() -> None:
    assert kinds("Do:\n```python\nx = 1\n```\ndone") == [("words", "Do:"), ("code", "x = 1"), ("words", "done")]
    assert [kind for kind, _ in kinds("def f(x):\n    y = x\n    return y")] == ["code"]
    assert [kind for kind, _ in kinds("Buy milk.\nThen bread.\nThen go home.")] == ["words"]
    assert cells.whole("c", "text", "```js\n1\n```").blocks[0].language == "js"
    assert [kind for kind, _ in kinds("```never closed\nx")] == ["words"]


@pytest.mark.parametrize(
    ("written", "formula"),
    [
        ("so $x^2$ is", ("maths", "x^2")),
        (r"so \(a+b\) is", ("maths", "a+b")),
        ("so $$a\n+b$$ is", ("display", "a\n+b")),
        (r"so \[a\] is", ("display", "a")),
        (r"so \boxed{\frac{1}{2}} is", ("maths", r"\boxed{\frac{1}{2}}")),
        ("so $n$ is", ("maths", "n")),
    ],
)
def test_maths_is_recognised_by_its_delimiters(written: str, formula: tuple[str, str]) -> None:
    assert formula in kinds(written)


@pytest.mark.parametrize("written", ["It costs $5 or $7.", "US$ 5 and US$ 6", r"\$x\$", "$ x $", "a $ b", "$$"])
def test_money_is_no_maths(written: str) -> None:
    assert {kind for kind, _ in kinds(written)} == {"words"}


def test_chats_are_shown_message_by_message() -> None:
    openai = '[{"role": "user", "content": "hi"}, {"role": "assistant", "content": [{"type": "text", "text": "yes"}]}]'
    sharegpt = '[{"from": "human", "value": "hi"}, {"from": "gpt", "value": "yes"}]'
    for value in (openai, sharegpt, f'{{"messages": {openai}}}'):
        (block,) = cells.whole("c", "json", value).blocks
        assert [message.role for message in block.messages] == ["user", "assistant"]
        assert block.messages[1].blocks[0].pieces[0].text == "yes"
    called = '[{"role": "assistant", "content": "", "tool_calls": [{"id": 1}]}]'
    assert '"id": 1' in cells.whole("c", "json", called).blocks[0].messages[0].rest


def test_json_is_laid_out_and_what_only_looks_like_it_stays() -> None:
    assert kinds('{"a":[1,2]}', "json") == [("json", '{\n  "a": [\n    1,\n    2\n  ]\n}')]
    assert kinds('[{"role": "user"}, 3]', "json")[0][0] == "json"
    assert kinds("[not json") == [("words", "[not json")]
    assert kinds("[" * 5000 + "]" * 5000)[0][0] == "words"


def test_a_cell_beyond_what_a_browser_can_take_is_cut_and_says_so() -> None:
    shown = cells.whole("c", "text", "x" * (cells.WHOLE + 5))
    assert (shown.length, shown.left_out) == (cells.WHOLE + 5, 5)


def test_the_line_in_the_table_is_cut_round_the_hit() -> None:
    found = cells.short("a " * 500 + "needle" + " b" * 500, "NEEDLE")
    assert [piece.text for piece in found.pieces if piece.hit] == ["needle"]
    assert found.before and found.after
    assert cells.short(None).is_empty
    assert cells.short(" \n ").is_empty


@pytest.mark.parametrize("text", ["$" * 20_000, r"\[" * 10_000, "```\n" * 10_000, r"\boxed{" * 5_000, "{" * 50_000])
def test_hostile_cells_take_no_time(text: str) -> None:
    assert cells.whole("c", "text", text).length == len(text)

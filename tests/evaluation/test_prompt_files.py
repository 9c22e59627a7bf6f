"""Files of prompts: what is read, what is guessed, and what is said of those that can't be used."""

import json

import pytest

from evaluation import prompt_files
from evaluation.prompt_files import LONGEST_PROMPT, MOST_BYTES, MOST_ROWS, FileProblem, Parsed
from loracraft.numbers import thousands


def read(content: bytes | str, name: str = "", *, lines: bool = False) -> Parsed:
    return prompt_files.read(content.encode() if isinstance(content, str) else content, name, lines=lines)


def texts(parsed: Parsed, prompt: str = "", reference: str = "") -> list[str]:
    rows, _ = prompt_files.prompts(parsed, prompt or parsed.prompt_guess, reference)
    return [row.text for row in rows]


def faults(parsed: Parsed, prompt: str, reference: str = "") -> list[str]:
    return [fault.said(parsed.unit) for fault in prompt_files.prompts(parsed, prompt, reference)[1]]


def problem(content: bytes | str, name: str = "") -> str:
    with pytest.raises(FileProblem) as found:
        read(content, name)
    return str(found.value)


def test_text_has_a_prompt_on_each_line() -> None:
    parsed = read("What is 1, 2?\r\n\r\nAnd 3, 4?\r\n", "prompts.txt")
    assert texts(parsed) == ["What is 1, 2?", "And 3, 4?"]
    assert [line for line, _ in parsed.rows] == [1, 3], "lines are those of the file"


def test_pasted_sentences_with_commas_are_no_table() -> None:
    assert texts(read("Hello, how are you?\nWell, and you?")) == ["Hello, how are you?", "Well, and you?"]
    assert read("question,answer\n1 + 1?,2\n").format == "csv"


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("question;expected\n1 + 1?;2\n", "a.csv"),
        ('{"question": "1 + 1?", "expected": 2}\n', "a.jsonl"),
        ('[{"question": "1 + 1?", "expected": "2"}]', "a.json"),
        ('{"data": [{"question": "1 + 1?", "expected": "2"}]}', "a.json"),
        ("\ufeffquestion,expected\n1 + 1?,2\n", "a.csv"),
    ],
)
def test_tables_of_each_format_have_prompt_and_reference_guessed(content: str, name: str) -> None:
    parsed = read(content, name)
    assert parsed.prompt_guess == "question" and parsed.reference_guess("question") == "expected"
    ((row,), wrong) = prompt_files.prompts(parsed, "question", "expected")
    assert (row.text, row.reference, wrong) == ("1 + 1?", "2", [])


def test_a_reference_goes_before_what_a_model_once_answered() -> None:
    parsed = read("prompt,response,reference\na,b,c\n", "a.csv")
    assert parsed.reference_guess("prompt") == "reference"


def test_a_json_list_of_texts_is_a_list_of_prompts() -> None:
    assert texts(read('["one", "two, and three"]', "a.json")) == ["one", "two, and three"]


def test_the_only_column_is_the_prompt_and_of_several_unknown_ones_none_is() -> None:
    assert read("sentence\nOne.\nTwo.\n", "a.csv").prompt_guess == "sentence"
    assert read("alpha,beta\nx,y\n", "a.csv").prompt_guess == ""


def test_other_columns_stay_with_their_row() -> None:
    ((row,), _) = prompt_files.prompts(read('{"prompt": "a", "tests": [1], "level": 2}\n'), "prompt", "")
    assert row.columns == {"tests": [1], "level": 2}


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"", "a.txt", "It is empty"),
        (b" \n\n", "a.csv", "It is empty"),
        (b"prompt,reference\n", "a.csv", "no row"),
        (b"[]", "a.json", "no row"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "a.txt", "a picture"),
        (b"PK\x03\x04....", "a.csv", "zip archive or an Excel"),
        (b"PAR1....", "a.jsonl", "Parquet"),
        (b"\x1f\x8b\x08....", "a.csv", "Unpack it first"),
        (bytes(range(256)) * 40, "a.txt", "no text"),
        (b'{"prompt": "a"', "a.jsonl", "Line 1: Not JSON"),
        (b'[{"prompt": "a"}, {"prompt": ]', "a.json", "not JSON"),
        (b"x" * (MOST_BYTES + 1), "a.txt", "takes 16 MB at most"),
    ],
)
def test_a_file_of_which_nothing_can_be_used_is_refused_with_what_is_accepted(
    content: bytes, name: str, said: str
) -> None:
    assert said in problem(content, name)


def test_too_many_rows_are_refused_with_the_limit_and_what_to_do() -> None:
    said = problem("".join(f"prompt {n}\n" for n in range(100_000)), "a.txt")
    assert "100\u202f000 rows" in said and f"{thousands(MOST_ROWS)} at most" in said and "10 files" in said
    assert len(read("x\n" * MOST_ROWS, "a.txt").rows) == MOST_ROWS


def test_what_is_wrong_with_a_line_names_line_and_column() -> None:
    lines = [
        '{"prompt": "fine", "reference": "1"}',
        '{"prompt": "", "reference": "2"}',
        '{"reference": "3"}',
        '{"prompt": ["a", "b"]}',
        '{"prompt": "broken"',
        '{"prompt": "a", "prompt": "b"}',
        json.dumps({"prompt": "x" * (LONGEST_PROMPT + 1)}),
        '{"prompt": "nul \\u0000"}',
    ]
    parsed = read("\n".join(lines), "a.jsonl")
    assert texts(parsed, "prompt", "reference") == ["fine"]
    said = faults(parsed, "prompt", "reference")
    assert said[0] == "Line 2, column “prompt”: there is no prompt."
    assert said[1].startswith("Line 3, column “prompt”")
    assert "Line 4, column “prompt”: it holds a list" in said[2]
    assert said[3].startswith("Line 5: Not JSON") and "character" in said[3]
    assert "“prompt” twice" in said[4]
    assert "100\u202f001 characters" in said[5] and said[5].startswith("Line 7")
    assert "NUL" in said[6]


def test_a_csv_row_of_the_wrong_width_is_said_by_its_line() -> None:
    parsed = read('prompt,reference\n"two\nlines",1\na,b,c\nd,e\n', "a.csv")
    assert texts(parsed, "prompt") == ["two\nlines", "d"]
    assert faults(parsed, "prompt") == ["Line 4: 3 cells, but the header has 2."]


def test_a_name_that_the_header_has_twice_is_told() -> None:
    parsed = read("prompt,answer,answer\na,b,c\n", "a.csv")
    assert parsed.columns == ["prompt", "answer", "answer (2)"]
    assert "used twice" in parsed.notes[0]


def test_another_encoding_is_read_with_a_word_about_it() -> None:
    parsed = read("prompt\nWie groß ist Köln?\n".encode("cp1252"), "a.csv")
    assert texts(parsed) == ["Wie groß ist Köln?"] and "Windows-1252" in parsed.notes[0]
    assert texts(read("prompt\nWie groß?\n".encode("utf-16"), "a.csv")) == ["Wie groß?"]


def test_each_line_is_a_prompt_where_that_is_wanted() -> None:
    assert texts(read('{"prompt": "a"}\na,b\n', lines=True)) == ['{"prompt": "a"}', "a,b"]


def test_a_very_long_line_is_a_fault_and_the_others_stay() -> None:
    parsed = read("short\n" + "x" * (LONGEST_PROMPT + 1) + "\nlast\n", "a.txt")
    assert texts(parsed) == ["short", "last"] and "Line 2" in faults(parsed, "text")[0]

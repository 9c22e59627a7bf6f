"""Archives, encodings, and files that are something else."""

import gzip
from pathlib import Path

import pyarrow as pa
import pytest

from datasets_app import limits
from datasets_app.problems import DatasetProblem
from datasets_app.readers import kinds, streams
from tests.datasets.storing import parquet, problem, stored

JSONL = b'{"a": 1}\n{"a": 2}\n' * 5000
ROWS = [{"a": 1}, {"a": 2}] * 5000


def zstd(raw: bytes) -> bytes:
    packed: bytes = pa.compress(raw, codec="zstd", asbytes=True)
    return packed


PACKERS = pytest.mark.parametrize(("pack", "name"), [(gzip.compress, "gzip"), (zstd, "zstd")], ids=["gzip", "zstd"])


@PACKERS
@pytest.mark.parametrize(
    ("raw", "file_name", "kind"),
    [
        (JSONL, "x.jsonl.gz", "jsonl"),
        (b"[" + b",".join([b'{"a": 1}', b'{"a": 2}'] * 5000) + b"]", "x.json.zst", "json"),
        (b"a\n" + b"1\n2\n" * 5000, "x.csv.gz", "csv"),
        (parquet({"a": [1, 2] * 5000}), "x.parquet.gz", "parquet"),
    ],
    ids=["jsonl", "json", "csv", "parquet"],
)
def test_every_format_may_come_packed(tmp_path: Path, pack, name: str, raw: bytes, file_name: str, kind: str) -> None:  # type: ignore[no-untyped-def]
    packed = pack(raw)
    found = stored(tmp_path, packed, file_name)
    assert found.rows == ROWS
    assert (found.source["format"], found.source["compression"]) == (kind, name)
    assert found.source["bytes"] == len(packed)


@PACKERS
def test_an_archive_may_have_several_parts(tmp_path: Path, pack, name: str) -> None:  # type: ignore[no-untyped-def]
    assert stored(tmp_path, pack(b'{"a": 1}\n{"a"') + pack(b': 2}\n{"a": 3}\n')).rows == [{"a": n} for n in (1, 2, 3)]


@PACKERS
def test_a_truncated_archive_is_an_error_and_keeps_nothing(tmp_path: Path, pack, name: str) -> None:  # type: ignore[no-untyped-def]
    packed = pack(JSONL)
    for end in (5, 12, len(packed) // 2, len(packed) - 9, len(packed) - 1):
        assert f"The {name} archive is cut off" in problem(tmp_path, packed[:end]), end
    whole = pack(b'{"a": 1}\n')
    assert "is cut off" in problem(tmp_path, whole + packed[:-10])


@PACKERS
def test_a_damaged_archive_is_an_error_and_keeps_nothing(tmp_path: Path, pack, name: str) -> None:  # type: ignore[no-untyped-def]
    packed = pack(JSONL)
    assert f"The {name} archive is damaged" in problem(tmp_path, packed + b"and more")
    start = packed[:4] + b"\xff" * 8 + packed[12:]
    assert f"The {name} archive" in problem(tmp_path, start)


@PACKERS
def test_a_bomb_is_refused_by_what_it_really_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack, name: str
) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(streams, "EXPANDED_FLOOR", 4 * limits.MIB)
    bomb = pack(b'{"a": "' + b"x" * 20_000_000 + b'"}\n')
    assert len(bomb) < 50_000
    assert "expands to more than 4 MB" in problem(tmp_path, bomb)


def test_what_a_file_may_expand_to_grows_with_it_but_not_without_end() -> None:
    def left(size: int) -> int:
        return streams.allowance(size).total

    assert left(1000) == limits.EXPANDED_FLOOR, "a small file that repeats itself is honest"
    assert left(limits.EXPANDED_FLOOR) == 20 * limits.EXPANDED_FLOOR
    assert left(10 * 1024**3) == 40 * 1024**3


TEXTS = {
    "x.csv": "frage,antwort\nWie groß?,schön\n",
    "x.jsonl": '{"frage": "Wie groß?", "antwort": "schön"}\n',
    "x.json": '[\n{"frage": "Wie groß?", "antwort": "schön"}\n]',
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize(
    ("encoding", "called"),
    [
        ("utf-8", "UTF-8"),
        ("utf-8-sig", "UTF-8"),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("utf-16-be", "UTF-16"),
        ("utf-32", "UTF-32"),
        ("cp1252", "Windows-1252"),
        ("latin-1", "Windows-1252"),
    ],
)
def test_the_encoding_is_found_out(tmp_path: Path, name: str, encoding: str, called: str) -> None:
    found = stored(tmp_path, TEXTS[name].encode(encoding), name)
    assert found.rows == [{"frage": "Wie groß?", "antwort": "schön"}]
    assert found.source["encoding"] == called
    assert bool(found.source["notes"]) == (called == "Windows-1252"), "a guess is said to be one"


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1251", "Сколько будет два плюс два и сколько будет трижды три"),
        ("cp932", "二たす二はいくつですか。よく考えてから答えてください"),
        ("gb18030", "二加二等于多少?请仔细思考之后再回答这个问题"),
    ],
)
def test_other_scripts_are_found_out_too(tmp_path: Path, encoding: str, text: str) -> None:
    raw = "q,a\n" + f"{text},4\n" * 20
    assert stored(tmp_path, raw.encode(encoding), "x.csv").rows[0]["q"] == text


def test_a_first_odd_byte_late_in_a_file_changes_how_all_of_it_is_read(tmp_path: Path) -> None:
    raw = b'{"a": "plain"}\n' * 100_000 + '{"a": "schön"}\n'.encode("cp1252")
    found = stored(tmp_path, raw)
    assert found.report["row_count"] == 100_001
    assert found.rows[-1] == {"a": "schön"}
    assert found.source["bytes"] == len(raw)


def test_a_byte_without_a_letter_is_rejected_with_its_row(tmp_path: Path) -> None:
    found = stored(tmp_path, b"a,b\nsch\xf6n,1\nx\x81y,2\n", "x.csv")
    assert found.rows == [{"a": "schön", "b": 1}]
    assert "byte 0x81" in found.reasons[3]


def test_utf16_that_is_torn_is_refused(tmp_path: Path) -> None:
    raw = '{"a": "x"}\n'.encode("utf-16")
    assert "can't be decoded" in problem(tmp_path, raw[:-1])


def test_zeros_in_a_file_do_not_make_it_utf16(tmp_path: Path) -> None:
    found = stored(tmp_path, b'{"a": "ok"}\n\x00\x00\x00\n{"a": "x\x00"}\n')
    assert found.rows == [{"a": "ok"}]
    assert len(found.reasons) == 2


@pytest.mark.parametrize(("start", "kind"), [(magic, kind) for magic, (kind, _) in kinds.OTHERS.items()])
def test_files_of_other_kinds_are_named_with_what_to_do(tmp_path: Path, start: bytes, kind: str) -> None:
    message = problem(tmp_path, start + b"rest\n" * 100, "x.csv")
    assert kind in message
    assert "JSON, JSONL, CSV" in message
    assert problem(tmp_path, gzip.compress(start + b"rest\n")) == message


def test_a_tar_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetProblem, match="tar archive"):
        kinds.refuse_others(b"name".ljust(257, b"\x00") + b"ustar\x0000")


@pytest.mark.parametrize(
    ("file_name", "ending"),
    [
        ("rows.csv", ".csv"),
        ("ROWS.CSV.GZ", ".csv"),
        ("../../etc/x.tsv.zst", ".tsv"),
        ("C:\\data\\x.json", ".json"),
        ("x.gz", ""),
        ("", ""),
        ("a/b.csv/", ".csv"),
    ],
)
def test_the_ending_that_counts_is_the_one_inside(file_name: str, ending: str) -> None:
    assert kinds.ending_of(file_name) == ending

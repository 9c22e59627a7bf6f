"""Which encoding a text has."""

from __future__ import annotations

import codecs
import re
from contextlib import closing
from pathlib import Path

from datasets_app.limits import ACCEPTED
from datasets_app.problems import DatasetProblem
from datasets_app.readers.meter import Meter
from datasets_app.readers.streams import CHUNK, Counted, unpacked

MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
NAMES = {
    "utf-8": "UTF-8",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "utf-32": "UTF-32",
    "cp1252": "Windows-1252",
    "cp1251": "Windows-1251",
    "koi8_r": "KOI8-R",
    "cp932": "Shift-JIS",
    "gb18030": "GB 18030",
    "big5": "Big5",
    "cp949": "EUC-KR",
    "euc_jp": "EUC-JP",
}
# Asked of charset-normalizer. Western Europe is not among them: it is what is left when none of these fits well.
FOREIGN = ["cp1251", "koi8_r", "cp932", "gb18030", "big5", "cp949", "euc_jp"]
VALID = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
HIGH = re.compile(rb"[\x80-\xff]")
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
# Of bytes that no text has; in noise they are one in ten.
CONTROL_SHARE = 0.02
TOGETHER = re.compile(rb"[\x80-\xff]{2,}")
AROUND = re.compile(rb"[^\n]{0,200}[\x80-\xff][^\n]{0,200}")
SAMPLE_BYTES = 64 * 1024
SHOWN_BYTES = 4096


def by_start(head: bytes) -> str:
    """UTF-16 and UTF-32 as Python calls them, by their mark or by the zeros between their letters; else ""."""
    for mark, name in MARKS.items():
        if head.startswith(mark):
            return name
    start = head[:SHOWN_BYTES]
    even, odd = start[::2].count(0), start[1::2].count(0)
    most = len(start) // 2 * 0.4
    if len(start) >= 4 and odd > most and even <= odd // 20:
        return "utf-16-le"
    if len(start) >= 4 and even > most and odd <= even // 20:
        return "utf-16-be"
    return ""


def judge(path: Path, meter: Meter) -> str:
    """Of a text that is not UTF-8 throughout: "utf-8" if it is but for some damage, else the likeliest other one."""
    valid = high = control = size = 0
    sample = b""
    with closing(Counted(path, meter)) as raw:
        _, stream = unpacked(raw)
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            found = VALID.findall(chunk)
            valid += len(found)
            size, control = size + len(chunk), control + len(CONTROL.findall(chunk))
            high += len(HIGH.findall(chunk)) - sum(map(len, found))
            if len(sample) < SAMPLE_BYTES:
                sample += b"\n".join(AROUND.findall(chunk))[:SAMPLE_BYTES] + b"\n"
    if valid >= high:
        return "utf-8"
    if control > size * CONTROL_SHARE:
        raise DatasetProblem(f"This file is no text, and no other format that is known. Accepted are {ACCEPTED}.")
    return likeliest(sample)


def likeliest(sample: bytes) -> str:
    from charset_normalizer import from_bytes

    # Letters with accents stand alone among plain ones, those of other scripts side by side.
    together = sum(map(len, TOGETHER.findall(sample)))
    if together * 2 < len(HIGH.findall(sample)):
        return "cp1252"
    best = from_bytes(sample, cp_isolation=[*FOREIGN, "cp1252"]).best()
    return best.encoding if best else "cp1252"


def told(encoding: str) -> str:
    """The note in the report about a guess; "" where there was none."""
    if encoding.startswith("utf-") and encoding != "utf-8":
        return ""
    if encoding == "utf-8":
        return "Some lines are not UTF-8, as the rest of the file is. They were rejected."
    return (
        f"The file is not UTF-8. It was read as {NAMES.get(encoding, encoding)}, which is a guess: look for wrong"
        " letters in the preview, and save the file as UTF-8 if there are any."
    )

"""Downloads are streamed, with ranges, and only what a row names is reachable (S11, P8)."""

import asyncio
import io
import tracemalloc
import zipfile
from pathlib import Path
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient, AsyncRequestFactory
from django.urls import reverse
from knox.models import AuthToken

from exports import building, downloads
from exports.models import Export
from jobs.choices import JobStatus
from training.models import Session

pytestmark = pytest.mark.django_db(transaction=True)
DATA = bytes(range(256)) * 40


@pytest.fixture
def export(session: Session, owner: User) -> Export:
    made = Export.objects.create(
        team=session.team, session=session, format="gguf", quantization="f16", status=JobStatus.READY, created_by=owner
    )
    folder = building.artefact_folder(made)
    folder.mkdir(parents=True)
    (folder / "model-f16.gguf").write_bytes(DATA)
    (folder / "Modelfile").write_text("FROM ./model-f16.gguf\n")
    (folder / "unlisted.txt").write_text("not in the row")
    made.files = [
        {"name": "model-f16.gguf", "size": len(DATA), "sha256": "ab" * 32},
        {"name": "Modelfile", "size": 22, "sha256": "cd" * 32},
    ]
    made.save()
    return made


async def get(user: User | None, url: str, method: str = "get", **headers: str) -> tuple[int, bytes, dict[str, str]]:
    client = AsyncClient()
    if user:
        await client.aforce_login(user)
    response = await getattr(client, method)(url, headers=headers)
    body = b"".join([part async for part in response]) if response.streaming else response.content
    return response.status_code, body, dict(response.headers)


def address(export: Export, name: str = "model-f16.gguf") -> str:
    return reverse("exports:download", args=[export.pk, name])


async def test_whole_file_is_an_attachment_with_its_length_and_checksum(export: Export, viewer: User) -> None:
    status, body, headers = await get(viewer, address(export))
    assert (status, body) == (200, DATA)
    assert headers["Content-Length"] == str(len(DATA))
    assert headers["Content-Disposition"] == 'attachment; filename="model-f16.gguf"'
    assert headers["ETag"] == f'"{"ab" * 32}"'
    assert headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-0", 0, 0), ("bytes=100-199", 100, 199), ("bytes=10000-", 10000, 10239), ("bytes=-5", 10235, 10239)],
)
async def test_ranges(export: Export, owner: User, asked: str, first: int, last: int) -> None:
    status, body, headers = await get(owner, address(export), Range=asked)
    assert (status, body) == (206, DATA[first : last + 1])
    assert headers["Content-Range"] == f"bytes {first}-{last}/{len(DATA)}"
    assert headers["Content-Length"] == str(last - first + 1)


@pytest.mark.parametrize("asked", ["bytes=10240-", "bytes=99999-100000", "bytes=-0"])
async def test_a_range_beyond_the_end_is_416(export: Export, owner: User, asked: str) -> None:
    status, _, headers = await get(owner, address(export), Range=asked)
    assert (status, headers["Content-Range"]) == (416, "bytes */10240")


@pytest.mark.parametrize("asked", ["lines=1-2", "bytes=5-2", "bytes=", "bytes=0-1,4-5"])
async def test_a_range_that_is_none_gives_the_whole_file(export: Export, owner: User, asked: str) -> None:
    status, body, _ = await get(owner, address(export), Range=asked)
    assert (status, len(body)) == (200, len(DATA))


async def test_a_download_is_only_resumed_if_the_file_is_the_same(export: Export, owner: User) -> None:
    same = {"Range": "bytes=10-19", "If-Range": f'"{"ab" * 32}"'}
    assert (await get(owner, address(export), **same))[0] == 206
    assert (await get(owner, address(export), **{**same, "If-Range": '"other"'}))[0] == 200
    assert (await get(owner, address(export), **{"If-None-Match": f'"{"ab" * 32}"'}))[0] == 304


async def test_head_says_the_size_without_a_body(export: Export, owner: User) -> None:
    status, body, headers = await get(owner, address(export), "head")
    assert (status, body, headers["Content-Length"]) == (200, b"", str(len(DATA)))


@pytest.mark.parametrize(
    "name", ["unlisted.txt", "..", "%2e%2e%2f%2e%2e%2fdb.sqlite3", "..%2fmodel-f16.gguf", "", "a/b"]
)
async def test_only_files_of_the_row_are_reachable(export: Export, owner: User, name: str) -> None:
    status, _, _ = await get(owner, f"/exports/{export.pk}/download/{name}")
    assert status == 404


async def test_outsider_gets_404_and_nobody_the_sign_in_page(export: Export, outsider: User) -> None:
    assert (await get(outsider, address(export)))[0] == 404
    status, _, headers = await get(None, address(export))
    assert status == 302
    assert headers["Location"].startswith("/accounts/login/") or "login" in headers["Location"]


async def test_an_api_token_opens_it_and_a_wrong_one_does_not(export: Export, owner: User, outsider: User) -> None:
    from asgiref.sync import sync_to_async

    url = reverse("api-export-file", args=[export.pk, "Modelfile"])
    token = (await sync_to_async(AuthToken.objects.create)(owner))[1]
    theirs = (await sync_to_async(AuthToken.objects.create)(outsider))[1]
    assert (await get(None, url, Authorization=f"Token {token}"))[:2] == (200, b"FROM ./model-f16.gguf\n")
    assert (await get(None, url, Authorization=f"Token {theirs}"))[0] == 404
    assert (await get(None, url, Authorization="Token nonsense"))[0] == 401


async def test_an_export_that_is_not_ready_or_lost_its_file_is_404(export: Export, owner: User) -> None:
    (building.artefact_folder(export) / "Modelfile").unlink()
    assert (await get(owner, address(export, "Modelfile")))[0] == 404
    await Export.objects.aupdate(status=JobStatus.RUNNING)
    assert (await get(owner, address(export)))[0] == 404
    assert (await get(owner, reverse("exports:download", args=[uuid4(), "x"])))[0] == 404


async def test_zip_holds_all_files(export: Export, owner: User) -> None:
    status, body, headers = await get(owner, address(export, building.zip_name(export)))
    assert (status, headers["Content-Type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "model-f16.gguf": DATA,
            "Modelfile": b"FROM ./model-f16.gguf\n",
        }


def test_a_large_file_needs_little_memory(tmp_path: Path) -> None:
    file = tmp_path / "large"
    with file.open("wb") as stream:
        stream.truncate(200 * downloads.BLOCK)

    async def read_all() -> int:
        response = downloads.file_response(AsyncRequestFactory().get("/"), file, "large", "0" * 64)
        return sum([len(part) async for part in response])  # type: ignore[union-attr]

    tracemalloc.start()
    assert asyncio.run(read_all()) == 200 * downloads.BLOCK
    assert sum(len(part) for part in downloads.zipped([(file, "large")])) > 200 * downloads.BLOCK
    assert tracemalloc.get_traced_memory()[1] < 10 * downloads.BLOCK
    tracemalloc.stop()


FIVE_GB = 5_000_000_000


async def test_a_file_of_five_gigabytes_takes_a_few_megabytes_of_memory(export: Export, viewer: User) -> None:
    file = building.artefact_folder(export) / "model-f16.gguf"
    with file.open("r+b") as stream:
        stream.truncate(FIVE_GB)
    tracemalloc.start()
    try:
        for first in (0, FIVE_GB // 2, FIVE_GB - 3_000_000):
            status, body, headers = await get(viewer, address(export), Range=f"bytes={first}-{first + 2_999_999}")
            assert (status, len(body)) == (206, 3_000_000)
            assert headers["Content-Range"] == f"bytes {first}-{first + 2_999_999}/{FIVE_GB}"
        zipped = downloads.zipped([(file, file.name)])
        assert sum(len(next(zipped)) for _ in range(40)) > 5_000_000
        zipped.close()
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()

import hashlib

from tests.chaos import uploads


def test_a_file_survives_broken_connections_and_a_killed_server() -> None:
    """Row 15 of the reliability plan, small: `make chaos` runs it with 10 GB."""
    result = uploads.run(size_mb=200, disconnects=20, kills=3, oddities=5, parallel_mb=32, seed=3)
    assert result["passed"], result
    assert (result["disconnects"], result["server_kills"]) == (20, 3)
    assert result["bad_inputs"] >= 5


def test_the_check_itself_notices_a_byte_that_is_lost() -> None:
    """The negative control: what is compared does differ for one wrong byte, and each piece is a part of one file."""
    whole = uploads.piece(0, 5000)
    assert len(whole) == 5000
    assert uploads.piece(1024, 5000) == whole[1024:]
    assert uploads.row(1) != uploads.row(2)
    assert uploads.sha256_of_source(5000) == hashlib.sha256(whole).hexdigest()

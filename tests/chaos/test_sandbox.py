import platform

import pytest

from tests.chaos import sandbox

pytestmark = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="the sandbox needs Linux on x86_64"
)


def test_made_up_attacks_and_a_short_soak_are_contained():
    """Rows 17 and 18 of the reliability plan, small: `make chaos` runs them at their size."""
    result = sandbox.run(seed=7, programs=20, batches=200, restarts=5)
    assert result["passed"], result


def test_the_check_notices_an_attack_that_got_out():
    """The negative control: this one does nothing forbidden, and says that it got out."""
    assert not sandbox.contained("def attack(): return True\n" + sandbox.ESCAPE)


def test_the_check_notices_a_batch_that_takes_too_long(monkeypatch):
    monkeypatch.setattr(sandbox, "NEXT_SECONDS", 0.0)
    assert not sandbox.contained("def attack(): return None\n" + sandbox.WRAPPED)

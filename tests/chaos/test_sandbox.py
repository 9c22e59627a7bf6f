import platform

import pytest

from tests.chaos import sandbox
from tests.chaos._confined import CONFIGURATIONS

pytestmark = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="the sandbox needs Linux on x86_64"
)
# The weakest system that still contains, those that refuse, and the control; `make chaos` runs the others, too.
TRIED = ["docker-seccomp-only", "landlock-fails", "no-seccomp", "unprotected"]


def test_made_up_attacks_and_a_short_soak_are_contained():
    """Rows 17 and 18 of the reliability plan, small: `make chaos` runs them at their size."""
    result = sandbox.run(seed=7, programs=20, batches=200, restarts=5, configuration="native")
    assert result["passed"], result


@pytest.mark.parametrize("name", TRIED)
def test_on_every_other_system_attacks_are_contained_or_code_is_refused(name):
    result = sandbox.run(seed=7, programs=50, batches=500, restarts=20, configuration=name)
    assert result["passed"], result


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_other_system_is_really_imitated(name):
    said = sandbox.in_configuration(name, {})
    if CONFIGURATIONS[name].expected == "refused":
        assert {"no-seccomp": "seccomp", "landlock-fails": "Landlock"}[name] in said["refused"]
        assert said["refused"] in said["check"][0]
    elif name.endswith("seccomp-only") or name == "unprotected":
        assert said["layers"] == ["rlimits", "seccomp"]
    else:
        assert said["layers"][1].startswith("landlock")


@pytest.mark.parametrize("expected", ["contained", "refused", "escapes"])
def test_a_run_that_measured_nothing_does_not_pass(expected):
    assert not sandbox.judged({}, expected)["passed"]
    assert not sandbox.judged({"broken": "Traceback"}, expected)["passed"]


def test_the_check_notices_an_attack_that_got_out():
    """The negative control: this one does nothing forbidden, and says that it got out."""
    assert not sandbox.contained("def attack(): return True\n" + sandbox.ESCAPE)


def test_the_check_notices_a_batch_that_takes_too_long(monkeypatch):
    monkeypatch.setattr(sandbox, "NEXT_SECONDS", 0.0)
    assert not sandbox.contained("def attack(): return None\n" + sandbox.WRAPPED)

import gc
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rewards.registry import Sample
from rewards.sandbox import jail_process
from rewards.sandbox.jail_process import BatchFailed, Jail, SandboxError, SandboxUnavailable, checked, printable
from rewards.sandbox.rows import BATCH, score_with_code
from rewards.scoring import RowScore
from tests.rewards.attacks import CONTAINED_WITHOUT_LOCKS, DENIALS, ESCAPES, OFTEN_FORBIDDEN, RARE_CALLS
from tests.rewards.outside import Outside, things_outside
from tests.rewards.weakened import ALL, preloaded, without

pytestmark = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="the sandbox needs Linux on x86_64"
)
LENGTHS = "def reward(completions, **columns):\n    return [len(text) for text in completions]\n"
SECONDS = 1.0
# Success is a reward of 1; for any other completion than "attack" the function behaves.
ESCAPE = "\ndef reward(completions, **columns): return [1.0 if attack() is True else 0.0]\n"
DENIAL = (
    "\ndef reward(completions, **columns):\n"
    "    return attack() if completions == ['attack'] else [float(len(c)) for c in completions]\n"
)


@pytest.fixture
def outside(tmp_path):
    with things_outside(tmp_path) as things:
        yield things


def tried(attempt: str, outside: Outside) -> list[float | str]:
    with Jail(outside.filled(ESCAPES[attempt], os.getpid()) + ESCAPE) as jail:
        try:
            return jail.rewards(["x"], {}, seconds=5)
        except BatchFailed as error:
            return [str(error)]


@pytest.mark.parametrize("attempt", ESCAPES)
def test_an_escape_is_refused(attempt, outside):
    assert tried(attempt, outside) != [1.0], "it got out"
    assert not outside.reached()


@pytest.mark.parametrize("attempt", ESCAPES)
def test_an_escape_is_refused_by_seccomp_alone(attempt, outside, tmp_path_factory, monkeypatch):
    """As on kernels without Landlock; with modules at hand that make attacks easy, so that no import fails first."""
    weak = preloaded(without(["landlock"], tmp_path_factory.mktemp("weak") / "jail.py"))
    monkeypatch.setattr(jail_process, "JAIL", weak)
    assert tried(attempt, outside) != [1.0], "it got out"
    assert not outside.reached()


@pytest.mark.parametrize("attempt", sorted(ESCAPES.keys() - CONTAINED_WITHOUT_LOCKS))
def test_the_same_escape_works_in_a_jail_without_its_locks(attempt, outside, tmp_path_factory, monkeypatch):
    """The control: an attack that fails everywhere proves nothing."""
    weak = without(ALL, tmp_path_factory.mktemp("weak") / "jail.py")
    monkeypatch.setattr(jail_process, "JAIL", weak)
    assert tried(attempt, outside) == [1.0] or attempt in OFTEN_FORBIDDEN


@pytest.mark.parametrize("attempt", sorted(CONTAINED_WITHOUT_LOCKS))
def test_what_the_empty_environment_and_the_fresh_interpreter_contain_works_elsewhere(attempt, outside):
    code = outside.filled(ESCAPES[attempt], os.getpid()) + "\nprint(attack())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert done.stdout.strip() == "True", done.stderr


@pytest.mark.parametrize("call", RARE_CALLS)
def test_a_rare_system_call_is_refused(call):
    code = (
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "def reward(completions, **columns):\n"
        f"    return [-1000.0 if libc.syscall({RARE_CALLS[call]}, 0, 0, 0, 0, 0) != -1 else ctypes.get_errno()]\n"
    )
    with Jail(code) as jail:
        assert jail.rewards(["x"], {}) == [1.0], "EPERM is 1"


@pytest.mark.parametrize("attempt", DENIALS)
def test_a_hang_or_crash_costs_its_batch_and_nothing_else(attempt):
    with Jail(DENIALS[attempt] + DENIAL) as jail:
        start = time.monotonic()
        try:
            values = jail.rewards(["attack"], {}, SECONDS)
        except BatchFailed as error:
            values = [str(error)]
            assert len(values[0]) < 500 and "\x1b" not in values[0] and "\x00" not in values[0]
        assert time.monotonic() - start < SECONDS + 3.0
        assert all(isinstance(value, str) for value in values), "no number comes of it"
        assert jail.rewards(["next", "batch"], {}) == [4.0, 5.0]


def test_an_ordinary_function_gets_completions_and_columns():
    code = (
        "import re, math, json, difflib, statistics\n"
        "def reward(completions, reference, **columns):\n"
        "    return [float(r in c) + w for c, r, w in zip(completions, reference, columns['weight'])]\n"
    )
    with Jail(code) as jail:
        assert jail.rewards(["is 19", "is 9"], {"reference": ["19", "8"], "weight": [0.5, 0]}) == [1.5, 0.0]
        assert "seccomp" in jail.layers and "rlimits" in jail.layers


def test_what_it_prints_is_kept_for_its_author():
    with Jail("def reward(completions, **columns):\n    print('saw', completions)\n    return [0]\n") as jail:
        jail.rewards(["x"], {})
        assert jail.printed == "saw ['x']\n"


def test_a_thousand_short_completions_take_milliseconds():
    with Jail(LENGTHS) as jail:
        jail.rewards(["warm"], {})
        start = time.perf_counter()
        assert len(jail.rewards(["x" * 200] * 1000, {"reference": ["y"] * 1000})) == 1000
        assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def reward(", "SyntaxError"),
        ("x = 1", "defines no function called reward"),
        ("reward = 5", "defines no function called reward"),
        ("import torch\ndef reward(completions): return []", "ModuleNotFoundError|PermissionError"),
        ("raise SystemExit(3)", "SystemExit"),
        ("import os; os._exit(0)", "did not start"),
        ("#" * 70_000, "longer than 64 kB"),
    ],
)
def test_code_that_does_not_load_says_why(code, message):
    with pytest.raises(SandboxError, match=message), Jail(code):
        pass


def test_code_that_never_finishes_loading_is_ended(monkeypatch):
    monkeypatch.setattr(jail_process, "START_SECONDS", 1.5)
    with pytest.raises(SandboxError, match=r"no answer within 1\.5 s"), Jail("while True: pass"):
        pass


def test_other_systems_are_refused(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    with pytest.raises(SandboxUnavailable, match="only Linux on x86_64"), Jail(LENGTHS):
        pass


def test_a_system_that_does_not_enforce_it_is_refused(monkeypatch, tmp_path):
    """The control of the self-test: a jail without its filter must notice that it is none."""
    monkeypatch.setattr(jail_process, "JAIL", without(["seccomp"], tmp_path / "jail.py"))
    with pytest.raises(SandboxUnavailable, match=r"made a socket.*made memory executable"), Jail(LENGTHS):
        pass


def test_no_process_and_no_descriptor_is_left_behind():
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    pids = []
    for _ in range(5):
        with Jail(LENGTHS) as jail:
            pids.append(jail.process.pid)
            jail.rewards(["x"], {})
    assert len(os.listdir("/proc/self/fd")) == before
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_the_jail_ends_with_the_process_that_started_it():
    code = (
        "import sys; sys.path.insert(0, '.')\nfrom rewards.sandbox.jail_process import Jail\nimport os\n"
        f"jail = Jail({LENGTHS!r}); jail.start(); print(jail.process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, timeout=30)
    pid = int(done.stdout)
    deadline = time.monotonic() + 5
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(pid)


def is_running(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("value", [None, True, "1", [1], float("nan"), float("inf"), 2e6, 10**400, {"error": "x"}])
def test_the_outside_trusts_no_value(value):
    assert isinstance(checked(value), str)


def test_printable_text_has_no_control_characters():
    assert printable("a\x00\x1b[31m\ud800b\n") == "a\\x00\\x1b[31m\\xd800b\n"


class TestRows:
    ROWS = [Sample("?", text, "r", {"level": i}) for i, text in enumerate(["a", "bad", "ccc"])]

    def test_a_row_that_raises_costs_only_itself(self):
        code = (
            "def reward(completions, **columns):\n    assert 'bad' not in completions, 'no'\n"
            "    return [1] * len(completions)\n"
        )
        scored = score_with_code(code, [*self.ROWS, RowScore(error="Line 4 is not JSON.")])
        assert [row.total for row in scored] == [1.0, None, 1.0, None]
        assert scored[1].error == "reward: AssertionError: no (line 2)"
        assert scored[3].error == "Line 4 is not JSON."

    def test_columns_and_order_are_kept_over_batches(self):
        rows = [Sample("?", str(i), None, {"level": i}) for i in range(BATCH + 50)]
        code = "def reward(completions, level, **columns): return [int(c) + n for c, n in zip(completions, level)]\n"
        assert [row.total for row in score_with_code(code, rows)] == [2.0 * i for i in range(BATCH + 50)]

    @pytest.mark.parametrize("bad", [0, 7, 99])
    def test_wherever_the_row_is_that_kills_the_process_the_others_are_scored(self, bad):
        code = (
            "import os\ndef reward(completions, **columns):\n    'bad' in completions and os._exit(1)\n"
            "    return [1] * len(completions)\n"
        )
        rows = [Sample("?", "bad" if i == bad else "fine", None) for i in range(100)]
        assert [row.total for row in score_with_code(code, rows)] == [None if i == bad else 1.0 for i in range(100)]

    def test_a_row_that_kills_the_process_costs_only_itself(self):
        code = (
            "import os\ndef reward(completions, **columns):\n    'bad' in completions and os._exit(1)\n"
            "    return [1] * len(completions)\n"
        )
        scored = score_with_code(code, self.ROWS)
        assert [row.total for row in scored] == [1.0, None, 1.0]
        assert "ended its process (exit code 1)" in scored[1].error

    def test_code_that_always_dies_is_given_up(self):
        code = "import os\ndef reward(completions, **columns): os._exit(1)\n"
        scored = score_with_code(code, self.ROWS * 5)
        assert all(row.total is None for row in scored)
        assert "3 times in a row" in scored[-1].error

"""Nothing is left of a batch when the next one begins, whatever its code did to its own process."""

import os
import platform
import resource
import time

import pytest

from rewards.sandbox import jail_process
from rewards.sandbox.jail_process import BatchFailed, Jail, SandboxError
from tests.rewards.weakened import changed

pytestmark = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="the sandbox needs Linux on x86_64"
)
COUNTING = (
    "calls = []\ndef reward(completions, **columns):\n    calls.append(1)\n    return [len(calls)] * len(completions)\n"
)
# Each defines mark(), which changes something, and marked(), which tells whether it is changed.
STATES = {
    "a global": "kept = []\ndef mark(): kept.append(1)\ndef marked(): return bool(kept)",
    "a default argument": (
        "def mark(kept=[]):\n    kept.append(1)\n    return kept\n"
        "def marked(): return len(mark.__defaults__[0]) > 0"
    ),
    "a cache": (
        "import functools\n@functools.cache\ndef seen(): return object()\ndef mark(): seen()\n"
        "def marked(): return seen.cache_info().currsize > 0"
    ),
    "a module of its own": (
        "import sys, types\ndef mark(): sys.modules['kept'] = types.ModuleType('kept')\n"
        "def marked(): return 'kept' in sys.modules"
    ),
    "a function of math": "import math\ndef mark(): math.sqrt = len\ndef marked(): return math.sqrt is len",
    "a function of json": "import json\ndef mark(): json.kept = 1\ndef marked(): return hasattr(json, 'kept')",
    "a builtin": "import builtins\ndef mark(): builtins.kept = 1\ndef marked(): return hasattr(builtins, 'kept')",
    "the scoring code itself": (
        "import sys\ndef mark(): sys.modules['__main__'].explained = len\n"
        "def marked(): return sys.modules['__main__'].explained is len"
    ),
    "the environment": "import os\ndef mark(): os.environ['KEPT'] = '1'\ndef marked(): return 'KEPT' in os.environ",
    "the recursion limit": (
        "import sys\ndef mark(): sys.setrecursionlimit(77777)\ndef marked(): return sys.getrecursionlimit() == 77777"
    ),
    "a handler of a signal": (
        "import signal\ndef mark(): signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "def marked(): return signal.getsignal(signal.SIGTERM) is signal.SIG_IGN"
    ),
    "the state of random": (
        "import random\nstate = random.Random(5).getstate()\ndef mark(): random.setstate(state)\n"
        "def marked(): return random.getstate() == state"
    ),
    "the context of decimal": (
        "import decimal\ndef mark(): decimal.getcontext().prec = 7\ndef marked(): return decimal.getcontext().prec == 7"
    ),
}  # fmt: skip
SCORED = "\ndef reward(completions, **columns):\n    if completions == ['mark']: mark()\n    return [float(marked())]\n"


@pytest.mark.parametrize("state", STATES)
def test_what_a_batch_changes_does_not_reach_the_next(state):
    with Jail(STATES[state] + SCORED) as jail:
        nursery = jail.process.pid
        assert jail.rewards(["mark"], {}) == [1.0], "the control: it is changed within the batch"
        assert jail.rewards(["look"], {}) == [0.0]
        assert jail.process.pid == nursery, "and the process that starts batches is still the same"


def test_a_function_that_counts_its_calls_counts_to_one():
    with Jail(COUNTING) as jail:
        assert [jail.rewards(["x"], {}) for _ in range(5)] == [[1.0]] * 5


def test_without_a_new_process_the_same_function_counts_on(monkeypatch):
    """The control: the tests above would notice a process that is used again."""
    with Jail(COUNTING) as jail, monkeypatch.context() as patch:
        patch.setattr(Jail, "_end", lambda self: 0)
        assert [jail.rewards(["x"], {}) for _ in range(3)] == [[1.0], [2.0], [3.0]]


def test_no_thread_runs_on_into_the_next_batch():
    code = (
        "import _thread, time\n"
        "def reward(completions, **columns):\n"
        "    try: _thread.start_new_thread(time.sleep, (60,))\n"
        "    except RuntimeError: return [1.0]\n    return [0.0]\n"
    )
    with Jail(code) as jail:
        assert [jail.rewards(["x"], {}) for _ in range(2)] == [[1.0], [1.0]]


def test_there_is_no_scratch_space_in_which_files_could_be_left():
    code = (
        "import os\ndef reward(completions, **columns):\n    kept = 0\n"
        "    for folder in ('/tmp', '/dev/shm', '/var/tmp', '/', '.'):\n"
        "        try:\n            open(os.path.join(folder, 'left-by-a-reward'), 'a').close()\n            kept += 1\n"
        "        except OSError: pass\n"
        "    return [float(kept)]\n"
    )
    with Jail(code) as jail:
        assert [jail.rewards(["x"], {}) for _ in range(2)] == [[0.0], [0.0]]


def test_answers_forged_ahead_do_not_reach_the_next_batch():
    """A reward can forge the answer of its own batch, which is its own score. Each batch has a line of its own."""
    code = (
        "import json, os, struct\n"
        "def forged(number):\n"
        "    body = json.dumps({'id': number, 'rewards': [0.75], 'printed': ''}).encode()\n"
        "    return struct.pack('<I', len(body)) + body\n"
        "def reward(completions, **columns):\n"
        "    if completions != ['forge']: return [0.0]\n"
        "    frames = b''.join(forged(number) for number in range(1, 9))\n"
        "    for fd in range(3, 16):\n"
        "        try: os.write(fd, frames)\n        except OSError: pass\n"
        "    return [0.25]\n"
    )
    with Jail(code) as jail:
        assert jail.rewards(["forge"], {}) == [0.75]
        assert jail.rewards(["next"], {}) == [0.0]


def test_user_code_holds_one_descriptor_and_it_is_its_own():
    code = (
        "import errno, os\ndef is_open(fd):\n    try: return os.lseek(fd, 0, 0) == 0\n"
        "    except OSError as error: return error.errno != errno.EBADF\n"
        "def reward(completions, **columns): return [float(sum(map(is_open, range(3, 1000))))]\n"
    )
    with Jail(code) as jail:
        assert jail.rewards(["x"], {}) == [1.0]


def test_the_order_of_a_set_of_words_is_the_same_in_every_process():
    code = (
        "def reward(completions, **columns):\n"
        "    words = set('one two three four five six seven eight nine ten'.split())\n"
        "    return [float(list(words).index(text)) for text in completions]\n"
    )
    found = []
    for _ in range(3):
        with Jail(code) as jail:
            found.append(jail.rewards(["one", "five", "ten"], {}))
    assert found[0] == found[1] == found[2]


def test_chance_is_new_in_each_batch_so_that_a_noisy_reward_is_seen():
    """A fixed seed would hide the noise from the launch gate, which scores the same answers twice."""
    with Jail("import random\ndef reward(completions, **columns): return [random.random()]\n") as jail:
        assert jail.rewards(["x"], {}) != jail.rewards(["x"], {})


def test_a_hang_ends_its_own_process_only():
    code = "def reward(completions, **columns):\n    while completions == ['hang']: pass\n    return [1.0]\n"
    with Jail(code) as jail:
        nursery = jail.process.pid
        with pytest.raises(BatchFailed, match=r"no answer within 0\.3 s"):
            jail.rewards(["hang"], {}, seconds=0.3)
        assert jail.rewards(["x"], {}) == [1.0] and jail.process.pid == nursery


def test_code_that_loads_only_sometimes_is_an_error_of_the_code():
    code = "import time\nassert time.time() < {until}\ndef reward(completions, **columns): return [1.0]\n"
    with Jail(code.format(until=time.time() + 1.0)) as jail:
        assert jail.rewards(["x"], {}) == [1.0]
        time.sleep(1.0)
        with pytest.raises(SandboxError, match="AssertionError"):
            jail.rewards(["x"], {})


def test_a_nursery_that_died_is_started_again():
    with Jail(COUNTING) as jail:
        jail.process.kill()
        jail.process.wait()
        assert jail.rewards(["x"], {}) == [1.0]


def test_a_nursery_that_dies_while_it_is_asked_is_an_error_and_no_hang(monkeypatch):
    with Jail(COUNTING) as jail:
        jail.rewards(["x"], {})
        jail.process.kill()
        monkeypatch.setattr(Jail, "is_alive", True)
        with pytest.raises(SandboxError, match="does not answer"):
            jail.rewards(["x"], {})


def test_the_limit_on_processor_time_ends_what_the_clock_would_not(monkeypatch, tmp_path):
    weak = changed(
        {"CPU_SECONDS, PROGRAM_CPU_SECONDS = 120, 3600": "CPU_SECONDS, PROGRAM_CPU_SECONDS = 1, 1"},
        tmp_path / "jail.py",
    )
    monkeypatch.setattr(jail_process, "JAIL", weak)
    loop = "def reward(completions, **columns):\n    while True: pass\n"
    with Jail(loop) as jail, pytest.raises(BatchFailed, match=r"signal 9"):
        jail.rewards(["x"], {}, seconds=60)


def test_completions_come_through_whatever_characters_they_hold():
    odd = [
        "",
        "\x00",
        "👩\u200d👩\u200d👧",
        "\ud800",
        "\u202eabc",
        "e\u0301",
        "\U0010ffff",
        "\r\n\u2028",
        "\x01" * 100_000,
    ]
    code = (
        "def reward(completions, **columns): return [len(text) + sum(map(ord, text)) % 1000 for text in completions]\n"
    )
    with Jail(code) as jail:
        expected = [float(len(text) + sum(map(ord, text)) % 1000) for text in odd]
        assert jail.rewards(odd, {"reference": odd}) == expected


def test_descriptors_over_1023_do_no_harm():
    """What a server with many connections has, and select() does not take."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        with Jail(COUNTING) as jail:
            assert jail.child[1].fileno() > 1023
            assert jail.rewards(["x"], {}) == [1.0]
    finally:
        for descriptor in opened:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

import os
import platform
import threading
import time

import psutil
import pytest
from pydantic import ValidationError

from rewards.composition import Composition
from rewards.functions import custom
from rewards.registry import Sample
from rewards.sandbox import jail_process
from rewards.sandbox.jail_process import Jail, SandboxError
from rewards.sandbox.pool import Pool, owned_by, pool

pytestmark = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="the sandbox needs Linux on x86_64"
)
LENGTHS = "def reward(completions, **columns): return [len(text) for text in completions]\n"


def made(code: str, **parameters: object) -> Composition:
    part = {"name": "own", "function": "custom_python", "parameters": {"code": code, **parameters}}
    return Composition.model_validate({"parts": [part]})


def scores(code: str, *responses: str, **parameters: object) -> list[float | str]:
    samples = [Sample("What is 2 + 3?", text, "5", {"level": place}) for place, text in enumerate(responses)]
    results = made(code, **parameters).score_all(samples)
    return [result.errors["own"] if result.errors else result.total for result in results]


@pytest.fixture
def own_pool():
    fresh = Pool(most=2)
    yield fresh
    fresh.close()


# What the code may look like


@pytest.mark.parametrize(
    "code",
    [
        "def reward(completions, **columns): return [float('5' in c) for c in completions]",
        "def reward(completions, reference, level): return [float(r in c) for c, r in zip(completions, reference)]",
        "def exact_reward(prompts, completions, **kwargs): return [float('5' in c) for c in completions]",
        "def check(completions, reference, **kwargs): return [float(r in c) for c, r in zip(completions, reference)]",
        "def reward(prompts, completions, **kwargs):\n    return [float('5' in c[0]['content']) for c in completions]",
        "def grade(sample, item): return float(item['reference'] in sample['output_text'])",
        "def reward(response, reference): return float(reference in response)",
        "def has(text): return '5' in text\ndef reward(completions, **_): return [float(has(c)) for c in completions]",
    ],
)
def test_functions_for_trl_and_openai_work_as_they_are(code):
    assert scores(code, "It is 5.", "It is 6.") == [1.0, 0.0]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def reward(", "Line 1"),
        ("x = 1", "defines no function"),
        ("def reward(completions):\n\treturn 1\n        return 2", "Line 3"),
        ("(" * 500, "Line 1|can't parse"),
        ("x" * (65 << 10), "longer|at most"),
    ],
)
def test_code_that_is_none_is_refused_before_it_runs(code, message):
    with pytest.raises(ValidationError, match=message):
        made(code)


def test_a_range_that_is_none_is_refused():
    with pytest.raises(ValidationError, match="less than the highest"):
        made(LENGTHS, lowest=1, highest=1)


# What stands beside the editor


@pytest.mark.parametrize(
    ("place", "right", "wrong"),
    [
        (0, "It is 5.", "It is 6."),
        (1, "It is 5.", "It is 6."),
        (2, "Please, and thank you.", "No."),
        (3, '{"answer": 5}', '{"answer": 6}'),
    ],
)
def test_each_example_runs_as_it_is_and_tells_right_from_wrong(place, right, wrong):
    good, bad = scores(custom.EXAMPLES[place][1], right, wrong)
    assert good == 1.0 and 0 <= bad < 1, (good, bad)


def test_every_example_has_its_test():
    assert len(custom.EXAMPLES) == 4


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("def reward(completions, **c):\n    x = 1\n    raise KeyError('(line 9)')", 3),
        ("import re\n\nreward_of = 1 / 0\ndef reward(completions, **c): return [1.0]", 3),
        ("def reward(completions, **c): return [2.0]", None),
    ],
)
def test_the_line_that_failed_is_known_from_what_the_sandbox_says(code, line):
    assert custom.line_in(scores(code, "5")[0]) == line


def test_the_line_that_is_no_python_is_known_from_what_is_said_of_it():
    with pytest.raises(ValidationError) as refused:
        made("def reward(completions):\n    return [\n")
    assert custom.line_in(str(refused.value)) == 2


# Errors are not zeros


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def reward(completions, **c): return [None] * len(completions)", "no value"),
        ("def reward(completions, **c): return [float('nan')] * len(completions)", "nan"),
        ("def reward(completions, **c): return [float('inf')] * len(completions)", "inf"),
        ("def reward(completions, **c): return ['1'] * len(completions)", "str"),
        ("def reward(completions, **c): return [True] * len(completions)", "bool"),
        ("def reward(completions, **c): return [2.0] * len(completions)", "not between 0 and 1"),
        ("def reward(completions, **c): return []", "returned 0 values for 1"),
        ("def reward(completions, **c): return 1.0", "not iterable"),
        ("def reward(completions, **c):\n    raise KeyError('unit')", r"KeyError: 'unit' \(line 2\)"),
        ("def reward(completions, **c):\n    while True: pass", "no answer within"),
        ("import os\ndef reward(completions, **c): os._exit(3)", "exit code 3"),
        ("def reward(completions, unit): return [1.0]", "unit"),
    ],
)
def test_what_is_no_score_is_an_error_with_its_reason(code, message):
    [said] = scores(code, "5", timeout=0.3 if "while True" in code else 10)
    assert isinstance(said, str)
    assert pytest.importorskip("re").search(message, said), said


def test_a_bad_row_costs_only_itself():
    code = (
        "def reward(completions, **columns):\n    assert 'bad' not in completions, 'no'\n"
        "    return [1.0] * len(completions)\n"
    )
    first, second, third = scores(code, "a", "bad", "c")
    assert (first, third) == (1.0, 1.0) and "AssertionError: no (line 2)" in second


def test_the_range_is_brought_to_0_and_1():
    assert scores(LENGTHS, "ab", "abcd", lowest=0, highest=4) == [0.5, 1.0]


def test_the_next_batch_works_after_one_that_hung():
    code = (
        "def reward(completions, **c):\n    while completions == ['hang']: pass\n    return [1.0] * len(completions)\n"
    )
    assert "no answer" in scores(code, "hang", timeout=1.5)[0]
    assert scores(code, "x", timeout=1.5) == [1.0]


def test_where_the_sandbox_can_not_be_enforced_nothing_runs(monkeypatch):
    monkeypatch.setattr(jail_process, "unavailable", lambda: "No sandbox here.")
    monkeypatch.setattr(custom.jail_process, "unavailable", lambda: "No sandbox here.")
    assert scores(LENGTHS, "5") == ["No sandbox here."]


# Warm processes


def test_a_process_is_kept_between_batches(own_pool):
    with own_pool.lent(LENGTHS) as jail:
        first = jail.process.pid
    with own_pool.lent(LENGTHS) as jail:
        assert jail.process.pid == first
        assert jail.rewards(["abc"], {}) == [3.0]


def test_the_process_used_longest_ago_is_ended_first(own_pool):
    pids = []
    for number in range(3):
        with own_pool.lent(f"{LENGTHS}# {number}") as jail:
            pids.append(jail.process.pid)
    assert [psutil.pid_exists(pid) for pid in pids] == [False, True, True]


def test_teams_never_share_a_process(own_pool):
    def process(owner: str) -> int:
        with owned_by(lambda: owner), own_pool.lent(LENGTHS) as jail:
            return jail.process.pid

    first = process("a")
    assert process("a") == first and process("b") != first


def test_two_threads_at_once_get_a_process_each(own_pool):
    barrier, pids = threading.Barrier(2, timeout=10), []

    def borrow():
        with own_pool.lent(LENGTHS) as jail:
            barrier.wait()
            pids.append(jail.process.pid)

    threads = [threading.Thread(target=borrow) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(pids)) == 2 and len(own_pool.warm) == 1


def test_a_process_outlives_the_thread_that_asked_for_it(own_pool):
    pids = []

    def borrow():
        with own_pool.lent(LENGTHS) as jail:
            pids.append(jail.process.pid)

    thread = threading.Thread(target=borrow)
    thread.start()
    thread.join()
    time.sleep(0.2)
    with own_pool.lent(LENGTHS) as jail:
        assert jail.process.pid == pids[0] and jail.rewards(["abc"], {}) == [3.0]


def test_a_process_that_was_killed_is_started_again(own_pool):
    with own_pool.lent(LENGTHS) as jail:
        killed = jail.process
    killed.kill()
    killed.wait()
    with own_pool.lent(LENGTHS) as jail:
        assert jail.rewards(["abc"], {}) == [3.0]


def test_code_that_does_not_load_leaves_no_process(own_pool):
    with pytest.raises(SandboxError, match="ZeroDivisionError"), own_pool.lent("1 / 0\n" + LENGTHS):
        pytest.fail("it was lent")
    assert not own_pool.warm


def test_closing_ends_every_process(own_pool):
    with own_pool.lent(LENGTHS) as jail:
        process = jail.process
    own_pool.close()
    assert process.poll() is not None


def test_a_thousand_answers_cost_little_more_than_the_call_itself():
    """A smoke test of the shape, no timing: `make bench` measures."""
    samples = [Sample("?", "x" * 200) for _ in range(1000)]
    results = made(LENGTHS, highest=400).score_all(samples)
    assert [result.total for result in results] == [0.5] * 1000


def test_the_shared_pool_is_used():
    scores(LENGTHS, "a")
    assert any(code == LENGTHS for _, code in pool.warm)
    assert all(isinstance(jail, Jail) for jail in pool.warm.values()) and os.getpid()

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from rewards.composition import Composition
from rewards.functions import embedding
from rewards.functions.embedding import EmbeddingSimilarity, embedding_similarity
from rewards.registry import REGISTRY, Markers, RewardError, Sample, Score

MARKERS = Markers(solution_start="<SOLUTION>", solution_end="</SOLUTION>")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


class CountsLetters:
    """A real, tiny encoder: how often each letter occurs, as a vector of length 1."""

    batches: list[list[str]] = []

    def __init__(self, model: str, **options: object) -> None:
        if model == "missing":
            raise OSError("no such folder")
        self.options = options

    def encode(self, texts, normalize_embeddings, show_progress_bar):
        self.batches.append(list(texts))
        counts = np.array([[text.casefold().count(letter) for letter in LETTERS] for text in texts], dtype=np.float32)
        return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)


@pytest.fixture(autouse=True)
def encoder(monkeypatch):
    package = SimpleNamespace(SentenceTransformer=CountsLetters, __spec__=SimpleNamespace(name=embedding.PACKAGE))
    monkeypatch.setitem(sys.modules, embedding.PACKAGE, package)
    monkeypatch.setattr(CountsLetters, "batches", [])
    embedding.encoder.cache_clear()
    yield
    embedding.encoder.cache_clear()


def scored(*pairs: tuple[str, str | None], **parameters: object) -> list:
    samples = [Sample("What did the small cat do?", answer, ref, markers=MARKERS) for answer, ref in pairs]
    return embedding_similarity(samples, EmbeddingSimilarity(**parameters))


def test_each_example_scores_what_it_says():
    for example in REGISTRY["embedding_similarity"].examples:
        (score,) = embedding_similarity([example.sample], EmbeddingSimilarity(**example.parameters))
        assert score.value == pytest.approx(example.value)


def test_a_batch_is_embedded_at_once_and_each_text_only_once():
    verdicts = scored(("It slept.", "It slept."), ("It ran.", "It slept."), ("It ran.", "It ran."))
    assert [verdict.value == 1 for verdict in verdicts] == [True, False, True]
    assert CountsLetters.batches == [["It ran.", "It slept."]]


def test_the_right_answer_outscores_wrong_empty_echoed_and_listed_ones():
    wrong = ["It ran away", "", "What did the small cat do?", "It slept, ran, ate, flew", "<SOLUTION></SOLUTION>"]
    right, *others = [verdict.value for verdict in scored(*((answer, "It slept") for answer in ["It slept", *wrong]))]
    assert right == 1
    assert all(other < right for other in others)


def test_of_several_blocks_the_worst_counts():
    (both,) = scored(("<SOLUTION>aa</SOLUTION><SOLUTION>bb</SOLUTION>", "aa"))
    assert both.value == 0


def test_a_threshold_makes_it_pass_or_fail():
    assert [v.value for v in scored(("aab", "aa"), ("abb", "aa"), pass_threshold=0.8)] == [1, 0]


def test_what_can_not_be_judged_is_an_error_beside_the_others():
    missing, long, fine = scored(("a", None), ("a" * 20_001, "a"), ("a", "a"))
    assert isinstance(missing, RewardError)
    assert "no reference" in str(missing)
    assert "20\u202f001 characters" in str(long)
    assert fine == Score(1.0, "The reference itself.")


def test_a_text_of_the_same_meaning_scores_in_full():
    assert scored(("tac", "cat")) == [Score(1.0, "Cosine 1.000.")]


def test_one_answer_is_judged_as_a_batch_of_one():
    function = REGISTRY["embedding_similarity"]
    assert function.score(Sample("?", "aab", "aa"), EmbeddingSimilarity()) == scored(("aab", "aa"))[0]
    with pytest.raises(RewardError, match="no reference"):
        function.score(Sample("?", "aab"), EmbeddingSimilarity())


def test_nothing_is_fetched_and_no_foreign_code_run():
    assert embedding.encoder("tiny").options == {
        "device": "cpu", "local_files_only": True, "trust_remote_code": False,
    }  # fmt: skip


def test_a_model_that_is_not_there_is_an_error_for_the_whole_batch():
    part = {"name": "meaning", "function": "embedding_similarity", "parameters": {"model": "missing"}}
    result = Composition.model_validate({"parts": [part]}).score(Sample("?", "b", "a"))
    assert result.total is None
    assert "'missing' can't be loaded from this machine" in result.errors["meaning"]


def test_without_the_package_it_says_what_to_install_and_scores_nothing(monkeypatch):
    monkeypatch.setattr(embedding, "find_spec", lambda name: None)
    composition = Composition.model_validate({"parts": [{"name": "meaning", "function": "embedding_similarity"}]})
    assert composition.unavailable == [f"meaning: {embedding.unavailable()}"]
    assert "pip install sentence-transformers" in composition.score(Sample("?", "b", "a")).errors["meaning"]


def test_the_package_is_imported_only_when_it_is_used(monkeypatch):
    monkeypatch.setitem(sys.modules, embedding.PACKAGE, None)
    assert scored(("", "a"))[0].value == 0
    with pytest.raises(RewardError, match="pip install"):
        scored(("b", "a"))


def test_only_with_a_threshold_is_the_highest_score_a_verdict():
    assert EmbeddingSimilarity(pass_threshold=0.8).decides()
    assert not EmbeddingSimilarity().decides()

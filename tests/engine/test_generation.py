from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from tests.engine.conftest import SIZES
from training.engine.decoder import Decoder, common_prefix
from training.engine.generation import (
    Answer,
    Completion,
    Generator,
    Sampling,
    decoding_options,
    generate,
    nucleus,
    sample,
    seeded,
    stream,
)
from training.engine.problems import Stopper, StopRequested, never

PROMPTS = [
    "<|user|>What is 17 + 4?<|end|><|assistant|>",
    "<|user|>How many apples are left when Anna eats 3 of 12?<|end|><|assistant|>",
    "<|user|>a<|end|><|assistant|>",
    "<|user|>What is 17 + 4?<|end|><|assistant|>",
]
KINDS: dict[str, Any] = {
    "llama": (LlamaConfig, LlamaForCausalLM, {}),
    "llama with scaled rope": (
        LlamaConfig,
        LlamaForCausalLM,
        {
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 500_000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            }
        },
    ),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, {}),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, {"head_dim": 16}),
    "mistral": (MistralConfig, MistralForCausalLM, {"sliding_window": None}),
}


def make(kind: str, tokenizer: PreTrainedTokenizerFast) -> Any:
    config_class, model_class, extra = KINDS[kind]
    torch.manual_seed(1)
    model = model_class(config_class(vocab_size=len(tokenizer), **SIZES, **extra)).eval()
    for parameter in model.parameters():
        parameter.data.mul_(3.0 if parameter.dim() == 2 else 1.0)
    return model


def encoded(tokenizer: PreTrainedTokenizerFast) -> list[list[int]]:
    return [tokenizer(prompt, add_special_tokens=False)["input_ids"] for prompt in PROMPTS]


def complete(generator: Generator, prompts: list[list[int]], sampling: Sampling, copies: int = 1) -> list[Completion]:
    return generator.complete(prompts, copies, sampling, Stopper(never))


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_answers_are_those_of_model_generate(kind: str, tokenizer: PreTrainedTokenizerFast) -> None:
    generator = Generator(make(kind, tokenizer), tokenizer)
    assert generator.engine == "own loop"
    own = complete(generator, encoded(tokenizer), Sampling(24))
    generator.decoder = None
    theirs = complete(generator, encoded(tokenizer), Sampling(24))

    assert [each.ids for each in own] == [each.ids for each in theirs]
    assert [each.cut_off for each in own] == [each.cut_off for each in theirs]


def test_finished_rows_leave_the_batch_without_changing_the_others(tokenizer: PreTrainedTokenizerFast) -> None:
    generator = Generator(make("llama", tokenizer), tokenizer)
    whole = complete(generator, encoded(tokenizer), Sampling(24))
    # Each row now ends where it first says one of these, at different times.
    generator.ends = {whole[0].ids[2], whole[1].ids[9], whole[2].ids[15]}
    own = complete(generator, encoded(tokenizer), Sampling(24))
    generator.decoder = None
    theirs = complete(generator, encoded(tokenizer), Sampling(24))

    assert len({len(each.ids) for each in own}) > 1
    assert [each.ids for each in own] == [each.ids for each in theirs]


def test_copies_of_a_prompt_stand_next_to_each_other(tokenizer: PreTrainedTokenizerFast) -> None:
    generator = Generator(make("llama", tokenizer), tokenizer)
    single = complete(generator, encoded(tokenizer), Sampling(6))
    triple = complete(generator, encoded(tokenizer), Sampling(6), copies=3)

    assert [each.ids for each in triple] == [each.ids for each in single for _ in range(3)]


def test_an_adapter_counts_at_once_after_a_refresh(tokenizer: PreTrainedTokenizerFast) -> None:
    model = get_peft_model(make("qwen3", tokenizer), LoraConfig(r=4, target_modules="all-linear"))
    generator = Generator(model, tokenizer)
    before = complete(generator, encoded(tokenizer), Sampling(12))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.5)
    generator.refresh()
    after = complete(generator, encoded(tokenizer), Sampling(12))
    generator.decoder = None
    theirs = complete(generator, encoded(tokenizer), Sampling(12))

    assert [each.ids for each in before] != [each.ids for each in after]
    assert [each.ids for each in after] == [each.ids for each in theirs]


def test_a_disabled_adapter_does_not_count(tokenizer: PreTrainedTokenizerFast) -> None:
    plain = make("llama", tokenizer)
    base = complete(Generator(plain, tokenizer), encoded(tokenizer), Sampling(12))
    model = get_peft_model(plain, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
    with model.disable_adapter():
        found = complete(Generator(model, tokenizer), encoded(tokenizer), Sampling(12))

    assert [each.ids for each in found] == [each.ids for each in base]


def test_a_model_of_another_shape_is_served_by_transformers(tokenizer: PreTrainedTokenizerFast) -> None:
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=4, n_positions=128)
    model = GPT2LMHeadModel(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    answers = generate(model, tokenizer, PROMPTS, max_new_tokens=5)

    assert Generator(model, tokenizer).engine == "model.generate"
    assert len(answers) == 4
    assert answers[0].text == answers[3].text


def test_the_own_loop_steps_back_where_its_logits_are_not_the_models(
    tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make("llama", tokenizer)
    monkeypatch.setattr(Decoder, "norm", lambda self, hidden, weight: hidden * weight)

    assert Decoder.of(model) is None


def test_answers_keep_the_order_of_the_prompts_whatever_the_batches(
    model_folder: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    model = AutoModelForCausalLM.from_pretrained(model_folder)
    seen: list[int] = []
    together = generate(model, tokenizer, PROMPTS, max_new_tokens=6)
    alone = generate(
        model, tokenizer, PROMPTS, max_new_tokens=6, batch_size=1, on_batch=lambda rows, answers: seen.extend(rows)
    )

    assert [answer.text for answer in together] == [answer.text for answer in alone]
    assert sorted(seen) == [0, 1, 2, 3]
    assert all((1 <= answer.tokens <= 6 and answer.cut_off is (answer.tokens == 6)) or answer.text for answer in alone)


def test_the_same_seed_samples_the_same_and_leaves_the_dice_alone(
    model_folder: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    model = AutoModelForCausalLM.from_pretrained(model_folder)
    options: dict[str, Any] = {"max_new_tokens": 12, "temperature": 1.0, "top_p": 0.9}
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = [a.text for a in generate(model, tokenizer, PROMPTS, seed=1, **options)]

    assert torch.rand(1) == expected
    assert first == [a.text for a in generate(model, tokenizer, PROMPTS, seed=1, **options)]
    assert first != [a.text for a in generate(model, tokenizer, PROMPTS, seed=2, **options)]


@pytest.mark.parametrize("own", [True, False])
def test_generation_stops_within_a_token(own: bool, tokenizer: PreTrainedTokenizerFast) -> None:
    generator = Generator(make("llama", tokenizer), tokenizer)
    generator.ends = {-1}
    if not own:
        generator.decoder = None
    with pytest.raises(StopRequested):
        generator.complete(encoded(tokenizer), 1, Sampling(10_000 if own else 400), Stopper(lambda: True))


def shares(logits: torch.Tensor, sampling: Sampling, draws: int = 4000) -> dict[int, float]:
    torch.manual_seed(0)
    counts = Counter(sample(logits.repeat(draws, 1), sampling).tolist())
    return {token: count / draws for token, count in counts.items()}


LOGITS = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()


def test_temperature_zero_takes_the_likeliest() -> None:
    assert shares(LOGITS, Sampling(1)) == {0: 1.0}


def test_sampling_follows_the_probabilities() -> None:
    found = shares(LOGITS, Sampling(1, 1.0))
    assert found == pytest.approx({0: 0.4, 1: 0.3, 2: 0.2, 3: 0.1}, abs=0.03)


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    # 0.4 + 0.3 reach 0.6 but 0.4 does not
    assert shares(LOGITS, Sampling(1, 1.0, 0.6)) == pytest.approx({0: 4 / 7, 1: 3 / 7}, abs=0.03)


def test_top_k_keeps_the_k_likeliest_and_top_p_goes_on_from_them() -> None:
    assert shares(LOGITS, Sampling(1, 1.0, 1.0, 2)) == pytest.approx({0: 4 / 7, 1: 3 / 7}, abs=0.03)
    assert shares(LOGITS, Sampling(1, 1.0, 0.5, 2)) == {0: 1.0}


def test_min_p_leaves_out_what_is_far_less_likely_than_the_likeliest() -> None:
    # 0.4 * 0.6 = 0.24: only the two likeliest reach it
    assert shares(LOGITS, Sampling(1, 1.0, 1.0, 0, 0.6)) == pytest.approx({0: 4 / 7, 1: 3 / 7}, abs=0.03)
    assert shares(LOGITS, Sampling(1, 1.0, 1.0, 3, 0.6)) == pytest.approx({0: 4 / 7, 1: 3 / 7}, abs=0.03)
    assert shares(LOGITS, Sampling(1, 1.0, 1.0, 0, 1.0)) == {0: 1.0}


def test_top_p_and_min_p_together_keep_what_both_keep() -> None:
    assert set(shares(LOGITS, Sampling(1, 1.0, 0.75, 0, 0.1))) == {0, 1, 2}
    assert set(shares(LOGITS, Sampling(1, 1.0, 0.75, 0, 0.6))) == {0, 1}
    assert set(shares(LOGITS, Sampling(1, 1.0, 0.3, 0, 0.1))) == {0}


@pytest.mark.parametrize("penalty", [0.7, 1.3, 2.0])
@pytest.mark.parametrize("kind", KINDS)
def test_the_repetition_penalty_is_that_of_transformers(
    kind: str, penalty: float, tokenizer: PreTrainedTokenizerFast
) -> None:
    generator = Generator(make(kind, tokenizer), tokenizer)
    # One length, because transformers counts padding as said.
    prompts = [prompt[:7] for prompt in encoded(tokenizer) if len(prompt) >= 7]
    sampling = Sampling(24, repetition_penalty=penalty)
    own = complete(generator, prompts, sampling)
    free = complete(generator, prompts, Sampling(24))
    generator.decoder = None

    assert [each.ids for each in own] == [each.ids for each in complete(generator, prompts, sampling)]
    assert [each.ids for each in own] != [each.ids for each in free]


def test_rows_that_leave_the_batch_take_what_they_said_along(tokenizer: PreTrainedTokenizerFast) -> None:
    generator = Generator(make("llama", tokenizer), tokenizer)
    prompts = [prompt[:7] for prompt in encoded(tokenizer) if len(prompt) >= 7]
    sampling = Sampling(24, repetition_penalty=1.4)
    whole = complete(generator, prompts, sampling)
    generator.ends = {whole[0].ids[2], whole[1].ids[9]}
    own = complete(generator, prompts, sampling)
    generator.decoder = None

    assert len({len(each.ids) for each in own}) > 1
    assert [each.ids for each in own] == [each.ids for each in complete(generator, prompts, sampling)]


def test_every_sampling_option_reaches_transformers() -> None:
    given = decoding_options(Sampling(9, 0.5, 0.6, 7, 0.1, 1.2))
    assert given == {
        "max_new_tokens": 9,
        "do_sample": True,
        "temperature": 0.5,
        "top_p": 0.6,
        "top_k": 7,
        "min_p": 0.1,
        "repetition_penalty": 1.2,
    }


@pytest.mark.parametrize("adapter", [{"use_dora": True}, {"use_rslora": True}, {"bias": "all"}])
def test_each_kind_of_adapter_counts_in_the_own_loop(
    adapter: dict[str, Any], tokenizer: PreTrainedTokenizerFast
) -> None:
    model = get_peft_model(make("qwen2", tokenizer), LoraConfig(r=4, target_modules="all-linear", **adapter))
    generator = Generator(model, tokenizer)
    before = complete(generator, encoded(tokenizer), Sampling(12))
    torch.manual_seed(3)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data.add_(torch.randn_like(parameter) * 0.3)
    generator.refresh()
    after = complete(generator, encoded(tokenizer), Sampling(12))
    generator.decoder = None

    assert [each.ids for each in before] != [each.ids for each in after]
    assert [each.ids for each in after] == [each.ids for each in complete(generator, encoded(tokenizer), Sampling(12))]


def test_a_tiny_top_p_ends_by_sorting_and_still_finds_the_likeliest() -> None:
    flat = torch.full((64, 1000), 1e-3)
    flat[:, 77] = 2e-3
    assert set(nucleus(flat, 1e-3).tolist()) == {77}


def test_temperature_sharpens() -> None:
    assert shares(LOGITS, Sampling(1, 0.25))[0] > 0.7


def test_the_common_beginning_leaves_every_prompt_a_token_of_its_own() -> None:
    assert common_prefix([[1, 2, 3], [1, 2, 4]]) == 2
    assert common_prefix([[1, 2], [1, 2, 4]]) == 1
    assert common_prefix([[5], [5]]) == 0
    assert common_prefix([[1, 2], [3]]) == 0


# Told while it grows


def streamed(generator: Generator, sampling: Sampling, stops: tuple[str, ...] = ()) -> tuple[Answer, list[str]]:
    told: list[str] = []
    with seeded(5):
        made = stream(generator, PROMPTS[1], sampling, Stopper(never), told.append, stops)
    return made, told


@pytest.fixture(params=["own loop", "model.generate"])
def either(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("training.engine.generation.TELL_SECONDS", 0.0)
    generator = Generator(make("llama", tokenizer), tokenizer)
    if request.param == "model.generate":
        generator.decoder = None
    assert generator.engine == request.param
    return generator


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_streamed_answer_is_the_one_that_is_made_at_once(either: Generator, temperature: float) -> None:
    sampling = Sampling(20, temperature)
    made, told = streamed(either, sampling)
    with seeded(5):
        (whole,) = either.complete([encoded(either.tokenizer)[1]], 1, sampling, Stopper(never))
    assert made.text == either.tokenizer.decode(whole.ids, skip_special_tokens=True)
    assert (made.tokens, made.cut_off) == (len(whole.ids), whole.cut_off)
    assert len(told) >= made.tokens - 1 and all(made.text.startswith(text) for text in told)
    assert told == sorted(told, key=len)


def test_a_streamed_answer_ends_before_a_stop_text_of_which_nothing_is_told(either: Generator) -> None:
    whole, _ = streamed(either, Sampling(20))
    stop = whole.text[len(whole.text) // 2 :][:4]
    made, told = streamed(either, Sampling(20), ("never said", stop))
    assert made.text == whole.text[: whole.text.index(stop)]
    assert made.tokens < whole.tokens and not made.cut_off
    assert all(made.text.startswith(text) for text in told)

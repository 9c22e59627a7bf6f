"""The words a newcomer meets, in our own words. Shown on the help page and, by `{% term %}`, wherever they occur."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    title: str
    definition: str


GLOSSARY = {
    "adapter": Entry(
        "Adapter", "A small set of extra weights that sits on a frozen base model. It is all that training changes."
    ),
    "advantage": Entry(
        "Advantage",
        "How much better an answer scored than the other answers to the same question. Above 0 it becomes likelier.",
    ),
    "base_model": Entry("Base model", "The model you start from. Its own weights are never changed here."),
    "batch_size": Entry("Batch size", "How many answers go through the model at once. Larger needs more memory."),
    "clip_ratio": Entry(
        "Policy clip ratio",
        "Share of tokens whose update was held back, because it would have made them much less likely (min bound) or"
        " much likelier (max bound) than before. The clip reason is the bound that did it more often. It has nothing to"
        " do with truncated answers.",
    ),
    "completion_length": Entry(
        "Completion length",
        "Tokens of an answer, as the mean of a step. Growing towards the limit, it leads to truncated answers.",
    ),
    "cuda": Entry("CUDA", "What lets programs compute on NVIDIA graphics cards. Without it, training uses the CPU."),
    "epoch": Entry("Epoch", "One pass over all training rows."),
    "fine_tuning": Entry("Fine-tuning", "Going on with the training of a finished model, on data for your own task."),
    "gguf": Entry("GGUF", "One file with a model in it, often quantized, as llama.cpp, Ollama and LM Studio read it."),
    "gradient_accumulation": Entry(
        "Gradient accumulation",
        "Several small batches are computed one after another and count as one large batch: the memory of the small,"
        " the effect of the large.",
    ),
    "gradient_clipping": Entry(
        "Gradient clipping", "Shortens a step that would be too large, so that one odd batch can't ruin the model."
    ),
    "grad_norm": Entry(
        "Grad norm", "Length of the update before clipping. 0 means nothing is learnt; sudden peaks mean trouble."
    ),
    "grpo": Entry(
        "GRPO",
        "Group Relative Policy Optimization: the model answers each question several times, a reward scores the"
        " answers, and those better than their group become likelier.",
    ),
    "gradient": Entry(
        "Gradient",
        "The direction in which each weight is moved. A group whose answers all scored alike has none, so what it cost"
        " taught nothing.",
    ),
    "group": Entry("Group", "All answers to one question in one step. They are compared only with each other."),
    "gspo": Entry("GSPO", "Like GRPO, but an update is weighed for the whole answer instead of token by token."),
    "signal_mixed": Entry(
        "Group that taught something", "Its answers scored differently, so the better ones become likelier."
    ),
    "signal_right": Entry(
        "Group, all right",
        "Every answer was judged correct or, where the reward judges nothing, got the best total there is. No answer"
        " is better than the others, so nothing is learned.",
    ),
    "signal_wrong": Entry(
        "Group, all wrong",
        "All answers scored alike, and not as right. Where a formula makes the total its best is not known: such groups"
        " count here, too.",
    ),
    "signal_truncated": Entry(
        "Group, all cut off", "Every answer was cut off at the token limit, and all scored alike."
    ),
    "signal_errored": Entry("Group, not scored", "Fewer than two of its answers could be scored: nothing to compare."),
    "held_out": Entry(
        "Held-out questions", "Rows kept apart from training, so that the score shows skill and not memory."
    ),
    "interval": Entry(
        "95 % interval", "The range in which the true accuracy lies, 95 times in 100. Fewer questions make it wider."
    ),
    "kl": Entry(
        "KL divergence", "How far the trained model's choices have moved from its base. Fast growth is a warning."
    ),
    "learning_rate": Entry(
        "Learning rate", "How large a step each update takes. Too small learns nothing, too large forgets everything."
    ),
    "lora": Entry(
        "LoRA",
        "Low-Rank Adaptation: trains two thin matrices beside each large one. About 1 to 2 % of the model's size.",
    ),
    "lora_alpha": Entry("LoRA alpha", "Strength of the adapter. What counts is alpha divided by the rank."),
    "lora_rank": Entry("LoRA rank", "Width of the adapter's matrices: how much it can learn."),
    "quantization": Entry(
        "Quantization", "Storing weights with fewer bits. Smaller and faster, and a little less exact."
    ),
    "reinforcement_learning": Entry(
        "Reinforcement learning", "Learning from a score for what was done, rather than from examples to copy."
    ),
    "reward": Entry("Reward function", "A small program that reads an answer and returns a number: higher is better."),
    "reward_mean": Entry(
        "Mean reward", "What a step's answers scored on average. It should rise; the band shows how much they differ."
    ),
    "sft": Entry(
        "SFT warm-up", "A short round of copying the dataset's own answers, so that the model knows the format."
    ),
    "step": Entry("Step", "One round: answer some questions, score the answers, update the adapter once."),
    "step_time": Entry("Time per step", "Seconds for one step: answering takes most of it, then scoring and learning."),
    "system_prompt": Entry("System prompt", "Instructions that the model reads before every question."),
    "temperature": Entry(
        "Temperature", "How freely the next token is drawn: near 0 always the likeliest, higher more varied."
    ),
    "token": Entry("Token", "The piece of text a model reads and writes: a short word or part of a longer one."),
    "truncated": Entry(
        "Truncated",
        "Share of answers that were cut off at the token limit before they were finished. TRL logs it as"
        " completions/clipped_ratio. Many of these: allow more new tokens. It has nothing to do with policy clipping.",
    ),
    "validation_loss": Entry(
        "Validation loss", "The loss on rows that are not trained on. It rises again when a model learns by heart."
    ),
    "vram": Entry("VRAM", "The memory of a graphics card. It limits how large a model can be trained."),
    "warmup": Entry("Warm-up", "The first steps, in which the learning rate rises from 0 to its value."),
}


@dataclass(frozen=True)
class Concept:
    key: str
    title: str
    paragraphs: tuple[str, ...]
    points: tuple[tuple[str, str], ...] = ()


CONCEPTS = [
    Concept(
        "grpo",
        "How GRPO works",
        (
            "GRPO improves a model by letting it try. It needs questions and a way to score answers, but no ideal"
            " answers to copy and no second model that judges.",
        ),
        (
            ("Answer", "The model answers one question several times. These answers are a group."),
            ("Score", "The reward function gives each answer a number."),
            (
                "Compare",
                "Each score is set against its group: better than the average is an advantage, worse a disadvantage.",
            ),
            (
                "Learn",
                "Answers with an advantage become likelier, the others less likely, and the KL penalty keeps the"
                " model near its base.",
            ),
        ),
    ),
    Concept(
        "no-signal",
        "When a group teaches nothing",
        (
            "If all answers of a group score the same, none is better than the others, and the step learns nothing."
            " Too easy and too hard questions both waste time: the best questions are those the model gets right"
            " sometimes.",
        ),
    ),
    Concept(
        "gspo",
        "GRPO or GSPO",
        (
            "Both compare the answers of a group. GRPO weighs the update token by token; GSPO weighs the answer as a"
            " whole, which is calmer for long answers. It is “Importance sampling: sequence”. Begin with GRPO.",
        ),
    ),
    Concept(
        "lora",
        "What LoRA changes",
        (
            "The base model is frozen. Beside its large matrices sit pairs of thin ones, and only these are trained:"
            " about 1 to 2 % of the size, a file of 10 to 100 MB. One base can carry many adapters, one for each task.",
        ),
        (
            ("Rank", "Width of the thin matrices. 8 to 32 is usual; more can learn more and needs more memory."),
            ("Alpha", "How strongly the adapter counts, as alpha divided by rank. Twice the rank is usual."),
            ("Dropout", "Share of the adapter's input left out at random. 0 is right unless you have very few rows."),
        ),
    ),
    Concept(
        "reward",
        "What makes a good reward",
        (
            "A reward function reads an answer and the expected answer and returns a number, usually from 0 to 1. The"
            " model becomes what the reward pays for, including its loopholes.",
        ),
        (
            ("Exact match", "1 if the answer is the expected one, else 0. Clear, and silent on how near it was."),
            ("Partial credit", "Something in between for what is partly right."),
            ("Several parts", "A weighted sum, for instance of a right answer, the right format and a fitting length."),
            ("Heuristic", "Signs that can be counted, such as length or keywords. Easy to fool."),
            ("Judge", "Another language model gives the score. Flexible, slower, and it can be wrong."),
        ),
    ),
    Concept(
        "practice",
        "Good practice",
        ("Most failed runs fail in the reward, not in the settings.",),
        (
            ("Start simple", "One part that checks the answer. Add others when you see why."),
            ("Reward what you want", "If length is paid, you get length."),
            ("Test before training", "Score a few right, wrong and silly answers on the reward's page."),
            ("Watch the spread", "If the rewards of a group stop differing, learning has stopped."),
            ("Trust held-out questions", "A rising training reward alone proves nothing."),
        ),
    ),
    Concept(
        "prompt",
        "What the system prompt is for",
        (
            "It tells the model what to do and how to mark its answer. The markers part the working from the solution,"
            " so that the reward finds the answer for certain and you can read how the model got there.",
        ),
        (
            ("System message", "The instructions that stand before every question."),
            ("Question", "The dataset's question column, as it is."),
            ("Answer", "Working out between the reasoning markers, the result between the solution markers."),
        ),
    ),
    Concept(
        "numbers",
        "Reading the charts",
        ("Four numbers tell most of the story.",),
        (
            (
                "Reward",
                "Should rise, with ups and downs. Flat from the start: too hard, too easy, or a reward without spread.",
            ),
            ("Reward spread", "How much answers differ. At 0 there is nothing to learn from."),
            ("KL", "Should grow slowly. A jump means that the model is leaving its base: lower the learning rate."),
            ("Answer length", "Growing towards the limit means cut-off answers: allow more tokens or pay for brevity."),
        ),
    ),
]

from django.db import migrations

SECTIONED = (
    "{opening}\n"
    "Think about the problem and provide your working out.\n"
    "Place it between {reasoning_start} and {reasoning_end}.\n"
    "Then, provide your solution between {solution_start}{solution_end}"
)
WORKING_OUT = {
    "reasoning_start": "<start_working_out>",
    "reasoning_end": "<end_working_out>",
    "solution_start": "<SOLUTION>",
    "solution_end": "</SOLUTION>",
}


def sectioned(opening):
    return SECTIONED.replace("{opening}", opening)


def tags(reasoning, solution, brackets="<>"):
    left, right = brackets
    return {
        "reasoning_start": f"{left}{reasoning}{right}",
        "reasoning_end": f"{left}/{reasoning}{right}",
        "solution_start": f"{left}{solution}{right}",
        "solution_end": f"{left}/{solution}{right}",
    }


SHIPPED = {
    "Qwen GRPO": {
        "template_type": "qwen",
        "description": "The markers that Qwen and DeepSeek models were trained to think in.",
        "system_prompt": sectioned("You are given a problem."),
        **tags("think", "answer"),
    },
    "LLaMA GRPO": {
        "template_type": "llama",
        "description": "Markers in square brackets, for Llama models.",
        "system_prompt": sectioned("You are given a problem."),
        **tags("REASONING", "ANSWER", "[]"),
    },
    "Phi GRPO": {
        "template_type": "phi",
        "description": "Plain words as markers, for Phi models.",
        "system_prompt": sectioned("You are given a problem."),
        **tags("reasoning", "output"),
    },
    "GRPO math": {
        "template_type": "grpo",
        "description": "The GRPO default for mathematics: every step shown, the final answer alone.",
        "system_prompt": (
            "You are an expert in mathematics. You are given a math problem.\n"
            "Work it out step by step, and show each calculation.\n"
            "Place your working out between {reasoning_start} and {reasoning_end}.\n"
            "Then, provide only the final answer, without units, between {solution_start} and {solution_end}"
        ),
        **WORKING_OUT,
    },
    "GRPO technical analysis": {
        "template_type": "grpo",
        "description": "The GRPO default for market data: indicators and trend first, then the conclusion.",
        "system_prompt": (
            "You are an expert in the technical analysis of financial markets. You are given market data.\n"
            "Analyse trend, momentum, volume, support and resistance before you conclude.\n"
            "Place your analysis between {reasoning_start} and {reasoning_end}.\n"
            "Then, provide your conclusion between {solution_start} and {solution_end}"
        ),
        **WORKING_OUT,
    },
}
# What is known now of those that came first.
EARLIER = {
    "GRPO default": {"template_type": "grpo", "description": "Reasoning, then the solution, each between its markers."},
    "Answer only": {
        "template_type": "custom",
        "description": "No reasoning: for small models and short answers.",
    },
    "Think and answer (Qwen)": {
        "template_type": "qwen",
        "description": "As Qwen GRPO, in fewer words.",
    },
}


def ship(apps, schema_editor):
    templates = apps.get_model("datasets_app", "PromptTemplate").objects
    for name, fields in SHIPPED.items():
        templates.update_or_create(team=None, name=name, defaults=fields)
    for name, fields in EARLIER.items():
        templates.filter(team=None, name=name).update(**fields)


def withdraw(apps, schema_editor):
    apps.get_model("datasets_app", "PromptTemplate").objects.filter(team=None, name__in=SHIPPED).delete()


class Migration(migrations.Migration):
    dependencies = [("datasets_app", "0003_uploads_imports_and_checks")]
    operations = [migrations.RunPython(ship, withdraw)]

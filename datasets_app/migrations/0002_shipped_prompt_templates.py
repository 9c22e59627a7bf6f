from django.db import migrations

SHIPPED = {
    "GRPO default": {
        "system_prompt": (
            "You are given a problem.\n"
            "Think about the problem and provide your working out.\n"
            "Place it between {reasoning_start} and {reasoning_end}.\n"
            "Then, provide your solution between {solution_start}{solution_end}"
        ),
        "reasoning_start": "<start_working_out>",
        "reasoning_end": "<end_working_out>",
        "solution_start": "<SOLUTION>",
        "solution_end": "</SOLUTION>",
    },
    "Answer only": {
        "system_prompt": "Give only the final answer, between {solution_start} and {solution_end}.",
        "solution_start": "<SOLUTION>",
        "solution_end": "</SOLUTION>",
    },
    "Think and answer (Qwen)": {
        "system_prompt": (
            "First think about the problem between {reasoning_start} and {reasoning_end}.\n"
            "Then give the final answer between {solution_start} and {solution_end}."
        ),
        "reasoning_start": "<think>",
        "reasoning_end": "</think>",
        "solution_start": "<answer>",
        "solution_end": "</answer>",
    },
}


def ship(apps, schema_editor):
    templates = apps.get_model("datasets_app", "PromptTemplate").objects
    for name, fields in SHIPPED.items():
        templates.update_or_create(team=None, name=name, defaults=fields)


def withdraw(apps, schema_editor):
    apps.get_model("datasets_app", "PromptTemplate").objects.filter(team=None, name__in=SHIPPED).delete()


class Migration(migrations.Migration):
    dependencies = [("datasets_app", "0001_datasets_and_templates")]
    operations = [migrations.RunPython(ship, withdraw)]

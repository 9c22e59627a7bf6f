from django.db import migrations, models


def take_all_rows(apps, schema_editor):
    """Blocks from before are drawn from what they have; the steps behind them are not read again."""
    blocks = apps.get_model("training", "SeriesBlock").objects.using(schema_editor.connection.alias)
    blocks.update(summary=models.F("data"))


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0013_prompt_outcomes"),
    ]

    operations = [
        migrations.AddField(
            model_name="seriesblock",
            name="summary",
            field=models.JSONField(default=dict, help_text="As data, with fewer rows: for a range of many blocks."),
            preserve_default=False,
        ),
        migrations.RunPython(take_all_rows, migrations.RunPython.noop),
    ]

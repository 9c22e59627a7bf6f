from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("training", "0001_sessions_events_and_catalogue")]

    operations = [
        migrations.AddField(
            model_name="session",
            name="attempts_before",
            field=models.PositiveIntegerField(
                default=0,
                editable=False,
                help_text="The attempt at which a person last started it: crashes count from here.",
            ),
        ),
    ]

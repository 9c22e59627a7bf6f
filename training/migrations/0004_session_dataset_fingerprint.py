from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("training", "0003_base_models")]

    operations = [
        migrations.AddField(
            model_name="session",
            name="dataset_fingerprint",
            field=models.JSONField(blank=True, default=dict, editable=False),
        ),
    ]

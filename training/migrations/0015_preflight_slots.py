from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_secrets_named_by_address'),
        ('datasets_app', '0004_shipped_prompt_templates_by_type'),
        ('training', '0014_summaries_of_series_blocks'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='preflight',
            name='device',
            field=models.CharField(blank=True, editable=False, max_length=160),
        ),
        migrations.AddField(
            model_name='preflight',
            name='slot',
            field=models.PositiveSmallIntegerField(default=0, editable=False),
        ),
        migrations.AddConstraint(
            model_name='preflight',
            constraint=models.UniqueConstraint(condition=models.Q(models.Q(('device', ''), _negated=True), models.Q(('worker', ''), _negated=True)), fields=('device', 'slot'), name='one_preflight_a_slot'),
        ),
    ]

import django.db.models.deletion
import django.db.models.functions.comparison
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_secrets_named_by_address'),
        ('datasets_app', '0004_shipped_prompt_templates_by_type'),
        ('training', '0009_preflights'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='QueuePause',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(auto_now_add=True)),
                ('reason', models.CharField(blank=True, max_length=200)),
            ],
        ),
        migrations.CreateModel(
            name='Worker',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('identity', models.CharField(help_text='Place, process id and start time.', max_length=120, unique=True)),
                ('place', models.CharField(db_index=True, max_length=80)),
                ('devices', models.JSONField(default=list)),
                ('started_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('beat_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('lease_until', models.DateTimeField(null=True)),
            ],
            options={
                'ordering': ['place', 'started_at'],
            },
        ),
        migrations.AddField(
            model_name='session',
            name='device',
            field=models.CharField(blank=True, editable=False, max_length=160),
        ),
        migrations.AddField(
            model_name='session',
            name='expected_seconds',
            field=models.FloatField(blank=True, editable=False, help_text='Estimated at its start.', null=True),
        ),
        migrations.AddField(
            model_name='session',
            name='priority',
            field=models.PositiveSmallIntegerField(choices=[(0, 'High'), (1, 'Normal'), (2, 'Low')], default=1),
        ),
        migrations.AddField(
            model_name='session',
            name='rank',
            field=models.IntegerField(default=0, editable=False, help_text='Its place among those of its team that wait.'),
        ),
        migrations.AddField(
            model_name='session',
            name='slot',
            field=models.PositiveSmallIntegerField(default=0, editable=False),
        ),
        migrations.AddConstraint(
            model_name='session',
            constraint=models.UniqueConstraint(condition=models.Q(('status__in', ['starting', 'pretraining', 'training', 'finishing']), models.Q(('device', ''), _negated=True)), fields=('device', 'slot'), name='one_session_a_slot'),
        ),
        migrations.AddField(
            model_name='queuepause',
            name='by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='queuepause',
            name='team',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.team'),
        ),
        migrations.AddConstraint(
            model_name='queuepause',
            constraint=models.UniqueConstraint(django.db.models.functions.comparison.Coalesce('team', models.Value(0)), name='one_pause_a_team'),
        ),
    ]

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('training', '0012_notes_and_origin'),
    ]

    operations = [
        migrations.AddField(
            model_name='session',
            name='dismissed',
            field=models.JSONField(blank=True, default=dict, editable=False),
        ),
        migrations.CreateModel(
            name='PromptOutcome',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('attempt', models.PositiveIntegerField()),
                ('step', models.PositiveIntegerField()),
                ('group', models.PositiveSmallIntegerField(help_text='Its place in the step.')),
                ('row', models.PositiveIntegerField(help_text="Number of the row in the dataset's version.")),
                ('epoch', models.PositiveIntegerField()),
                ('kind', models.CharField(max_length=10)),
                ('mean', models.FloatField(help_text='Of the totals that could be told.', null=True)),
                ('session', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='outcomes', to='training.session')),
            ],
            options={
                'indexes': [models.Index(fields=['session', 'row', 'epoch'], name='outcome_by_row'), models.Index(fields=['session', 'step'], name='outcome_by_step')],
            },
        ),
    ]

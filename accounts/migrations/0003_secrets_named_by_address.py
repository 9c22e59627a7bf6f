from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0002_team_secrets'),
    ]

    operations = [
        migrations.AlterField(
            model_name='teamsecret',
            name='name',
            field=models.CharField(max_length=340),
        ),
    ]

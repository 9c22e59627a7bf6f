from django.db import migrations

from rewards import shipped


def add(apps, schema_editor):
    shipped.write(apps.get_model("rewards", "RewardPreset").objects)


def remove(apps, schema_editor):
    slugs = [preset["slug"] for preset in shipped.SHIPPED]
    apps.get_model("rewards", "RewardPreset").objects.filter(team=None, slug__in=slugs).delete()


class Migration(migrations.Migration):
    dependencies = [("rewards", "0001_presets")]
    operations = [migrations.RunPython(add, remove)]

from django.db import migrations

from rewards import shipped


def add(apps, schema_editor):
    """What each preset is now becomes its newest version; only then are the shipped ones brought up to date."""
    presets = apps.get_model("rewards", "RewardPreset").objects
    versions = apps.get_model("rewards", "PresetVersion").objects
    for preset in presets.filter(versions=None):
        versions.create(
            preset=preset,
            number=preset.version,
            definition=preset.definition,
            golden=preset.golden,
            note="" if preset.team_id else "Shipped",
            created_by_id=preset.created_by_id,
        )
    shipped.write(presets, versions)


def remove(apps, schema_editor):
    apps.get_model("rewards", "PresetVersion").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [("rewards", "0003_preset_versions")]
    operations = [migrations.RunPython(add, remove)]

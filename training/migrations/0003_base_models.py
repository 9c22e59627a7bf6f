from django.db import migrations

from training.catalogue import ENTRIES


def add(apps, schema_editor):
    CatalogueModel = apps.get_model("training", "CatalogueModel")
    for entry in ENTRIES:
        CatalogueModel.objects.get_or_create(hub_id=entry.hub_id, defaults=entry.row)


def remove(apps, schema_editor):
    hub_ids = [entry.hub_id for entry in ENTRIES]
    apps.get_model("training", "CatalogueModel").objects.filter(hub_id__in=hub_ids).delete()


class Migration(migrations.Migration):
    dependencies = [("training", "0002_session_attempts_before")]

    operations = [migrations.RunPython(add, remove)]

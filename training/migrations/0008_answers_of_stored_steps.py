from django.db import migrations

ROW_BYTES = 200


def answers_of_events(apps, schema_editor):
    """Sessions from before answers had rows of their own can be searched, too."""
    Event, Completion = apps.get_model("training", "Event"), apps.get_model("training", "Completion")
    found = Event.objects.filter(kind="rollouts", superseded=False, step__isnull=False).order_by("pk")
    for event in found.iterator(20):
        Completion.objects.bulk_create(rows_of(Completion, event), batch_size=200)


def rows_of(Completion, event):
    for place, group in enumerate(event.data.get("groups") or []):
        for index, answer in enumerate(group.get("completions") or []):
            text = answer.get("text") or ""
            yield Completion(
                session_id=event.session_id,
                event_id=event.pk,
                step=event.step,
                group=place,
                index=index,
                text=text,
                size=len(text.encode()) + ROW_BYTES,
                characters=len(text),
                length=answer.get("length"),
                total=answer.get("total"),
                advantage=answer.get("advantage"),
                cut_off=bool(answer.get("cut_off")),
                failed=bool(answer.get("errors")) or answer.get("total") is None,
            )


class Migration(migrations.Migration):
    dependencies = [("training", "0007_completions")]

    operations = [migrations.RunPython(answers_of_events, migrations.RunPython.noop, elidable=True)]

"""One worker process of several that share a queue: it claims what waits, holds it for a moment, and ends it.

For `manage.py shell`. Each line on standard input is a word, answered by a line: "migrate"; "queue 40 30", sessions and
preflights instead of those before; "beat"; and "locked" or "unlocked", the race, answered by {"claims": [[session,
device, slot]], "shared": how often it saw somebody else on its slot, "tried": the same of preflights}. With "unlocked"
nothing but the constraint keeps slots apart.
The first session is held until as many devices are at work as there are workers: none is done before all have begun.
"""

import contextlib
import json
import random
import sys
import time
from unittest import mock

from django.core.management import call_command

from accounts.models import Team
from jobs import leases
from training import lifecycle, preflights, slots
from training.choices import RUNNING, Status
from training.models import Preflight, Session

WORKERS = 4
PATIENCE_SECONDS = 60


def main():
    for line in sys.stdin:
        word, *numbers = line.split()
        sys.stdout.write(json.dumps(ANSWERS[word](*map(int, numbers))) + "\n")
        sys.stdout.flush()


def queue(count, tried):
    Preflight.objects.all().delete()
    Session.objects.all().delete()
    teams = [Team.objects.get_or_create(name=str(number))[0] for number in range(3)]
    for number in range(count):
        Session.objects.create(team=teams[number % 3], name=str(number), status=Status.QUEUED, rank=number)
    draft = Session.objects.create(team=teams[0], name="draft")
    for _ in range(tried):
        Preflight.objects.create(team=teams[0], session=draft)


def unlocked():
    with (
        mock.patch.object(slots, "one_claim_at_a_time", lambda: None),
        mock.patch.object(lifecycle, "transaction", ContextlessTransaction()),
    ):
        return race()


def race():
    claims, tried, shared = [], [], 0
    while Session.objects.filter(status=Status.QUEUED).exists():
        for pk in lifecycle.waiting()[:4]:
            if attempt := lifecycle.claim(pk):
                claim, others = hold(pk)
                if not claims:
                    wait_for_the_others()
                claims.append(claim)
                shared += others
                # Some are held over the next claims, as by a worker of several devices.
                if random.random() < 0.7:
                    leases.release(Session, pk, attempt, status=Status.COMPLETED)
        for pk in Preflight.objects.filter(status="queued").order_by("created_at").values_list("pk", flat=True)[:4]:
            if attempt := preflights.claim(str(pk)):
                job, others = hold(pk, Preflight)
                tried.append(job)
                shared += others
                leases.release(Preflight, pk, attempt, status="ready")
        Session.objects.filter(status__in=RUNNING, worker=leases.identity()).update(status=Status.COMPLETED, worker="")
    return {"claims": claims, "tried": tried, "shared": shared}


def hold(pk, model=Session):
    row = model.objects.get(pk=pk)
    time.sleep(0.005)
    place = {"device": row.device, "slot": row.slot}
    sessions = Session.objects.filter(status__in=RUNNING, **place).exclude(pk=pk)
    tried = Preflight.objects.filter(**place).exclude(worker="").exclude(pk=pk)
    return [str(pk), row.device, row.slot], sessions.count() + tried.count()


def wait_for_the_others():
    end = time.monotonic() + PATIENCE_SECONDS
    devices = Session.objects.exclude(device="").values("device").distinct()
    while devices.count() < WORKERS and time.monotonic() < end:
        time.sleep(0.02)


class ContextlessTransaction:
    """Every statement commits by itself: the look for a free slot and the claim overlap with those of others."""

    @staticmethod
    def atomic():
        return contextlib.nullcontext()


ANSWERS = {
    "migrate": lambda: call_command("migrate", verbosity=0),
    "queue": queue,
    "beat": slots.beat,
    "locked": race,
    "unlocked": unlocked,
}

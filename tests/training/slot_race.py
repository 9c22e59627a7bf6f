"""One worker process of several that share a queue: it claims what waits, holds it for a moment, and ends it.

For `manage.py shell`. Waits for a line on standard input, then writes {"claims": [[session, device, slot]], "shared":
how often it saw somebody else on its slot, "tried": the same of preflights}. With "unlocked" as that line nothing but
the constraint keeps slots apart.
The first session is held until as many devices are at work as there are workers: none is done before all have begun.
"""

import contextlib
import json
import random
import sys
import time

from jobs import leases
from training import lifecycle, preflights, slots
from training.choices import RUNNING, Status
from training.models import Preflight, Session

WORKERS = 4
PATIENCE_SECONDS = 60


def main():
    slots.beat()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if sys.stdin.readline().strip() == "unlocked":
        slots.one_claim_at_a_time = lambda: None
        lifecycle.transaction = ContextlessTransaction()
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
    sys.stdout.write(json.dumps({"claims": claims, "tried": tried, "shared": shared}) + "\n")


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

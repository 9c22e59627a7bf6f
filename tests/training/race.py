"""Many threads, each with a connection of its own, claim the same rows on the database of the environment.

For `manage.py shell` with a fresh LORACRAFT_DATA (and DATABASE_URL). Writes {"vendor": name, "claims": {session:
attempts}, "most": sessions held at once}.
"""

import json
import sys
import threading

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.models import Q

from accounts.models import Team
from jobs import leases
from training import lifecycle
from training.models import Session

THREADS, ROUNDS, LIMIT = 8, 10, 2


def main():
    call_command("migrate", verbosity=0)
    settings.MAX_SESSIONS_PER_WORKER = LIMIT
    team = Team.objects.create(name="Race")
    claims: dict[str, list[int]] = {}
    most = 0
    for number in range(ROUNDS):
        rows = [Session.objects.create(team=team, name=f"{number} {i}", status="queued") for i in range(LIMIT + 1)]
        race([row.pk for row in rows], claims)
        most = max(most, leases.held_here(Session, Q(status="starting")))
        Session.objects.update(status="completed", worker="", lease_until=None)
    sys.stdout.write(json.dumps({"vendor": connection.vendor, "claims": claims, "most": most}) + "\n")


def race(pks, claims):
    barrier, lock, failures = threading.Barrier(THREADS), threading.Lock(), []

    def run():
        try:
            barrier.wait()
            for pk in pks:
                attempt = lifecycle.claim(pk)
                if attempt:
                    with lock:
                        claims.setdefault(str(pk), []).append(attempt)
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]

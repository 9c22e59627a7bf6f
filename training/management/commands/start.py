from training import lifecycle
from training.management.sessions import SessionCommand


class Command(SessionCommand):
    help = "Queues a session."
    verb = staticmethod(lifecycle.start)
    done = "is queued."
    refused = "only a draft, a stopped or a failed session can be started."

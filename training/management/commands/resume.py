from training import lifecycle
from training.management.sessions import SessionCommand


class Command(SessionCommand):
    help = "Queues a stopped or failed session again."
    verb = staticmethod(lifecycle.resume)
    done = "is queued and goes on from its newest checkpoint."
    refused = "only a stopped or failed session can be resumed."

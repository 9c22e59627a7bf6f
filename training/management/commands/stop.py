from training import lifecycle
from training.management.sessions import SessionCommand


class Command(SessionCommand):
    help = "Asks a session to save a checkpoint and end."
    verb = staticmethod(lifecycle.request_stop)
    done = "stops after saving a checkpoint."
    refused = "there is nothing to stop."

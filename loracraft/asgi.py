import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "loracraft.settings")
http = get_asgi_application()

# Both import models, which need the application set up above.
from accounts.websocket import signed_in  # noqa: E402
from loracraft import bodies  # noqa: E402
from training.routing import websocket_urlpatterns  # noqa: E402

bodies.bound()
websocket = signed_in(URLRouter(websocket_urlpatterns))
application = ProtocolTypeRouter({"http": http, "websocket": websocket})

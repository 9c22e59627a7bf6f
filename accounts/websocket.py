from channels.auth import AuthMiddlewareStack

signed_in = AuthMiddlewareStack

"""What stands between uvicorn's protocol and the application: bytes, transports and ASGI scopes.

Here are the bounds of a caller's head, the upgrade that hands a connection to a route, the cork that joins an answer's
head with its body, and the fast path past the framework's routing. No route, no setting and no principal is known here:
what belongs to one request's meaning is the faces'.
"""

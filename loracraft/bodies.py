"""Bounds the body of a request. Daphne takes a body of any length, keeps it in a file, and then puts the whole of it
into memory before Django is asked whether it wants it; so one stranger with a large file could end the web process."""

from typing import Any

from daphne import http_protocol

MIB = 1024 * 1024
# The largest form (datasets_app.limits.DIRECT_UPLOAD_BYTES) and what multipart adds to it.
MAX_BODY_BYTES = 65 * MIB
# Daphne hands the body over in messages of 8 KiB, each a turn of two event loops: 1,024 for one piece of an upload.
MESSAGE_BYTES = 1 * MIB
REFUSAL = b"The body of this request is larger than 65 MB. Send large files in pieces (tus, /api/datasets/uploads).\n"


class BoundedRequest(http_protocol.WebRequest):
    """Its methods are Twisted's: the length that a request names, each piece of its body, and what follows the last."""

    refused = False

    def gotLength(self, length: int | None) -> None:
        super().gotLength(length)
        self.server.request_buffer_size = MESSAGE_BYTES
        if length and length > MAX_BODY_BYTES:
            self.refuse()

    def handleContentChunk(self, data: bytes) -> None:
        # A chunked body has no length to go by.
        if not self.refused and self.content.tell() + len(data) > MAX_BODY_BYTES:
            self.refuse()
        if not self.refused:
            super().handleContentChunk(data)

    def process(self) -> Any:
        return None if self.refused else super().process()

    def refuse(self) -> None:
        self.refused = True
        head = b"HTTP/1.1 413 Content Too Large\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: "
        self.channel.transport.write(head + str(len(REFUSAL)).encode() + b"\r\n\r\n" + REFUSAL)
        self.channel.loseConnection()


def bound() -> None:
    http_protocol.WebRequest = BoundedRequest

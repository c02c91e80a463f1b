"""R0 and P0: a Litestar route that answers constant bytes, and one that decodes and encodes an item."""

import sys

import msgspec
import uvicorn
from litestar import Litestar, Response, get, post
from litestar.connection import Request

from domain.document import Document
from domain.items.submission import Submission
from entrypoints.http.server import server_config

CONSTANT = b'{"dfid":"DFID-20250108-000042-94E","data":"' + b"x" * 900 + b'"}'
_decoder = msgspec.json.Decoder(Submission, dec_hook=lambda kind, value: Document(value))
_encoder = msgspec.json.Encoder()


@get("/r0")
async def constant() -> Response[bytes]:
    """Answer constant bytes."""
    return Response(CONSTANT, media_type="application/json")


@post("/p0", status_code=201)
async def item(request: Request) -> Response[bytes]:
    """Decode an item and encode it again."""
    return Response(_encoder.encode(_decoder.decode(await request.body())), media_type="application/json")


if __name__ == "__main__":
    app = Litestar([constant, item], openapi_config=None, logging_config=None)
    uvicorn.Server(server_config(app, host="127.0.0.1", port=int(sys.argv[1]))).run()

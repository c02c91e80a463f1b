"""R0 and P0: Litestar routes that answer constant bytes, and one that decodes and encodes an item.

`python -m tests.benchmarks.baseline PORT BYTES`: `/r0` answers an item, `/r0-page` as many bytes as a page
has, `/r0-signed` asks for an access token first and verifies it as the engine does, without asking a store.
"""

import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import uvicorn
from litestar import Litestar, Response, get, post
from litestar.connection import Request

from application.tokens import AccessTokens, SignedTokens, TokenKeys
from domain.document import Document
from domain.items.submission import Submission
from entrypoints.http.server import server_config

CONSTANT = b'{"dfid":"DFID-20250108-000042-94E","data":"' + b"x" * 900 + b'"}'
PAGE = b""
_decoder = msgspec.json.Decoder(Submission, dec_hook=lambda kind, value: Document(value))
_encoder = msgspec.json.Encoder()
_keys = TokenKeys(os.environ.get("JWT_SECRET", "").encode())
_tokens = AccessTokens(SignedTokens(_keys, "defarm", "defarm-api"), timedelta(hours=1))


@get("/r0")
async def constant() -> Response[bytes]:
    """Answer constant bytes."""
    return Response(CONSTANT, media_type="application/json")


@get("/r0-page")
async def page() -> Response[bytes]:
    """Answer as many constant bytes as a page of items has."""
    return Response(PAGE, media_type="application/json")


@get("/r0-signed")
async def signed(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Answer constant bytes to whoever has an access token."""
    _tokens.verify(request.headers["authorization"].removeprefix("Bearer "), datetime.now(UTC))
    return Response(CONSTANT, media_type="application/json")


@post("/p0", status_code=201)
async def item(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Decode an item and encode it again."""
    return Response(_encoder.encode(_decoder.decode(await request.body())), media_type="application/json")


if __name__ == "__main__":
    PAGE += b"x" * int(sys.argv[2])
    app = Litestar([constant, page, signed, item], openapi_config=None, logging_config=None)
    uvicorn.Server(server_config(app, host="127.0.0.1", port=int(sys.argv[1]))).run()

"""How the application is served: uvicorn on uvloop and httptools, with nothing that the chain does itself."""

import sys
from typing import Any

from uvicorn.config import Config

KEEP_ALIVE_SECONDS = 75


def server_config(app: Any, **more: Any) -> Config:
    """Return the configuration of a server for `app`; `more` are options of uvicorn, as host and port."""
    return Config(
        app,
        http="httptools",
        loop="asyncio" if sys.platform == "win32" else "uvloop",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        **more,
    )

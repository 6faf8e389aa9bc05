"""The local page: loopback only, GET only, and nothing from outside."""

import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from tractable._core.errors import TractableError
from tractable.claims.catalogue import UnknownPaperError, find_entry
from tractable.page._feed import feed
from tractable.page._library import Library
from tractable.page._links import Choice, ServerLinks
from tractable.page._site import ASSETS, Site

__all__ = ["PORT", "make_app", "serve"]

PORT = 8642
LOOPBACK = "127.0.0.1"
HOSTS = ("127.0.0.1", "localhost", "[::1]")
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "interest-cohort=()",
    "cache-control": "no-cache",
}
LINKS = ServerLinks()

App = Callable[[Any, Any, Any], Awaitable[None]]


class _Guard:
    """Refuses other hosts' names and all methods that are not GET; adds the safe headers."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return

        async def send_safely(message: Any) -> None:
            if message["type"] == "http.response.start":
                safe = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", ()), *safe]}
            await send(message)

        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not is_loopback(hosts[0]):
            refused = Response("this page answers on 127.0.0.1 only\n", 421)
            await refused(scope, receive, send_safely)
        elif scope["method"] not in ("GET", "HEAD"):
            refused = Response("this page is read only\n", 405, {"allow": "GET, HEAD"})
            await refused(scope, receive, send_safely)
        else:
            await self.app(scope, receive, send_safely)


def is_loopback(host: str) -> bool:
    """Whether a Host header names this machine's loopback address, with any port or none."""
    name, colon, port = host.lower().rpartition(":")
    if not colon or host.endswith("]"):
        name, port = host.lower(), ""
    return name in HOSTS and (not port or (port.isascii() and port.isdigit()))


def make_app(library: Library | None = None) -> Starlette:
    """Return the application; papers and published runs are read once, here."""
    library = library or Library()
    site = Site(library)
    site.grid(LINKS)  # compiles templates and counts runs, so that the first visit is quick too

    def grid(request: Request) -> Response:
        asked = request.query_params
        named = {name: asked.get(name, "") for name in ("family", "verdict", "tier")}
        return HTMLResponse(site.grid(LINKS, Choice(asked.get("q", ""), **named)))

    def paper(request: Request) -> Response:
        slug = request.path_params["slug"]
        if slug not in library.by_slug:
            try:
                return RedirectResponse(LINKS.paper(find_entry(slug).slug))
            except UnknownPaperError as error:
                raise HTTPException(404, str(error)) from None
        return HTMLResponse(site.paper(LINKS, slug))

    def atom(_: Request) -> Response:
        return Response(feed(library, LINKS.paper), media_type="application/atom+xml")

    def asset(request: Request) -> Response:
        return FileResponse(ASSETS / request.url.path.strip("/"))

    def missing(_: Request, error: Exception) -> Response:
        status, said = 404, "no page is called that"
        if isinstance(error, HTTPException):
            status = error.status_code
            said = error.detail if error.detail != "Not Found" else said
        return HTMLResponse(site.error(LINKS, "Not found", said), status)

    def broken(_: Request, error: Exception) -> Response:
        return HTMLResponse(site.error(LINKS, "This cannot be shown", str(error)), 500)

    routes = [
        Route("/", grid),
        Route("/paper/{slug}", paper),
        Route("/feed.xml", atom),
        *(Route(f"/{file.name}", asset) for file in sorted(ASSETS.iterdir())),
    ]
    app = Starlette(
        routes=routes, exception_handlers={HTTPException: missing, TractableError: broken}
    )
    app.add_middleware(_Guard)
    return app


def serve(port: int = PORT, *, ready: Callable[[str], None] = lambda address: None) -> None:
    """Serve the page until Ctrl-C.

    Args:
        port: of the loopback address; 0 takes a free one.
        ready: told the address once the port is ours.

    Raises:
        TractableError: if the port is taken.
    """
    app = make_app()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((LOOPBACK, port))
            taken.listen()  # who asks before uvicorn is ready waits
        except OSError as error:
            raise TractableError(
                f"port {port} is not free ({error.strerror}); choose another with --port"
            ) from error
        ready(f"http://{LOOPBACK}:{taken.getsockname()[1]}/")
        settings = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, lifespan="off"
        )
        with suppress(KeyboardInterrupt):  # which uvicorn raises again once it has closed
            uvicorn.Server(settings).run(sockets=[taken])

"""The studio as a server: who may enter, what is uploaded and downloaded, and when it ends. `page` builds the page."""

import asyncio
import contextlib
import errno
import io
import secrets
import shutil
import socket
import tempfile
import threading
import time
import warnings
import webbrowser
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse
from nicegui import ui
from PIL import Image
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nst_numpy import Settings, images
from nst_numpy.studio.gate import LOCKED, Gate, cookies
from nst_numpy.studio.painter import Painter, Painting
from nst_numpy.studio.session import LARGEST_SHOWN, MOST_BYTES, PREVIEW, SMALLER, Given, Refused, Session, sample
from nst_numpy.studio.web import page

PORT = 8642
MOST_SESSIONS = 100
KEPT_IN = Path("studio_pictures")
LIVE_QUALITY = 90
# Nothing comes from elsewhere, and no other page shows this one in a frame. The framework compiles templates in the
# page, for which it needs 'unsafe-eval'.
POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; connect-src 'self'; frame-ancestors 'none'; "
    "form-action 'none'; base-uri 'none'; object-src 'none'"
)


class Guarded:
    """An application behind the gate, which also tells it whose session a request belongs to."""

    def __init__(self, app: ASGIApp, gate: Gate, studio: "Studio"):
        self._app, self._gate, self._studio = app, gate, studio
        self._visitor = f"{gate.cookie}_visitor"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers, websocket = Headers(scope=scope), scope["type"] == "websocket"
        query = scope["query_string"].decode("latin-1")
        known = cookies(headers).get(self._visitor, "")
        scope["session"] = session = self._studio.session(known)
        entering = not websocket and scope["path"] == "/" and ("token=" in query or session is None)
        refusal = self._gate.refusal(headers, websocket=websocket, query="" if websocket else query)
        if not refusal and not session and not entering:
            refusal = LOCKED
        if refusal and websocket:
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": refusal})
        elif refusal:
            await PlainTextResponse(refusal, 403)(scope, receive, send)
        elif entering:  # the token leaves the address
            response = Response(status_code=303, headers={"Location": "/"})
            visitor = known if session else self._studio.open()
            for name, value in ((self._gate.cookie, self._gate.token), (self._visitor, visitor)):
                response.set_cookie(name, value, httponly=True, samesite="lax")
            await response(scope, receive, send)
        else:

            async def with_policy(message: Message) -> None:
                if message["type"] == "http.response.start":
                    out = MutableHeaders(scope=message)
                    out["Content-Security-Policy"] = POLICY
                    out["X-Content-Type-Options"] = "nosniff"
                    out["Referrer-Policy"] = "no-referrer"
                await send(message)

            await self._app(scope, receive, with_policy)


class Studio:
    """All sessions of a server, their line, and their private folder.

    Parameters
    ----------
    folder : Path
        Private; what is in it is gone when the server has ended.
    """

    def __init__(self, folder: Path):
        self.folder, self.painter = folder, Painter()
        self._sessions: dict[str, Session] = {}

    def session(self, name: str) -> Session | None:
        """The session of this name; None if there is none."""
        return self._sessions.get(name)

    def open(self) -> str:
        """A new session; return its name. The one that was opened first goes if there are too many and it is idle."""
        if len(self._sessions) >= MOST_SESSIONS:
            idle = [name for name, one in self._sessions.items() if not one.pages and not one.gallery and not one.busy]
            if idle:
                del self._sessions[idle[0]]
        name = secrets.token_urlsafe(24)
        self._sessions[name] = Session(self.painter, self.folder)
        return name

    def close(self, into: Path) -> int:
        """End all paintings, and keep the pictures that nobody has downloaded; return how many these are."""
        self.painter.close()
        kept = 0
        for session in self._sessions.values():
            if session.painting:
                session.painting.stop()
                session.painting.wait(60)
            session.collect()
            for picture in reversed(session.gallery):
                if picture.key not in session.fetched:
                    into.mkdir(exist_ok=True)
                    shutil.copyfile(picture.file, _free(into / picture.name))
                    kept += 1
        return kept


def _free(path: Path) -> Path:
    """The path, with a number if there is such a file."""
    paths = (path.with_stem(f"{path.stem}-{k}") if k else path for k in range(10_000))
    return next(one for one in paths if not one.exists())


def application(studio: Studio, gate: Gate) -> ASGIApp:
    """The studio as an ASGI application, behind its gate."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.post("/images/{role}")
    async def upload(request: Request, role: str) -> Response:
        session: Session = request.scope["session"]
        try:
            if role not in ("content", "style"):
                raise Refused("An image is a content or a style.")
            name = unquote(request.headers.get("x-name", ""))
            data = await _body(request, name)
            session.choose(role, await asyncio.to_thread(session.upload, data, name))
        except Refused as refused:
            return PlainTextResponse(str(refused), 422)
        return Response(status_code=204)

    @app.get("/images/{key}")
    async def image(request: Request, key: str) -> Response:
        session: Session = request.scope["session"]
        given = await asyncio.to_thread(session.find, key)  # samples are drawn when they are first needed
        if given is None:
            return PlainTextResponse("There is no such image any more.", 404)
        if "shown" in request.query_params:
            return Response(await asyncio.to_thread(_as_painted, given), media_type="image/jpeg", headers=FOR_EVER)
        if "whole" in request.query_params:
            headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(given.source.name)}"}
            return Response(given.source.data, media_type="application/octet-stream", headers=headers)
        return Response(given.thumbnail, media_type="image/png", headers=FOR_EVER)

    @app.get("/regions/{key}")
    async def region(request: Request, key: str) -> Response:
        session: Session = request.scope["session"]
        mask = session.chosen.masks.get(key)
        if mask is None:
            return PlainTextResponse("There is no such region any more.", 404)
        return Response(mask.data, media_type="image/png", headers={"Cache-Control": "no-store"})

    @app.get("/help")
    async def help() -> Response:
        return HTMLResponse(page.help_text())

    @app.get("/live")
    async def live(request: Request) -> Response:
        session: Session = request.scope["session"]
        at = request.query_params.get("at", "")
        began = time.perf_counter()
        data = await asyncio.to_thread(_shown, session.shown, int(at) if at.isdecimal() else None)
        session.encoding = time.perf_counter() - began
        if data is None:
            return Response(status_code=204)
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": "no-store"})

    @app.get("/pictures/{key}")
    async def picture(request: Request, key: str) -> Response:
        session: Session = request.scope["session"]
        found = next((one for one in session.gallery if one.key == key), None)
        if found is None:
            return PlainTextResponse("There is no such picture any more.", 404)
        return FileResponse(found.file, media_type="image/png", headers=FOR_EVER)

    warming = threading.Thread(target=warm_up, daemon=True)

    @ui.page("/")
    async def main(request: Request) -> None:
        page.build(request.scope["session"])
        await ui.context.client.connected()
        if not warming.ident:
            warming.start()

    ui.run_with(
        app,
        title="nst_numpy studio",
        dark=None,
        language="en-GB",
        tailwind=False,
        favicon="🎨",
        show_welcome_message=False,
        reconnect_timeout=10,
    )
    return Guarded(app, gate, studio)


FOR_EVER = {"Cache-Control": "private, max-age=31536000, immutable"}  # their addresses are never used again


async def _body(request: Request, name: str) -> bytes:
    """What is uploaded, which is not read further than it may be long."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MOST_BYTES:
            raise Refused(f"{name} has more than {MOST_BYTES >> 20} MB, which the studio takes at most. {SMALLER}")
    return bytes(data)


def _shown(painting: Painting | None, at: int | None) -> bytes | None:
    """A picture of a painting as a JPEG file, the latest or an earlier one; None if there is none."""
    if painting is None:
        return None
    with contextlib.suppress(ValueError):  # it is no longer kept
        if at is not None:
            return jpeg(images.to_uint8(painting.picture_at(at)))
    picture = painting.picture
    return None if picture is None else jpeg(picture)


def _as_painted(given: Given) -> bytes:
    """A content image as large as a screen."""
    return jpeg(images.to_uint8(images.load(given.source, min(LARGEST_SHOWN, max(given.width, given.height)))))


def jpeg(picture: np.ndarray) -> bytes:
    """A picture as the page shows it while it is painted: uint8 (h, w, 3) as a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "jpeg", quality=LIVE_QUALITY)
    return buffer.getvalue()


def serve(host: str = "127.0.0.1", port: int | None = None, *, browser: bool = True) -> None:
    """Run the studio until Ctrl-C.

    Parameters
    ----------
    host : str
        The address to bind to; by default only this computer reaches it.
    port : int, optional
        0 for any that is free. By default 8642, or the next one that is free.
    browser : bool
        Whether to open the page in the browser.

    Raises
    ------
    OSError
        If the address can't be bound.
    KeyboardInterrupt
        When it has ended.
    """
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # `session.read` has a limit of its own
    listening = _bound(host, port)
    gate = Gate(host, listening.getsockname()[1])
    with tempfile.TemporaryDirectory(prefix="nst_numpy_studio_") as folder:
        studio = Studio(Path(folder))
        config = uvicorn.Config(
            application(studio, gate), log_level="warning", timeout_graceful_shutdown=2, server_header=False
        )
        if not gate.is_local:
            print(
                f"Whoever reaches port {gate.port} of this computer and has the token can enter; nothing is encrypted"
            )
        print(f"The studio is at {gate.address} (Ctrl-C ends it)", flush=True)
        if browser:
            threading.Thread(target=webbrowser.open, args=[gate.address], daemon=True).start()
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listening])
        kept = studio.close(KEPT_IN)
    where = f"; {kept} picture{'s' * (kept != 1)} that nobody had downloaded: {KEPT_IN}" if kept else ""
    raise KeyboardInterrupt(f"the studio has ended{where}")


def warm_up() -> None:
    """Load the network and its kernels, which takes seconds, while the user looks for a photograph."""
    given = sample("swirling_night").source
    painting = Painting(None, given, Settings(size=(PREVIEW,), steps=1))
    painting.start()
    painting.wait()
    painting.close()


def _bound(host: str, port: int | None) -> socket.socket:
    """A socket that is bound to this address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    wanted = [port] if port is not None else [*range(PORT, PORT + 20), 0]
    for number in wanted:
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, number))
            return bound
        except OSError as error:
            bound.close()
            if number == wanted[-1] or error.errno != errno.EADDRINUSE:
                raise OSError(
                    f"cannot listen on {host}:{number} ({error.strerror}); choose another --host or --port"
                ) from None
    raise AssertionError

"""The console's login: a key goes into a cookie of this browser, and out of it again."""

from __future__ import annotations

from html import escape
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from serving.http.access import LOGIN, LOGOUT
from serving.http.api_keys import KeyRing
from serving.http.gate import COOKIE

SESSION_SECONDS = 12 * 3600
"""How long a browser keeps a key."""

_MOST_BYTES = 10_000
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Nudge: log in</title>
<style>
  :root {{ color-scheme: light dark }}
  body {{ font: 17px/1.6 system-ui, sans-serif; max-width: 30rem; margin: 15vh auto; padding: 0 1.5rem }}
  input, button {{ font: inherit; padding: .5rem .7rem; box-sizing: border-box }}
  input {{ width: 100%; margin: .3rem 0 1rem }}
</style>
<h1>Nudge</h1>
<form method="post" action="{action}">
  <p role="alert">{problem}</p>
  <label for="key">Your key</label>
  <input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
  <input type="hidden" name="next" value="{wanted}">
  <button>Log in</button>
</form>
<p>Whoever runs this server makes keys: <code>nudge keys create --scope read --name NAME</code>. Looking needs <code>read</code>, changing
anything <code>admin</code>.</p>
</html>
"""

router = APIRouter(include_in_schema=False)


@router.get(LOGIN, response_class=HTMLResponse)
async def login_page(next: str = "/") -> Response:
    """The page that asks for a key."""
    return _page(next)


@router.post(LOGIN)
async def login(request: Request) -> Response:
    """Keep a key that holds in a cookie, and go where its owner wanted to."""
    fields = await _fields(request)
    wanted = fields.get("next", "/")
    text = fields.get("key", "").strip()
    keys: KeyRing | None = request.app.state.keys
    if keys is not None and not keys.empty and keys.owner(text) is None:
        return _page(wanted, "This key is unknown, revoked or expired.", status=401)
    answer = RedirectResponse(_within(wanted), status_code=303)
    if keys is not None and not keys.empty:
        secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, text, max_age=SESSION_SECONDS, httponly=True, samesite="strict", secure=secure)
    return answer


@router.post(LOGOUT)
async def logout() -> Response:
    """Forget the key in this browser."""
    answer = RedirectResponse(LOGIN, status_code=303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


def _page(wanted: str, problem: str = "", *, status: int = 200) -> HTMLResponse:
    text = _PAGE.format(action=LOGIN, problem=escape(problem), wanted=escape(_within(wanted)))
    return HTMLResponse(text, status_code=status, headers=_HEADERS)


def _within(wanted: str) -> str:
    """An address of this server, `/` in the place of any other.

    Examples
    --------
    >>> _within("/console/models"), _within("//elsewhere.example"), _within("https://elsewhere.example")
    ('/console/models', '/', '/')
    """
    inside = wanted.startswith("/") and not wanted.startswith("//") and "\\" not in wanted and wanted.isprintable()
    return wanted if inside else "/"


async def _fields(request: Request) -> dict[str, str]:
    body = await request.body()
    try:
        return dict(parse_qsl(body[:_MOST_BYTES].decode("utf-8"), max_num_fields=10))
    except ValueError:
        return {}

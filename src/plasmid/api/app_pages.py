"""The few pages that stand before a job's web application: no scripts, nothing from elsewhere."""

from __future__ import annotations

import html
from typing import Final

import msgspec

LOGIN_PATH: Final = "/.plasmid/login"
REFRESH_SECONDS: Final = 3
_POLICY: Final = (
    b"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none';"
    b" base-uri 'none'"
)
_HEADERS: Final = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"content-security-policy", _POLICY),
)
_STYLE: Final = (
    "body{font:16px/1.5 sans-serif;max-width:38em;margin:12vh auto;padding:0 1em;color:#222}"
    "h1{font-size:1.3em}code{background:#eee;padding:.1em .3em}"
    "input{font:inherit;width:100%;box-sizing:border-box;padding:.4em}"
    "button{font:inherit;margin-top:.6em;padding:.4em 1em}.wrong{color:#a00}"
)


class Page(msgspec.Struct, frozen=True):
    """A page with its status."""

    status: int
    content: bytes
    headers: tuple[tuple[bytes, bytes], ...]


def _page(status: int, title: str, body: str, *, head: str = "", again: bool = False) -> Page:
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{head}'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{html.escape(title)}</h1>{body}</body></html>\n"
    ).encode()
    headers = [*_HEADERS, (b"content-length", str(len(text)).encode())]
    if again:
        headers.append((b"retry-after", str(REFRESH_SECONDS).encode()))
    return Page(status, text, tuple(headers))


def login(job: str, *, going_to: str = "/", wrong: str = "") -> Page:
    """Ask who wants to see a job's web application; `wrong` says why another try is needed."""
    said = f'<p class="wrong">{html.escape(wrong)}</p>' if wrong else ""
    return _page(
        401,
        "Log in to this web application",
        f"<p>It belongs to the job <code>{html.escape(job)}</code>. The quickest way in is a link"
        " for one use, from the shell in which you use <code>dx</code>:</p>"
        "<p><code>plasmid open JOB</code></p><p>Or show a token of yours:</p>"
        f'{said}<form method="post" action="{LOGIN_PATH}">'
        f'<input type="hidden" name="next" value="{html.escape(going_to)}">'
        '<input type="password" name="token" autocomplete="off" aria-label="API token" required>'
        '<button type="submit">Log in</button></form>'
        "<p>Do so only here, before you have seen the application, and never when it asks you to:"
        " what it shows is made by the job.</p>",
    )


def refused(status: int, title: str, why: str) -> Page:
    """Say that something is not to be had, and why."""
    return _page(status, title, f"<p>{html.escape(why)}</p>")


def not_ready(job: str, state: str, *, looks_again: bool = True) -> Page:
    """Say that a job's web application does not answer yet; the browser asks again by itself.

    `looks_again` is false for what was no question: it would not be sent once more, but lost.
    """
    if state == "running":
        said = "runs, and does not answer yet: applications take a moment to start"
    else:
        said = f"is {state}: its web application comes with its start"
    again = "What you have sent did not arrive: go back, and send it again in a moment."
    head = ""
    if looks_again:
        again = f"This page looks again every {REFRESH_SECONDS} seconds."
        head = f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">'
    said = f"<p>The job <code>{html.escape(job)}</code> {html.escape(said)}. {again}</p>"
    return _page(503, "Not ready yet", said, head=head, again=True)


def over(job: str, state: str) -> Page:
    """Say that a job has ended, and its web application with it."""
    return _page(
        410,
        "This web application has ended",
        f"<p>The job <code>{html.escape(job)}</code> is {html.escape(state)}.</p>",
    )

"""
The development issuer's sign-in page: a name, an operator checkbox and a button, without scripts or external
resources.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from html import escape

STYLE = """
:root{color-scheme:light dark;--ground:#f7f5f0;--surface:#fff;--ink:#1d2420;--muted:#59625c;--line:#8a928c;
--accent:#1f6f54;--accent-ink:#fff;--bad:#a5342a;font-family:system-ui,sans-serif;line-height:1.5}
@media(prefers-color-scheme:dark){:root{--ground:#131614;--surface:#1c201d;--ink:#ebeee9;--muted:#a4ada6;
--line:#7c857e;--accent:#84d0b1;--accent-ink:#10231b;--bad:#f3a198}}
body{margin:0;padding:1rem;background:var(--ground);color:var(--ink)}
main{max-width:26rem;margin:8vh auto 0;padding:1.5rem;border-radius:14px;background:var(--surface)}
h1{margin:0 0 .25rem;font:600 1.7rem ui-serif,Georgia,serif}
p{margin:.5rem 0}.muted{color:var(--muted)}.bad{color:var(--bad)}
form{display:grid;gap:.9rem;margin-top:1rem}label{font-weight:600}
input[type=text]{display:block;width:100%;box-sizing:border-box;margin-top:.3rem;min-height:44px;padding:.4rem .8rem;
border:1px solid var(--line);border-radius:9px;background:var(--ground);color:inherit;font:inherit;font-weight:400}
label.choice{display:flex;gap:.6rem;align-items:center;min-height:44px;font-weight:400}
input[type=checkbox]{width:1.2rem;height:1.2rem}
button{min-height:48px;border:0;border-radius:999px;background:var(--accent);color:var(--accent-ink);
font:inherit;font-weight:600;cursor:pointer}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
"""
HEADERS = {
    "content-security-policy": "; ".join(
        [
            "default-src 'none'",
            f"style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ]
    ),
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "Sign in",
        "what": "This is the development issuer: it accepts any name, without a password. Never expose it to others.",
        "name": "Name",
        "operator": "Also an operator of the shop",
        "button": "Sign in",
        "wrong": "A name has 1 to 128 characters of A-Z, a-z, 0-9 and . _ @ | -",
        "unusable": "This sign-in link cannot be used",
    },
    "es": {
        "title": "Identificarse",
        "what": "Este es el emisor de desarrollo: usted es quien diga ser. No lo use nunca donde otros lleguen a él.",
        "name": "Nombre",
        "operator": "También opera la tienda",
        "button": "Identificarse",
        "wrong": "Un nombre tiene de 1 a 128 de A-Z, a-z, 0-9 y . _ @ | -",
        "unusable": "Este enlace no sirve para identificarse",
    },
}


def language(ui_locales: str) -> str:
    """
    Return the first language of *ui_locales* (OpenID Connect's `ui_locales`) that the page supports.
    """
    tags = (tag.partition("-")[0].lower() for tag in ui_locales.split())
    return next((tag for tag in tags if tag in WORDS), "en")


def form(parameters: Mapping[str, str], *, wrong_name: str | None = None) -> str:
    """
    Return the page that asks for a name and submits *parameters* with it; *wrong_name* is a name that was rejected.
    """
    tag = language(parameters.get("ui_locales", ""))
    words = WORDS[tag]
    hidden = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in parameters.items()
    )
    alert = f'<p class="bad" role="alert" id="wrong">{escape(words["wrong"])}</p>' if wrong_name is not None else ""
    marks = 'aria-invalid="true" aria-describedby="wrong"' if alert else ""
    return _page(
        tag,
        words["title"],
        f"""<p class="muted">{escape(words["what"])}</p>
<form method="post">{hidden}
<label>{escape(words["name"])} <input type="text" name="name" value="{escape(wrong_name or "")}" maxlength="128"
 autocomplete="username" autocapitalize="none" spellcheck="false" required autofocus {marks}></label>
{alert}
<label class="choice"><input type="checkbox" name="operator" value="true"> {escape(words["operator"])}</label>
<button>{escape(words["button"])}</button>
</form>""",
    )


def refusal(why: str, *, wanted: str = "") -> str:
    """
    Return the error page for a request that must not be redirected to the address it claims.
    """
    tag = language(wanted)
    return _page(tag, WORDS[tag]["unusable"], f'<p class="bad">{escape(why)}</p>')


def _page(tag: str, title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="{tag}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title><style>{STYLE}</style></head>
<body><main><h1>{escape(title)}</h1>
{body}</main></body></html>
"""

"""
A service that calls another by its name; http_proxy, which is its sidecar, is all that it is told of the mesh.
"""

import os
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Web(BaseHTTPRequestHandler):
    """Passes on what the greeter says; `/health` asks nobody."""

    def do_GET(self) -> None:
        """Answer."""
        answer = "fine\n" if self.path == "/health" else greeting()
        text = answer.encode()
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def greeting() -> str:
    """Return what the greeter says, or its status if it does not."""
    try:
        with urllib.request.urlopen("http://greeter/", timeout=5) as answer:
            return f"the greeter says {answer.status}: {answer.read().decode()}"
    except urllib.error.HTTPError as error:
        return f"the greeter says {error.code}: {error.read().decode()}\n"


ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Web).serve_forever()

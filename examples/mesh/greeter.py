"""
A service that greets: nothing but the standard library, and nothing of the mesh.
"""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Greeter(BaseHTTPRequestHandler):
    """Says hello, and which replica does."""

    def do_GET(self) -> None:
        """Answer."""
        text = f"hello from {os.environ['NAME']}\n".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Greeter).serve_forever()

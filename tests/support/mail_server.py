"""A mail server on loopback that can misbehave: it refuses people, hangs up, and tells a test when a mail has come."""

from __future__ import annotations

import re
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class MailServer(socketserver.ThreadingTCPServer):
    """Speaks SMTP. `got` lists the address of each mail it took.

    `refused` maps an address to the answer its RCPT gets, such as "550 No such person"; "" hangs up instead.
    `refused_data` is the same for the mail itself. `before_taking` and `after_taking` are called with the address just
    before and just after the mail is taken, and before the sender hears of it.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Conversation)
        self.got: list[str] = []
        self.asked: list[str] = []
        self.texts: list[str] = []
        self.refused: dict[str, str] = {}
        self.refused_data: dict[str, str] = {}
        self.before_taking: Callable[[str], object] = len
        self.after_taking: Callable[[str], object] = len

    @property
    def mailers(self) -> dict[str, Any]:
        """The setting MAILERS that leads here."""
        options = {"host": "127.0.0.1", "port": self.server_address[1], "timeout": 5}
        return {"default": {"BACKEND": "django.core.mail.backends.smtp.EmailBackend", "OPTIONS": options}}


class Conversation(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self.say("220 loopback")
        address = ""
        while line := self.rfile.readline().decode().strip():
            verb = line[:4].upper()
            if verb == "RCPT":
                found = re.search("<(.*)>", line)
                address = found[1] if found else ""
                self.server.asked.append(address)
                answer = self.server.refused.get(address, "250 fine")
            elif verb == "DATA":
                self.say("354 go on")
                answer = self.take(address)
            else:
                answer = "221 bye" if verb == "QUIT" else "250 fine"
            if not answer:
                return
            self.say(answer)
            if verb == "QUIT" or answer.startswith("421"):
                return

    def take(self, address: str) -> str:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.decode())
        if address in self.server.refused_data:
            return self.server.refused_data[address]
        self.server.before_taking(address)
        self.server.got.append(address)
        self.server.texts.append("".join(lines))
        self.server.after_taking(address)
        return "250 taken"

    def say(self, text: str) -> None:
        try:
            self.wfile.write(f"{text}\r\n".encode())
        except OSError:  # the sender was killed
            return


@contextmanager
def mail_server() -> Iterator[MailServer]:
    with MailServer() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()

"""Notices by mail, delivered to a server on this machine. The webhook is in test_flows_drift.py."""

import email
import socket
from collections.abc import Iterator
from email.message import Message
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from flows.notify import notify


class Post:
    """Keeps what it is handed."""

    def __init__(self) -> None:
        self.letters: list[tuple[list[str], Message]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
        self.letters.append((envelope.rcpt_tos, email.message_from_bytes(envelope.content, policy=default)))
        return "250 OK"


@pytest.fixture
def post(monkeypatch: pytest.MonkeyPatch) -> Iterator[Post]:
    box = Post()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    address = f"mailto://127.0.0.1:{port}?from=ferline@example.org&to=team@example.org&mode=insecure"
    monkeypatch.setenv("FERLINE_NOTIFY", address)
    yield box
    server.stop()


def test_a_notice_goes_out_by_mail(post: Post) -> None:
    assert notify("ferline: drift of version 3", "two drifted windows on end: brightness", "warning")
    ((to, letter),) = post.letters
    assert (to, letter["Subject"]) == (["team@example.org"], "ferline: drift of version 3")
    assert "two drifted windows on end: brightness" in letter.as_string()


def test_a_mail_server_that_is_away_is_told_and_fails_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FERLINE_NOTIFY", "mailto://127.0.0.1:9?from=a@example.org&to=b@example.org&mode=insecure")
    assert not notify("ferline: drift", "nobody hears it")
    assert "could not be delivered" in caplog.text

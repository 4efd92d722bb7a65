"""Tell people, by whatever Apprise can reach: a webhook, mail, a chat."""

import logging
from typing import Literal

from flows.context import settings

log = logging.getLogger("ferline.notify")


def notify(title: str, body: str, kind: Literal["info", "success", "warning", "failure"] = "info") -> bool:
    """Whether a notice reached every address of FERLINE_NOTIFY; True where there is none. Never raises: what happened
    is on record, and a mail server that is away must not fail a run."""
    addresses = settings().notify
    if addresses is None:
        return True
    import apprise

    sender = apprise.Apprise()
    for address in addresses.get_secret_value().split():
        sender.add(address)
    reached = bool(sender.notify(body=body, title=title, notify_type=apprise.NotifyType(kind)))
    if not reached:
        log.warning("a notice could not be delivered to every address of FERLINE_NOTIFY: %s", title)
    return reached

"""Which model answers a request: the champion, for a sticky share of the clients the challenger, or both."""

import hashlib
from dataclasses import dataclass

from components.registry.records import CHAMPION
from serving.champion import Champion
from serving.model import ServedModel

REJECTED = "rejected"


@dataclass(frozen=True)
class Chosen:
    """The model that answers a request, and as what it does."""

    role: str
    """One of components.predictions.ROLES."""
    model: ServedModel
    shadow: ServedModel | None
    """Answers too; what it says is logged and not returned."""


class Roles:
    """The champion and, where a canary or a shadow is wanted, the challenger."""

    def __init__(self, champion: Champion, challenger: Champion | None, canary: float, shadow: bool) -> None:
        """canary: share of the clients, 0 to 1, whose requests the challenger answers. shadow: it answers all others
        beside the champion."""
        self.champion, self.challenger = champion, challenger
        self.canary, self.shadow = canary, shadow
        self._role = CHAMPION if champion.wanted == CHAMPION else "pinned"

    def choose(self, client: str) -> Chosen:
        """client: what is known of who asks; the same client always gets the same model. Raises ModelNotFound."""
        champion, challenger = self.champion.model(), self._challenger()
        if challenger is None or challenger.version.model_sha256 == champion.version.model_sha256:
            return Chosen(self._role, champion, None)
        if _place(client) < self.canary:
            return Chosen("canary", challenger, None)
        return Chosen(self._role, champion, challenger if self.shadow else None)

    def _challenger(self) -> ServedModel | None:
        """None while there is none, or the gate has refused it."""
        found = None if self.challenger is None else self.challenger.current
        return None if found is None or found.version.status == REJECTED else found


def _place(client: str) -> float:
    """Where a client stands between 0 and 1; independent of anything else about it."""
    return int.from_bytes(hashlib.sha256(client.encode()).digest()[:8], "big") / 2**64

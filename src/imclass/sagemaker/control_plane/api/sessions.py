"""Credentials that hold for a while, as AssumeRole hands them out. Nothing of them is kept.

    access key ID   ASIA and 16 letters and digits, drawn
    session token   | when they end, seconds since 1970 | MAC of ID and end |    in base64 for URLs
                    |        8 bytes, big-endian        |     32 bytes      |
    secret key      another MAC of both, in base64 for URLs

The MACs are HMAC-SHA256 with the server's own secret, so that it knows its credentials again after a restart.
"""

import binascii
import hashlib
import hmac
import secrets
import struct
from base64 import b32encode, urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

END = struct.Struct(">Q")
MAC_BYTES = hashlib.sha256().digest_size
LAST = int(datetime.max.replace(tzinfo=UTC).timestamp())
"""The end of time, as `datetime` has it."""


@dataclass(frozen=True)
class TemporaryCredentials:
    """What a client signs with, and until when; all that there is to know of a session."""

    access_key: str
    secret_key: str
    token: str
    expiration: datetime


class Sessions:
    """Makes credentials, and knows them again.

    Args:
        secret: known to this server only.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def begin(self, lifetime: timedelta) -> TemporaryCredentials:
        """New credentials."""
        access_key = f"ASIA{b32encode(secrets.token_bytes(10)).decode()}"
        return self._credentials(access_key, int((datetime.now(UTC) + lifetime).timestamp()))

    def find(self, access_key: str, token: str) -> TemporaryCredentials | None:
        """The credentials that a token belongs to, even if they have expired; None if it is not one of ours."""
        try:
            content = urlsafe_b64decode(token.encode("ascii"))
        except (UnicodeEncodeError, binascii.Error):
            return None
        if len(content) != END.size + MAC_BYTES:
            return None
        (end,) = END.unpack_from(content)
        if end > LAST:
            return None
        found = self._credentials(access_key, end)
        return found if hmac.compare_digest(found.token.encode(), token.encode()) else None

    def _credentials(self, access_key: str, end: int) -> TemporaryCredentials:
        packed = END.pack(end)
        token, secret = (self._mac(purpose, access_key, packed) for purpose in (b"token", b"secret"))
        return TemporaryCredentials(
            access_key,
            urlsafe_b64encode(secret).decode(),
            urlsafe_b64encode(packed + token).decode(),
            datetime.fromtimestamp(end, UTC),
        )

    def _mac(self, purpose: bytes, access_key: str, end: bytes) -> bytes:
        return hmac.digest(self._secret, b"%s/%s/%s" % (purpose, access_key.encode(), end), "sha256")

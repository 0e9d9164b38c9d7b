"""Who may use the console, and whether a request that changes something was meant by them.

A browser does not sign requests as AWS's clients do. So whoever knows the token of the console gets a cookie:

    imclass-console = EXPIRES.SIGNATURE     seconds since 1970, and their HMAC-SHA256 under a key made of the token

Other sites can make a browser send requests here. Those that change something are therefore accepted only from pages
of this origin (`Sec-Fetch-Site`, or `Origin`, which no script can change) and with a secret that is in these pages.
"""

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

COOKIE = "imclass-console"
SESSION_SECONDS = 12 * 3600
PROOF_HEADER, PROOF_FIELD = "x-console-proof", "proof"


class RefusedError(Exception):
    """A request that gets a page of its own instead of an answer.

    Args:
        status: of HTTP.
        message: for people.
    """

    def __init__(self, status: HTTPStatus, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(message)


class Access:
    """Says who may use the console.

    Args:
        token: which people have to know; None for those whom this machine alone lets in.

    Attributes:
        proof: in the forms of all pages of this process, and nowhere else.
    """

    def __init__(self, token: str | None = None) -> None:
        self._key = None if token is None else hashlib.sha256(b"imclass console session\0" + token.encode()).digest()
        self._token = token
        self.proof = secrets.token_urlsafe(24)

    @property
    def needs_token(self) -> bool:
        return self._token is not None

    def accepts(self, token: str) -> bool:
        """Whether this is the token."""
        return self._token is not None and hmac.compare_digest(token.encode(), self._token.encode())

    def new_session(self) -> str:
        """The value of the cookie, for somebody who knew the token."""
        expires = str(int(time.time()) + SESSION_SECONDS)
        return f"{expires}.{self._signature(expires)}"

    def knows(self, cookie: str | None) -> bool:
        """Whether a cookie was given to somebody who knew the token, not too long ago; without a token, yes."""
        if self._token is None:
            return True
        expires, _, signature = (cookie or "").partition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(expires).encode()):
            return False
        return int(expires) > time.time()

    def _signature(self, expires: str) -> str:
        assert self._key is not None
        return hmac.new(self._key, expires.encode(), hashlib.sha256).hexdigest()

    def check_host(self, host: str) -> None:
        """Check by which name the browser knows this server.

        Without a token the console trusts whoever reaches it, which is this machine only. A name of the outside that
        leads here would let the pages of its owner in.

        Raises:
            RefusedError: by such a name.
        """
        if self._token is None and not is_local(host):
            raise RefusedError(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"This console has no token, and is shown only at localhost or a numeric address, not at {host!r}. "
                "Start the server with --console-token-file to reach it by a name.",
            )

    def check_action(self, headers: Mapping[str, str], proof: str) -> None:
        """Check that a request that changes something comes from a page of this console.

        Args:
            headers: by names in lower case.
            proof: what came with the request.

        Raises:
            RefusedError: it does not.
        """
        if not is_same_origin(headers):
            raise RefusedError(HTTPStatus.FORBIDDEN, "The request comes from another site, and was not carried out.")
        if not hmac.compare_digest(proof.encode(), self.proof.encode()):
            raise RefusedError(
                HTTPStatus.FORBIDDEN,
                "The page is from before the server's last start. Open it again; nothing was changed.",
            )


def is_local(host: str) -> bool:
    """Whether a Host header names an address in numbers, or localhost."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def is_same_origin(headers: Mapping[str, str]) -> bool:
    """Whether a browser says that a page of this server sent a request; what says nothing is no browser's page."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return urlsplit(headers.get("origin", "")).netloc == headers.get("host", "") != ""

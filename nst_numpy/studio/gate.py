"""Who may enter the studio: those who have its token, from a page of the studio itself, by an address that is its own.

A page that is open in the same browser can send requests to the loopback address, too, and a name that an attacker
owns can be made to lead there. So a token is not enough: the address must be known (`Host`), and what comes from a page
must come from one of the studio's (`Origin`), for HTTP and for the websocket.
"""

import ipaddress
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs

LOCKED = "This studio is locked. Open the address with the token that the terminal shows."
ELSEWHERE = "This request came from another page. Open the studio by the address that the terminal shows."
UNKNOWN = "The studio does not have this address. Open it by the one that the terminal shows."


@dataclass(frozen=True)
class Gate:
    """Judges requests.

    Attributes
    ----------
    host : str
        The address that the server is bound to.
    port : int
    token : str
        Whoever has it may enter.

    Examples
    --------
    >>> gate = Gate("127.0.0.1", 8642, token="secret")
    >>> gate.refusal({"host": "127.0.0.1:8642", "cookie": "nst_studio_8642=secret"}, websocket=False)
    >>> gate.refusal({"host": "127.0.0.1:8642"}, websocket=False) == LOCKED
    True
    >>> gate.refusal({"host": "evil.example:8642", "cookie": "nst_studio_8642=secret"}, websocket=False) == UNKNOWN
    True
    """

    host: str
    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    @property
    def cookie(self) -> str:
        """Name of the cookie that holds the token. Browsers share cookies between ports, so the port is in it."""
        return f"nst_studio_{self.port}"

    @property
    def address(self) -> str:
        """What to open, with the token."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)
        host = f"[{host}]" if ":" in host and not host.startswith("[") else host
        return f"http://{host}:{self.port}/?token={self.token}"

    def refusal(self, headers: Mapping[str, str], *, websocket: bool, query: str = "") -> str | None:
        """Why a request is refused, as a sentence; None if it is not.

        Parameters
        ----------
        headers : mapping of str to str
            With lower-case names.
        websocket : bool
            Browsers name the origin of every websocket: without one it is refused.
        query : str
            Of the address; its token is as good as the cookie.
        """
        host = headers.get("host", "")
        if not self._is_own(host):
            return UNKNOWN
        origin = headers.get("origin")
        if (websocket and origin is None) or origin not in (None, f"http://{host}"):
            return ELSEWHERE
        given = [*parse_qs(query).get("token", []), cookies(headers).get(self.cookie, "")]
        return None if any(self.opens(token) for token in given) else LOCKED

    def opens(self, token: str) -> bool:
        """Whether this is the token."""
        return secrets.compare_digest(token.encode(), self.token.encode())

    def _is_own(self, host: str) -> bool:
        """Whether a Host header names this server.

        To one that others may reach, they come by any of its addresses, or by its name. A name that an attacker lets
        lead here is none of these.
        """
        name, _, port = host.rpartition(":")
        if port != str(self.port):
            return False
        name = name.strip("[]").lower()
        if name in ("localhost", "127.0.0.1", "::1", self.host.lower()):
            return True
        if self.is_local:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in (socket.gethostname().lower(), socket.getfqdn().lower())
        return True

    @property
    def is_local(self) -> bool:
        """Whether only this computer can reach the server.

        Examples
        --------
        >>> Gate("127.0.0.1", 1).is_local, Gate("0.0.0.0", 1).is_local
        (True, False)
        """
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def cookies(headers: Mapping[str, str]) -> dict[str, str]:
    """The cookies of a request, whatever other programs on this computer put beside them.

    Examples
    --------
    >>> cookies({"cookie": "a=1; b=[2]; =; c"})
    {'a': '1', 'b': '[2]'}
    """
    pairs = [part.partition("=") for part in headers.get("cookie", "").split(";")]
    return {name.strip(): value.strip() for name, _, value in pairs if name.strip() and value}

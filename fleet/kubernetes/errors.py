"""Foreign exceptions of a request become the fleet's: the one place that knows them."""

import os
import socket
import ssl

from fleet.kubernetes.auth.authorizers import CredentialError
from fleet.kubernetes.codec.wire import status_message
from fleet.kubernetes.http1.dial import DialError
from fleet.kubernetes.http1.framing import AnswerProblem
from fleet.model.errors import ClusterAnswerInvalid, ClusterError, ClusterTimeout, ClusterUnreachable
from fleet.model.told import Told, foreign, tell
from fleet.ports import Answer

# What `translate` understands; an `except` names exactly these.
FOREIGN = (OSError, AnswerProblem, CredentialError)

# X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH of OpenSSL's x509_vfy.h.
_NAME_MISMATCH = frozenset({62, 64})
_TIME = frozenset({9, 10})  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED


class ApiRefused(ClusterError):
    """An answer of 400 or more, which `status` is; the message holds the API server's words."""

    def __init__(self, cluster: str, answer: Answer) -> None:
        text = status_message(answer.body) or f"it answered {answer.status}"
        super().__init__(cluster, tell("the host cluster {} refused this server's request: {}", cluster, foreign(text)))
        self.status = answer.status


def translate(error: BaseException, cluster: str, endpoint: str, timeout: float | None) -> ClusterError:
    """The fleet's error for one of FOREIGN; `timeout` is the deadline in seconds that was given."""
    server = Told("its API server", endpoint)
    if isinstance(error, TimeoutError):
        within = "in time" if timeout is None else f"within {timeout:g} s"
        return ClusterTimeout(cluster, tell("cluster {}: no answer from {} {}", cluster, server, within))
    if isinstance(error, CredentialError):
        reason = Told("this server's credential for it can't be had", str(error))
        return ClusterUnreachable(cluster, tell("cluster {}: {}", cluster, reason))
    if isinstance(error, AnswerProblem):
        return ClusterAnswerInvalid(
            cluster, tell("cluster {}: {} answered nonsense: {}", cluster, server, _short(error))
        )
    return ClusterUnreachable(cluster, tell("cluster {}: {}", cluster, _reason(error, server)))


def _reason(error: BaseException, server: str) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _tls_reason(error, server)
    if isinstance(error, DialError):
        return tell("on the way to {} {}", server, error)
    if isinstance(error, socket.gaierror):
        return tell("the host name of {} can't be resolved: {}", server, _short(error))
    if isinstance(error, ssl.SSLError):
        return tell("TLS with {} failed: {}; is it an https endpoint?", server, _short(error))
    if isinstance(error, ConnectionRefusedError):
        return tell("no connection to {}: {}", server, _short(error))
    if isinstance(error, ConnectionError):
        return tell("{} cut the connection off: {}", server, _short(error))
    return tell("the request to {} failed: {}", server, _short(error))


def _tls_reason(error: ssl.SSLCertVerificationError, server: str) -> str:
    code = getattr(error, "verify_code", 0)
    said = getattr(error, "verify_message", "") or _short(error)
    if code in _NAME_MISMATCH:
        mend = "its certificate is for another host name; mend the endpoint or set tls-server-name"
    elif code in _TIME:
        mend = "renew its certificate"
    else:
        mend = "the CA bundle is not of the authority that signed its certificate"
    return tell("TLS verification of {} failed: {}: {}", server, foreign(said), mend)


def _short(error: BaseException) -> str:
    """A few words: an OSError's own text where there is one, never more than a line."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        # asyncio puts the address in the place of the system's own words.
        number = 0 if isinstance(error, ssl.SSLError) else error.errno or 0
        text = os.strerror(number) if number > 0 else error.strerror
    return foreign((text or type(error).__name__).splitlines()[0][:200])

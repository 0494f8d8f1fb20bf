"""Base64 as Go's decoder takes it, which kubectl and API servers read kubeconfigs and objects with."""

import base64
import binascii


def decode_base64(text: str) -> bytes:
    """The bytes. Line breaks may stand anywhere, other characters and missing padding nowhere.

    Source: Go, encoding/base64, StdEncoding. Raises ValueError, which says that it is not base64 and shows none of it.
    """
    try:
        return base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("is not base64") from error

"""The key that signs passes. The web process signs; the bridge only tells stations its public half."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_hub.errors import HubError, NotConfigured
from cloud_hub.settings import Hub
from firmware_config.signing import decode_public, encode_public, load_private_key


def signing_key(hub: Hub) -> Ed25519PrivateKey:
    """The private key.

    Raises:
        NotConfigured: the settings name none.
        HubError: it cannot be read.
    """
    if hub.settings.passes is None:
        raise NotConfigured("passes need a key: set [passes] key_file in the hub's settings")
    path = hub.beside(hub.settings.passes.key_file)
    try:
        return load_private_key(path)
    except OSError as error:
        raise HubError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise HubError(f"{path}: not an Ed25519 private key in PEM") from error


def public_keys(hub: Hub) -> list[str]:
    """Keys whose passes count, base64, the signing one first; none without settings for passes.

    Raises:
        HubError: a key cannot be read.
    """
    if hub.settings.passes is None:
        return []
    keys = [encode_public(signing_key(hub).public_key())]
    for public in hub.settings.passes.former_keys:
        try:
            decode_public(public)
        except ValueError as error:
            raise HubError(f"[passes] former_keys: {public[:50]!r} is no Ed25519 public key") from error
        if public not in keys:
            keys.append(public)
    return keys

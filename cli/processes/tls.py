"""TLS contexts of a process: toward the servers it uses, and for its own ports."""

import ssl

from secaplane.cli.settings import BadConfig, TlsSettings


def client_context(tls: TlsSettings) -> ssl.SSLContext | None:
    """Verifies a server by the configured authorities and by its name, and presents the certificate
    of this process, if it has one; None without authorities: no TLS.

    Raises:
        BadConfig: a file cannot be used.
    """
    if not tls.ca:
        return None
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        if tls.certificate:
            context.load_cert_chain(tls.certificate, tls.key)
    except OSError as error:
        raise BadConfig(f"tls: {error}") from error
    return context


def server_context(tls: TlsSettings) -> ssl.SSLContext | None:
    """For the ports of this process; None without a certificate: no TLS.

    Raises:
        BadConfig: a file cannot be used.
    """
    if not tls.certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key)
    except OSError as error:
        raise BadConfig(f"tls: {error}") from error
    return context

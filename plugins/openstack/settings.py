"""`[cloud.settings]` of an OpenStack cloud."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec


class OpenStackSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The cloud, and the user with whose rights everything is made."""

    auth_url: str
    """Address of Keystone, with its version: `https://cloud.example:5000/v3`."""
    user: str
    password_file: str
    """File with the password, which its owner alone may read."""
    domain: str
    """Name of the domain in which a project is made for each workspace. The user manages it: it
    creates and deletes projects there, and gives itself `role` in them."""
    catalogue: str
    """File that declares what is offered (`plugins.openstack.offers`)."""
    user_domain: str = "Default"
    role: str = "member"
    """Name of the role with which resources are made in a project."""
    region: str = ""
    """Name of the region in Keystone; needed where the cloud has several."""
    seca_region: str = "eu-1"
    """Name of the region in SECA, as `site.region` has it."""
    interface: str = "public"
    """Which addresses of the services are used: public, internal or admin."""
    ca: str = ""
    """File with the certificates of the authorities that sign the cloud's; empty: those of the
    system."""
    poll_s: Annotated[float, msgspec.Meta(ge=0.1, le=600)] = 2.0
    """Seconds before the cloud is asked again about what it is working on."""


def read_settings(settings: Mapping[str, Any]) -> OpenStackSettings:
    """Raises ValueError where a setting is missing, unknown or wrong."""
    chosen = msgspec.convert(settings, OpenStackSettings, strict=False)
    if not chosen.auth_url.startswith(("https://", "http://")):
        raise ValueError("auth_url is an address that begins with https:// or http://")
    return chosen


def password(settings: OpenStackSettings) -> str:
    """Raises ValueError where the file cannot be read, is empty, or others may read it."""
    file = Path(settings.password_file)
    try:
        text, mode = file.read_text().strip(), file.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"password_file: {type(error).__name__}") from error
    if not text or mode & 0o077:
        raise ValueError("password_file is empty, or others than its owner may read it")
    return text

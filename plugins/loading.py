"""Finds the plugin that the configuration names, by entry point."""

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any

import msgspec

from secaplane.plugins.plugin import Plugin

GROUP = "secaplane.plugins"

PluginFactory = Callable[[Mapping[str, Any]], Plugin]
"""The object an entry point refers to: `[cloud.settings]` -> plugin. It raises ValueError or
msgspec.ValidationError with one line that names the wrong setting. Values from environment
variables are strings. It opens no connection: that is done at the first call."""


class PluginNotUsable(Exception):
    """The plugin is not installed, cannot be imported, or refuses its settings; one line."""


def load_plugin(name: str, settings: Mapping[str, Any]) -> Plugin:
    """The plugin of that name, made with its settings.

    Raises:
        PluginNotUsable: not installed, not importable, or settings refused.
    """
    registered = {each.name: each for each in entry_points(group=GROUP)}
    if name not in registered:
        known = ", ".join(sorted(registered)) or "none"
        raise PluginNotUsable(f"plugin {name} is not installed; installed: {known}")
    try:
        factory: PluginFactory = registered[name].load()
    except (ImportError, AttributeError) as error:
        raise PluginNotUsable(f"plugin {name} cannot be imported: {error}") from error
    try:
        return factory(settings)
    except (ValueError, TypeError, msgspec.ValidationError) as error:
        line = " ".join(str(error).split())
        raise PluginNotUsable(f"plugin {name} refuses its settings: {line}") from error

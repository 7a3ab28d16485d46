"""Clouds: the plugin protocol, its loader, its contract suite, and a folder for each plugin."""

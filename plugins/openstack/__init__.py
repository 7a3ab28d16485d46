"""The plugin of an OpenStack cloud."""

"""The `secaplane` command: processes, the development supervisor, commands for operators. No other
room imports it."""

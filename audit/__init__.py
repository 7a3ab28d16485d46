"""The security audit stream: refused requests, logins and privileged reads."""

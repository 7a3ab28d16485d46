"""The security audit stream: refused requests, logins, privileged reads, starts and stops; and the
export of it and of the log to a SIEM."""

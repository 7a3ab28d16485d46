"""Export to a SIEM (security information and event management): the events of the log and the audit
entries as lines in a published format, delivered to a sink that is resumed by position."""

"""Evidence for auditors: the report of what happened in one tenant, made from an export."""

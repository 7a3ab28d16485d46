"""Commands for operators: tenants, authorization, quarantine, read models, keyrings."""

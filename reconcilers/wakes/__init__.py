"""Reasons to reconcile an address again besides its events: an outage that is over, and a row that
stays unsettled."""

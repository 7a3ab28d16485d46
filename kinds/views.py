"""The views of the log that Secaplane's own provider `secaplane.audit/v1` offers: the history of a
resource, and the activity and the exports of a tenant. Pure.

A view is no kind: nothing of it is recorded. Roles grant its views by resource patterns, with the
standard's verbs: `history/*`, `history/instances/one`, `activity`, `exports`.
"""

from secaplane.model.kind import Provider

AUDIT = Provider("secaplane.audit", "v1", regional=False)
HISTORY, ACTIVITY, EXPORTS = "history", "activity", "exports"
VIEWS = (HISTORY, ACTIVITY, EXPORTS)
OF_ONE_RESOURCE = (HISTORY, "diff", "blame")
"""The first segments of the paths that show the history of one resource; all of them need `get` on
that history. The resource's `metadata.ref` follows, so no name can be taken for one of them."""
LATEST = "latest"
"""Name of the export that can be made now."""
UNDO = "undo"
AS_OF = "asOf"
"""The parameter of reads of the past on the paths of SECA and of access reviews."""


def view_path(segment: str, ref: str) -> str:
    """The path of a view of one resource; `ref` is the resource's `metadata.ref`, or a template of
    it."""
    return f"{AUDIT.base}/{segment}/{ref}"


def tenant_view_path(view: str) -> str:
    """The path of a view of a whole tenant, a template."""
    return f"{AUDIT.base}/tenants/{{tenant}}/{view}"

"""Tenants of a test's own, as an operator makes them."""

from secaplane.model.shape import Json
from tests.flows.client import Answer, Client, at

ADMINISTRATORS = ["admin@example.org", "second@example.org"]


async def allowed(operator: Client, tenant: str, quotas: Json | None) -> Answer:
    """A tenant with those quotas; made anew, or changed."""
    spec: Json = {"administrators": ADMINISTRATORS}
    if quotas is not None:
        spec["quotas"] = quotas
    answer = await operator.put(at("tenant", tenant), {"spec": spec})
    assert answer.status in (200, 201), answer
    return answer

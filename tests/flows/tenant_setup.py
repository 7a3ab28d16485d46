"""Tenants that an operator creates for one test."""

from secaplane.model.shape import Json
from tests.flows.client import Answer, Client, at

ADMINISTRATORS = ["admin@example.org", "second@example.org"]


async def put_tenant(operator: Client, tenant: str, quotas: Json | None) -> Answer:
    """Create a tenant with those quotas, or change its quotas."""
    spec: Json = {"administrators": ADMINISTRATORS}
    if quotas is not None:
        spec["quotas"] = quotas
    answer = await operator.put(at("tenant", tenant), {"spec": spec})
    assert answer.status in (200, 201), answer
    return answer

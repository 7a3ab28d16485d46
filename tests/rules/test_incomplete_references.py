"""References that point to no resource: the refusal names the form that completes them."""

import pytest

from secaplane.command.rules.commands import Put
from secaplane.model.errors import Invalid
from secaplane.model.shape import Json
from tests.scenario import given


@pytest.mark.parametrize(
    ("kind", "spec", "form"),
    [
        ("nic", {"subnetRef": {"resource": "subnets/s"}}, "networks/<network>/subnets/<name>"),
        ("nic", {"subnetRef": {"resource": "nets/n/s"}}, "networks/<network>/subnets/<name>"),
        (
            "image",
            {"blockStorageRef": {"resource": "block-storages/v"}},
            "workspaces/<workspace>/block-storages/<name>",
        ),
    ],
)
def test_an_incomplete_reference_is_refused_with_the_form_that_completes_it(
    kind: str, spec: Json, form: str
) -> None:
    refusal = given(kind).when(Put(spec=spec)).then_refused(Invalid)
    assert f"write it as {form}" in refusal.detail

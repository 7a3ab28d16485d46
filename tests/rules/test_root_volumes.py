"""The root volume of a node pool's nodes: each becomes a block storage, and keeps its limits."""

import pytest

from secaplane.kinds import KINDS
from secaplane.kinds.storage.block_storage import GIGABYTES_MAX


@pytest.mark.parametrize(("size", "broken"), [(GIGABYTES_MAX, 0), (GIGABYTES_MAX + 1, 1)])
def test_a_root_volume_is_no_larger_than_any_volume(size: int, broken: int) -> None:
    check = KINDS["kubernetes-node-pool"].rules.check
    assert check is not None
    found = list(check(None, {"nodeTemplate": {"rootVolume": {"sizeGB": size}}}, {}))
    assert [each.pointer for each in found] == ["/spec/nodeTemplate/rootVolume/sizeGB"] * broken

"""Root volumes of a node pool: each becomes a block storage and has the same size limit."""

import pytest

from secaplane.kinds import KINDS
from secaplane.kinds.storage.block_storage import GIGABYTES_MAX


@pytest.mark.parametrize(("size", "broken"), [(GIGABYTES_MAX, 0), (GIGABYTES_MAX + 1, 1)])
def test_a_root_volume_has_the_size_limit_of_a_block_storage(size: int, broken: int) -> None:
    check = KINDS["kubernetes-node-pool"].rules.check
    assert check is not None
    rules_broken = list(check({"nodeTemplate": {"rootVolume": {"sizeGB": size}}}))
    assert [each.pointer for each in rules_broken] == [
        "/spec/nodeTemplate/rootVolume/sizeGB"
    ] * broken

"""What a wish makes of each kind of thing: a file for each provider, a function for each kind.

A kind without a row is made of nothing and settles at once, so a new one works here before anybody
says how.
"""

from collections.abc import Mapping

from secaplane.plugins.simulated.provision import (
    compute,
    kubernetes,
    loadbalancer,
    natgateway,
    network,
    objectstorage,
    part_status,
    storage,
)
from secaplane.plugins.simulated.provision.provisioner import NOTHING, Making

MAKINGS: Mapping[str, Making] = {
    "block-storage": Making(storage.block_storage),
    "image": Making(storage.image),
    "instance": Making(compute.instance),
    "internet-gateway": NOTHING,
    "kubernetes-cluster": Making(kubernetes.cluster),
    "kubernetes-node-pool": Making(kubernetes.node_pool),
    "nat-gateway-instance": Making(natgateway.nat_gateway),
    "network": Making(network.network, network.network_holds),
    "network-load-balancer": Making(loadbalancer.load_balancer),
    "nic": Making(network.nic, network.nic_holds),
    "object-storage-account": Making(objectstorage.account),
    "public-ip": Making(network.public_ip, network.public_ip_holds),
    "routing-table": Making(part_status.routing_table),
    "security-group": Making(part_status.security_group),
    "security-group-rule": NOTHING,
    "subnet": Making(network.subnet, network.subnet_holds),
    "workspace": NOTHING,
}

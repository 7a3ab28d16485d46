"""Provisioning: how the simulated cloud computes the status of a thing from its desired state; a
file for each provider, a function for each kind.

A kind without an entry needs nothing in the cloud and is ready at once, so a new kind works here
without code.
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
from secaplane.plugins.simulated.provision.provisioner import NOTHING, Provisioner

PROVISIONERS: Mapping[str, Provisioner] = {
    "block-storage": Provisioner(storage.block_storage),
    "image": Provisioner(storage.image),
    "instance": Provisioner(compute.instance),
    "internet-gateway": NOTHING,
    "kubernetes-cluster": Provisioner(kubernetes.cluster),
    "kubernetes-node-pool": Provisioner(kubernetes.node_pool),
    "nat-gateway-instance": Provisioner(natgateway.nat_gateway),
    "network": Provisioner(network.network, network.network_holds),
    "network-load-balancer": Provisioner(loadbalancer.load_balancer),
    "nic": Provisioner(network.nic, network.nic_holds),
    "object-storage-account": Provisioner(objectstorage.account),
    "public-ip": Provisioner(network.public_ip, network.public_ip_holds),
    "routing-table": Provisioner(part_status.routing_table),
    "security-group": Provisioner(part_status.security_group),
    "security-group-rule": NOTHING,
    "subnet": Provisioner(network.subnet, network.subnet_holds),
    "workspace": NOTHING,
}

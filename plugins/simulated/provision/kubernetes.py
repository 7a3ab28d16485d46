"""Clusters and node pools. The nodes are instances, which the control plane creates."""

from base64 import urlsafe_b64encode

from secaplane.model.shape import Json
from secaplane.plugins.simulated.provision.provisioner import check_sku, check_zone
from secaplane.plugins.simulated.wire import CloudObject, DesiredObject
from secaplane.plugins.simulated.world import CloudView

HOST_BYTES = 6
TOKEN_BYTES = 33
KUBE_CONFIG = """\
apiVersion: v1
kind: Config
clusters:
- name: "{name}"
  cluster:
    server: https://{host}.kubernetes.example:6443
contexts:
- name: "{name}"
  context:
    cluster: "{name}"
    user: "{name}-admin"
current-context: "{name}"
users:
- name: "{name}-admin"
  user:
    token: "{token}"
"""


def cluster(thing: CloudObject, desired: DesiredObject, world: CloudView) -> Json:
    check_sku(world, "kubernetes-cluster-sku", desired.spec["skuRef"])
    return thing.status or {"kubeConfig": _kube_config(desired, world)}


def node_pool(thing: CloudObject, desired: DesiredObject, world: CloudView) -> Json:
    template = desired.spec["nodeTemplate"]
    check_sku(world, "instance-sku", template["skuRef"])
    check_sku(world, "storage-sku", template["rootVolume"]["skuRef"])
    check_zone(world, template["zone"])
    return {}


def _kube_config(desired: DesiredObject, world: CloudView) -> str:
    """Names are quoted, because a cluster may be called `1.0` or `true`."""
    token = urlsafe_b64encode(world.random(TOKEN_BYTES)).decode()
    host = world.random(HOST_BYTES).hex()
    return KUBE_CONFIG.format(name=desired.name, host=host, token=token)

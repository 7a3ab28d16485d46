"""Clusters, and pools of nodes; the nodes themselves are instances, and the house's to make."""

from base64 import urlsafe_b64encode

from secaplane.model.shape import Json
from secaplane.plugins.simulated.provision.provisioner import check_sku, check_zone
from secaplane.plugins.simulated.wire import Thing, Wish
from secaplane.plugins.simulated.world import World

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


def cluster(thing: Thing, wish: Wish, world: World) -> Json:
    check_sku(world, "kubernetes-cluster-sku", wish.spec["skuRef"])
    return thing.status or {"kubeConfig": _kube_config(wish, world)}


def node_pool(thing: Thing, wish: Wish, world: World) -> Json:
    template = wish.spec["nodeTemplate"]
    check_sku(world, "instance-sku", template["skuRef"])
    check_sku(world, "storage-sku", template["rootVolume"]["skuRef"])
    check_zone(world, template["zone"])
    return {}


def _kube_config(wish: Wish, world: World) -> str:
    """Names are quoted: a cluster may be called `1.0`, or `true`."""
    token = urlsafe_b64encode(world.random(TOKEN_BYTES)).decode()
    host = world.random(HOST_BYTES).hex()
    return KUBE_CONFIG.format(name=wish.name, host=host, token=token)

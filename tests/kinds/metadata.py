"""The fields in the metadata of each kind (SECA: resource envelope)."""

COMMON = {"name", "provider", "resource", "verb", "apiVersion", "kind", "ref"}
TIMES = {"createdAt", "lastModifiedAt", "resourceVersion"}
GLOBAL, IN_TENANT = COMMON | TIMES, COMMON | TIMES | {"tenant"}
REGIONAL = IN_TENANT | {"region"}
IN_WORKSPACE = REGIONAL | {"workspace"}
IN_NETWORK = IN_WORKSPACE | {"network"}
SKU = COMMON | {"tenant", "region"}
CLASSES = {
    **dict.fromkeys(("region", "tenant", "revocation"), GLOBAL),
    **dict.fromkeys(("role", "role-assignment", "object-storage-account"), IN_TENANT),
    **dict.fromkeys(("workspace", "image"), REGIONAL),
    **dict.fromkeys(("instance", "block-storage", "network", "internet-gateway"), IN_WORKSPACE),
    **dict.fromkeys(("nic", "public-ip", "security-group", "security-group-rule"), IN_WORKSPACE),
    **dict.fromkeys(("nat-gateway-instance", "network-load-balancer"), IN_WORKSPACE),
    **dict.fromkeys(("kubernetes-cluster", "kubernetes-node-pool"), IN_WORKSPACE),
    "activity-log": IN_WORKSPACE,
    **dict.fromkeys(("subnet", "routing-table"), IN_NETWORK),
    **dict.fromkeys(("instance-sku", "storage-sku", "network-sku"), SKU),
    "kubernetes-cluster-sku": SKU,
}

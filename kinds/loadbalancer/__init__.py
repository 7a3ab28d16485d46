from secaplane.model.kind import Provider

PROVIDER = Provider("seca.load-balancer", "v1beta1")

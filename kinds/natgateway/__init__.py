from secaplane.model.kind import Provider

PROVIDER = Provider("seca.nat-gateway", "v1beta1")

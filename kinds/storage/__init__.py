from secaplane.model.kind import Provider

PROVIDER = Provider("seca.storage", "v1")

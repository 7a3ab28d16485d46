from secaplane.model.kind import Provider

PROVIDER = Provider("seca.region", "v1", regional=False)

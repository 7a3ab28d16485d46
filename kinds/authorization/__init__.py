from secaplane.model.kind import Provider

PROVIDER = Provider("seca.authorization", "v1", regional=False)

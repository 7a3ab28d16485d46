from secaplane.model.kind import Provider

PROVIDER = Provider("seca.object-storage", "v1beta1", regional=False)

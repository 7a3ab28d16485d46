from secaplane.model.kind import Provider

PROVIDER = Provider("secaplane.admin", "v1", regional=False)

from secaplane.model.kind import Provider

PROVIDER = Provider("seca.kubernetes", "v1beta1")

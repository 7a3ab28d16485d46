from secaplane.model.kind import Provider

PROVIDER = Provider("seca.activity-log", "v1beta1")

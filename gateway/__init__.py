"""The REST edge: Envoy's transcoder and the filters around it, made from the contract."""

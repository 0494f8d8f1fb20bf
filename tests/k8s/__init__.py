"""The deployment manifests."""

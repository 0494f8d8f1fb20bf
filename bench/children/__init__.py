"""Programs that a row runs as processes of their own: what loads a cache, and anchors that serve."""

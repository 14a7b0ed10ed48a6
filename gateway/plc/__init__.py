"""PLCs: tag maps, drivers that move bytes, and the one link that claims, reads cyclically and feeds the heartbeat."""

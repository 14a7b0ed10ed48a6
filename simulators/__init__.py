"""A factory in software: the world with its hidden truth, cameras and PLCs on real protocols, and the scorer.

Nothing here is read by the gateway; it meets these simulators over TCP only. And nothing here uses the gateway's codec
or handshake code: an implementation of its own finds the mistakes that a shared one would hide.
"""

"""The pure heart: facts, rules and bytes; no I/O, clock, logging or asyncio, so that every rule can be proven by tests.

Reading order: part, frame, inspection, verdict → tags, codec → handshake → lifecycle, binding, tracker → events, commands,
errors.
"""

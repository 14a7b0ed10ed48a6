"""From a folder of pictures to a model package: dataset, frozen backbone, head, one graph, and its honest figures.

Runs off the line, in a process of its own; it must not know PLCs, cameras or the record.
"""

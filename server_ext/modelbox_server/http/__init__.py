"""The HTTP face: tornado handlers made from the route table, the same inside Jupyter and standalone.

``face`` holds what all handlers share, ``exchange`` carries one request through admission, body and answer, ``handlers`` lays out the
paths; ``metrics``, ``uploads`` and ``downloads`` are the exchanges that are not plain JSON. ``auth`` decides who may pass, ``jupyter`` does
so inside a Jupyter server, ``openapi`` describes it all. Nothing here touches storage on the event loop.
"""

"""Who may ask what, and how is it refused?

======================== ============================================================================
`doorway.py`             who comes to a crowded desk is turned away by the protocol, before anything is set up for him
`hot_routes.py`          decisions and outcomes that fit, answered before the framework's routing
`desk.py`                where requests wait for their turn, and are worked on a batch at a time
`lull.py`                while a batch is decided the event loop stands back, and reads in one go what comes meanwhile
`pace.py`                how long a batch takes, for whoever asks whether his turn would come in time
`gate.py`                whoever calls without a key that opens it is refused, before everything else
`access.py`              who may call what: the one table from route to scope
`api_keys.py`            how a key is made and read, and the ring of those that hold
`body_limit.py`          requests too large are refused before they are read
`counting.py`            every call is noted
`http_errors.py`         the one table from refusal to status; problem documents
`openapi.py`             the OpenAPI document with its problem documents
`ofrep.py`               placements as flags of OpenFeature's remote protocol
======================== ============================================================================
"""

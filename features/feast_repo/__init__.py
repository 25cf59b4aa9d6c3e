"""Which Feast objects does a workspace's contract become?

``feature_store.yaml``  the repository for Feast's own tools
``definitions.py``      entity, source, view and service, built from the applied contract
``packed_store.py``     Feast's online stores with one packed vector a contact
``unchecked.py``        Feast is imported in a fifth of the time, before anything else of this folder imports it
"""

from features.feast_repo import unchecked

__all__ = ["unchecked"]

"""dvc.lock, the record of the stages' last runs."""

from pipeline.tools.recorded import LOCK

__all__ = ["LOCK"]

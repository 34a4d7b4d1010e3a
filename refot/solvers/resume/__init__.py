"""What a long solve leaves on the disk, so that the same call goes on where it was interrupted."""

from .checkpoint import resumed
from .last import Follow, rescued_in

__all__ = ["Follow", "rescued_in", "resumed"]

"""The Dask backend: each operation is divided among the workers of a cluster."""

from .backend import DaskBackend, dask_backend
from .cluster import ClusterError

__all__ = ["ClusterError", "DaskBackend", "dask_backend"]

"""The Dask backend: the operations of the contract, shared out to the workers of a cluster."""

from .backend import DaskBackend, dask_backend
from .cluster import ClusterError

__all__ = ["ClusterError", "DaskBackend", "dask_backend"]

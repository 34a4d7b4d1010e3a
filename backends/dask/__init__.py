"""The Dask backend: the operations of the contract, shared out to the workers of a cluster."""

from .backend import DaskBackend, dask_backend

__all__ = ["DaskBackend", "dask_backend"]

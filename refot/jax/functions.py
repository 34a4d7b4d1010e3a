"""A loss as JAX sees it: three calls of refot on the host, each the derivative of the one before.

    value(x, a, y, b, start)            -> the value and the potentials: the only one that solves;
                                           with the gradients, where JAX will ask for them
    gradient(x, a, y, b, potentials)    -> dx, da, dy, db
    hessian_product(..., v)             -> the change of the four gradients along v
Each is a `pure_callback`, with `custom_vjp` around it. Each of the four gradients is a callback by
itself, so that jit leaves out those that nobody uses. There is no forward mode and no third
derivative: JAX raises an error for them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import jax
import numpy as np

from refot.autodiff.losses import Loss, SolvedLoss
from refot.autodiff.measures import Pair
from refot.backend_contract import get_backend

Arrays: TypeAlias = tuple[Any, ...]


def on_host(function: Callable[..., Any], shapes: Any, *arrays: Any) -> Any:
    """`function` of NumPy arrays, called when the computation runs; under vmap once for each member
    of the batch."""
    def called(*values: Any) -> Any:
        return function(*map(np.asarray, values))

    return jax.pure_callback(called, shapes, *arrays, vmap_method="sequential")


def host(array: Any, loss: Loss, dtype: Any) -> Any:
    """A result of the backend as a NumPy array, in the dtype of the problem."""
    return np.asarray(get_backend(loss.backend).to_numpy(array), dtype)


def like(array: Any, shape: tuple[int, ...] | None = None) -> jax.ShapeDtypeStruct:
    """What JAX must know of a result before it is computed: its shape, by default that of `array`,
    and its dtype, that of `array`."""
    return jax.ShapeDtypeStruct(array.shape if shape is None else shape, array.dtype)


# ------------------------------------------------------------------ the value
@partial(jax.custom_vjp, nondiff_argnums=(5,))
def value(x: Any, a: Any, y: Any, b: Any, start: Any, loss: Loss) -> tuple[Any, Any]:
    """(the value, the potentials one after the other); the potentials carry no gradient. `start` is
    what the solve begins with: such potentials, or an empty array for nothing."""
    number, potentials = value_with((x, a, y, b), start, loss, ())
    return number, potentials


def _value_forward(x: Any, a: Any, y: Any, b: Any, start: Any, loss: Loss
                   ) -> tuple[Arrays, Arrays]:
    """The gradients that JAX will ask for come with the value, in one call."""
    given = dict(zip(Pair._fields, (x, a, y, b), strict=True))
    measures = tuple(part.value for part in given.values())
    wanted = tuple(name for name, part in given.items() if part.perturbed)
    number, potentials, *gradients = value_with(measures, start.value, loss, wanted)
    return (number, potentials), (measures, start.value, dict(zip(wanted, gradients, strict=True)))


def _value_backward(loss: Loss, kept: Arrays, cotangents: Arrays) -> Arrays:
    """The gradients, times the cotangent of the value; 0 in the start, which changes no answer."""
    measures, start, gradients = kept
    change = cotangents[0]
    none = isinstance(change, jax.custom_derivatives.SymbolicZero)
    parts = (jax.numpy.zeros_like(part) if none or name not in gradients
             else change * gradients[name]
             for name, part in zip(Pair._fields, measures, strict=True))
    return *parts, jax.numpy.zeros_like(start)


value.defvjp(_value_forward, _value_backward, symbolic_zeros=True)


# ------------------------------------------------------------------ the value with gradients
@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def value_with(measures: Arrays, start: Any, loss: Loss, wanted: tuple[str, ...]) -> Arrays:
    """(the value, the potentials, the gradients in those of x, a, y and b that are `wanted`)."""
    def solved(*arrays: Any) -> Arrays:
        *at, start = arrays
        near = get_backend(loss.backend).asarray(start) if start.size else None
        found = loss.solved(Pair(*at), near)
        gradients = (getattr(found, f"gradient_{name}")() for name in wanted)
        return (np.asarray(found.value(), x.dtype),
                *(host(part, loss, x.dtype) for part in (found.potentials, *gradients)))

    x, _, y, _ = measures
    shapes = (like(x, ()), like(x, (potentials_size(x, y, loss),)),
              *(like(getattr(Pair(*measures), name)) for name in wanted))
    number, potentials, *gradients = on_host(solved, shapes, *measures, start)
    return number, jax.lax.stop_gradient(potentials), *gradients


def potentials_size(x: Any, y: Any, loss: Loss) -> int:
    """How many numbers the potentials of a loss are: n + m, and as many for both self terms."""
    return int(x.shape[-2] + y.shape[-2]) * (2 if loss.debiased else 1)


def _value_with_forward(measures: Arrays, start: Any, loss: Loss, wanted: tuple[str, ...]
                        ) -> tuple[Arrays, Arrays]:
    found = value_with(measures, start, loss, wanted)
    return found, ((*measures, found[1]), start)


def _value_with_backward(loss: Loss, wanted: tuple[str, ...], kept: Arrays, cotangents: Arrays
                         ) -> Arrays:
    """The gradients times the cotangent of the value, and the Hessian times those of the gradients;
    0 in the start."""
    at, start = kept
    change, _, *v = cotangents
    given = dict(zip(wanted, v, strict=True))
    directions = tuple(given.get(name, jax.numpy.zeros_like(part))
                       for name, part in zip(Pair._fields, at[:4], strict=True))
    through = (change * part for part in gradient(*at, loss))
    curved = hessian_product(at, directions, loss) if wanted else directions
    return (tuple(map(jax.numpy.add, through, curved)), jax.numpy.zeros_like(start))


value_with.defvjp(_value_with_forward, _value_with_backward)


# ------------------------------------------------------------------ its gradient
@partial(jax.custom_vjp, nondiff_argnums=(5,))
def gradient(x: Any, a: Any, y: Any, b: Any, potentials: Any, loss: Loss) -> Arrays:
    """The gradients in x, a, y and b."""
    def of(name: str) -> Callable[..., Any]:
        def found(*arrays: Any) -> Any:
            return host(getattr(_restored(loss, *arrays), f"gradient_{name}")(), loss, x.dtype)

        return found

    return tuple(on_host(of(name), like(part), x, a, y, b, potentials)
                 for name, part in zip(Pair._fields, (x, a, y, b), strict=True))


def _gradient_forward(*arguments: Any) -> tuple[Arrays, Arrays]:
    return gradient(*arguments), arguments[:5]


def _gradient_backward(loss: Loss, kept: Arrays, v: Arrays) -> Arrays:
    """The derivative of sum v . gradient: as the Hessian is symmetric, its product with v."""
    return *hessian_product(kept, v, loss), jax.numpy.zeros_like(kept[4])


gradient.defvjp(_gradient_forward, _gradient_backward)


# ------------------------------------------------------------------ its Hessian
def hessian_product(kept: Arrays, v: Arrays, loss: Loss) -> Arrays:
    """How the four gradients change along v, at `kept`: x, a, y, b and the potentials."""
    def found(*arrays: Any) -> Arrays:
        product = _restored(loss, *arrays[:5]).hessian_product(Pair(*arrays[5:]))
        return tuple(host(part, loss, kept[0].dtype) for part in product)

    return tuple(on_host(found, tuple(like(part) for part in kept[:4]), *kept, *v))


def plan(kept: Arrays, loss: Loss) -> Any:
    """The plan of (x, y), (n, m), from `kept`: x, a, y, b and the potentials."""
    def found(*arrays: Any) -> Any:
        return host(_restored(loss, *arrays).xy.plan(), loss, kept[0].dtype)

    return on_host(found, like(kept[0], (kept[0].shape[0], kept[2].shape[0])), *kept)


def _restored(loss: Loss, x: Any, a: Any, y: Any, b: Any, potentials: Any) -> SolvedLoss:
    """The solved loss on its backend, from its potentials."""
    return loss.restored(Pair(x, a, y, b), get_backend(loss.backend).asarray(potentials))

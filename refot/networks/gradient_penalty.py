"""The gradient penalty of WGAN-GP (Gulrajani et al. 2017), differentiated by hand.

    p = (1/n) sum_i (|u_i| - 1)^2,   u_i = dD(x_i)/dx_i

p contains a derivative of the network D, and so its gradient in the weights is a second derivative.
For dense layers a = h W + b and activations h = s(a), u is computed from the output to the input,
by a chain of the vectors t = dD/d(input of a layer):

    t = 1 at the output;   t <- t W'  (dense);   t <- t s'(a)  (activation);   u = t at the input

The gradient of p runs through this chain in the other direction, as r = dp/dt: from r = dp/du at
the input to the output, r <- r W and r <- r s'(a). The weights enter the chain in two places, and p
has a gradient from each. One is the W of a dense layer: dW = r' t. The other is the point a at
which s' is taken, which depends on the weights of all earlier layers: da = dp/da = r t s''(a),
which then goes back through the network as in any backward pass.
"""

from __future__ import annotations

from refot.arrays import Array, ShapeError, TypeInputError, namespace

from .layers import Activation, Dense, dense_backward
from .sequential import Cache, Sequential


def gradient_penalty(net: Sequential, x: Array) -> tuple[float, dict[str, Array]]:
    """(p, its gradients in the weights): p = mean_i (|dD(x_i)/dx_i| - 1)^2, where derivatives are
    in units of D divided by units of x.

    `net` is D: Dense layers and activations only, with one output; x (n, d). Raises TypeInputError
    for other layers (with batch norm, D(x_i) also depends on the other samples of the batch, so
    that dD(x_i)/dx_i has no meaning), ShapeError for more outputs. At u_i = 0 the penalty has no
    derivative, and 0 is used; likewise for s'' at the kink of a ReLU.
    """
    for layer in net.layers:
        if not isinstance(layer, Dense | Activation):
            raise TypeInputError("net", f"has {layer}", "Dense layers and activations")
    y, cache = net.forward(x, train=False)
    if y.shape != (x.shape[0], 1):
        raise ShapeError("net", f"outputs of shape {y.shape}", f"({x.shape[0]}, 1)")
    t = chain(net, cache, namespace(y).ones_like(y))
    penalty, r = penalty_of(t[0])
    dW, da = adjoint_of_chain(net, cache, t, r)
    return penalty, backward_with(net, cache, dW, da)


def penalty_of(u: Array) -> tuple[float, Array]:
    """(p, dp/du (n, d)) for u (n, d): dp/du_i = (2/n) (|u_i| - 1) u_i / |u_i|, 0 at u_i = 0."""
    xp, n = namespace(u), u.shape[0]
    norm = xp.sqrt((u * u).sum(axis=1, keepdims=True))  # (n, 1)
    safe = xp.where(norm > 0, norm, 1)
    r = (2 / n) * (norm - 1) / safe * u
    return float(((norm - 1) ** 2).mean()), r


def chain(net: Sequential, cache: Cache, t: Array) -> list[Array]:
    """The vectors t of the module's docstring at the input of each layer, and at the output: t[k]
    (n, size of the input of layer k). The argument is t at the output."""
    out = [t]
    for k in reversed(range(len(net.layers))):
        layer = net.layers[k]
        if isinstance(layer, Activation):
            t = layer.pull_back(t, cache.layers[k])
        else:
            t = t @ net.layer_weights(k)[0].T
        out.append(t)
    return out[::-1]


def adjoint_of_chain(
    net: Sequential, cache: Cache, t: list[Array], r: Array
) -> tuple[dict[int, Array], dict[int, Array]]:
    """(dW of each dense layer, da of each activation), by number of the layer, from r = dp/du (n,
    d): see the module's docstring."""
    dW, da = {}, {}
    for k, layer in enumerate(net.layers):
        if isinstance(layer, Activation):
            da[k] = r * t[k + 1] * layer.second_derivative(cache.layers[k])
            r = layer.pull_back(r, cache.layers[k])
        else:
            dW[k] = r.T @ t[k + 1]
            r = r @ net.layer_weights(k)[0]
    return dW, da


def backward_with(
    net: Sequential, cache: Cache, dW: dict[int, Array], da: dict[int, Array]
) -> dict[str, Array]:
    """The gradients of p in all weights: of those in dense layers dW, and what each da, going
    backward, adds in the layers before it."""
    gradients: dict[str, Array] = {}
    e: Array = None  # the gradient in the output of layer k; None behind the last activation
    for k in reversed(range(len(net.layers))):
        layer = net.layers[k]
        if isinstance(layer, Activation):
            e = da[k] if e is None else da[k] + layer.pull_back(e, cache.layers[k])
            continue
        W, b = net.layer_weights(k)
        of_W, of_b = dW[k], namespace(b).zeros_like(b)
        if e is not None:
            e, through, of_b = dense_backward(e, cache.layers[k], W)
            of_W = of_W + through
        gradients |= zip(net.weight_names(k), (of_W, of_b), strict=True)
    return gradients

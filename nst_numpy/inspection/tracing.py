"""One pass forward and one back, step by step: at every layer the formula, the shape, the values, and a check.

The pass is that of `network` and `objective`, written out once more with the functions of `layers` and `losses`, in
float64. What arrives at each layer is compared with finite differences of the rest of the network above it.
"""

import html
from dataclasses import dataclass

import numpy as np

from nst_numpy import layers, losses
from nst_numpy.checking import GradientCheck, gradcheck
from nst_numpy.objective import Objective


@dataclass(frozen=True)
class Step:
    """One line of a trace.

    Attributes
    ----------
    sweep : {"forward", "loss", "backward"}
    layer : str
    formula : str
    values : ndarray
        A response, a Gram matrix, a loss, or a gradient.
    check : GradientCheck or None
        For a gradient that is complete: all that depends on this layer has been added.
    """

    sweep: str
    layer: str
    formula: str
    values: np.ndarray
    check: GradientCheck | None = None

    def cells(self) -> tuple[str, ...]:
        """The step as texts: sweep, layer, formula, shape, smallest, mean and largest value, check."""
        shape = "×".join(map(str, self.values.shape)) or "number"
        v = self.values
        numbers = (v.min(), v.mean(), v.max()) if v.ndim else ("", v, "")
        verdict = "" if self.check is None else "passed" if self.check else "FAILED"
        error = "" if self.check is None else f" {self.check.max_relative_error:.0e}"
        texts = (f"{n:.3g}" if n != "" else "" for n in numbers)
        return (self.sweep, self.layer, self.formula, shape, *texts, verdict + error)


@dataclass(frozen=True)
class Trace:
    """What `trace` returns: prints as a table, in a notebook as well. It is true if every check passed.

    Attributes
    ----------
    steps : list of Step
    total : float
        The loss.
    gradient : ndarray, shape (H, W, 3)
        With respect to the pixels.
    """

    steps: list[Step]
    total: float
    gradient: np.ndarray

    HEADER = ("sweep", "layer", "formula", "shape", "least", "mean", "most", "check")

    def __bool__(self) -> bool:
        return all(step.check is None or step.check.passed for step in self.steps)

    def __str__(self) -> str:
        rows = [self.HEADER, *(step.cells() for step in self.steps)]
        widths = [max(len(row[k]) for row in rows) for k in range(len(self.HEADER))]
        aligned = ("<", "<", "<", ">", ">", ">", ">", "<")
        return "\n".join(
            "  ".join(f"{text:{side}{width}}" for text, side, width in zip(row, aligned, widths, strict=True)).rstrip()
            for row in rows
        )

    def _repr_html_(self) -> str:
        rows = [self.HEADER, *(step.cells() for step in self.steps)]
        cells = ("".join(f"<td>{html.escape(text)}</td>" for text in row) for row in rows)
        return "<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"


def trace(objective: Objective, x: np.ndarray, *, samples: int = 10, seed: int = 0) -> Trace:
    """Follow one pass through an objective at the image x.

    Parameters
    ----------
    objective : Objective
    x : ndarray, shape (H, W, 3)
        The generated image; a small one, since every gradient is checked.
    samples : int
        How many elements of each gradient to check.
    seed : int
        For the choice of them.

    Returns
    -------
    Trace
    """
    network = objective.network
    convolutions = {l: (k.astype(np.float64), b.astype(np.float64)) for l, (k, b) in network.convolutions.items()}
    P = {l: p.astype(np.float64) for l, p in objective.P.items()}
    A = {l: a.astype(np.float64) for l, a in objective.A.items()}
    deepest = max(network.layers.index(l) for l in {**P, **A})
    names = network.layers[: deepest + 1]
    pool, pool_backward = {
        "average": (layers.average_pool_forward, layers.average_pool_backward),
        "max": (layers.max_pool_forward, layers.max_pool_backward),
    }[network.pooling]
    steps: list[Step] = []

    def through(name: str, a: np.ndarray) -> np.ndarray:
        if name in convolutions:
            return layers.relu_forward(layers.conv_forward(a, *convolutions[name]))
        return pool(a)

    def loss_at(name: str, a: np.ndarray) -> float:
        F, loss = losses.feature_matrix(a), 0.0
        if name in P:
            loss += objective.content_weights[name] * losses.content_loss(F, P[name])
        if name in A:
            loss += objective.style_weights[name] * losses.style_loss(F, A[name])
        return loss

    def loss_from(k: int, a: np.ndarray) -> float:
        """The losses at layer k and above, as a function of the response of layer k."""
        total = loss_at(names[k], a)
        for name in names[k + 1 :]:
            a = through(name, a)
            total += loss_at(name, a)
        return total

    def checked(function, gradient: np.ndarray, at: np.ndarray) -> GradientCheck:
        h = 1e-5 * max(1.0, float(np.abs(at).mean()))
        return gradcheck(function, gradient, at, mode="sample", samples=samples, seed=seed, h=h, rtol=1e-5)

    x = np.asarray(x, np.float64)
    a = (255 * x - network.mean) * network.scale
    steps.append(Step("forward", "image", "x", x))
    steps.append(Step("forward", "input", "(255 x − mean) · scale", a))
    inputs, total = [], 0.0
    for name in names:
        inputs.append(a)
        a = through(name, a)
        formula = "a = max(0, a ∗ kernel + bias)" if name in convolutions else f"a = {network.pooling} of 2×2"
        steps.append(Step("forward", name, formula, a))
        F = losses.feature_matrix(a)
        if name in P:
            value = objective.content_weights[name] * losses.content_loss(F, P[name])
            steps.append(Step("loss", name, "α v ½ Σ (F − P)²", np.array(value)))
            total += value
        if name in A:
            value = objective.style_weights[name] * losses.style_loss(F, A[name])
            steps.append(Step("loss", name, "G = F Fᵀ", losses.gram(F)))
            steps.append(Step("loss", name, "β w Σ (G − A)² / 4N²M²", np.array(value)))
            total += value
    outputs = [*inputs[1:], a]

    da = None
    for k in reversed(range(len(names))):
        name, a = names[k], outputs[k]
        F = losses.feature_matrix(a)
        injected = []
        if name in P:
            dF = objective.content_weights[name] * losses.content_gradient(F, P[name])
            injected.append(("injected: α v (F − P)", dF))
        if name in A:
            dF = objective.style_weights[name] * losses.style_gradient(F, A[name])
            injected.append(("injected: β w (G − A) F / N²M²", dF))
        for formula, dF in injected:
            steps.append(Step("backward", name, formula, dF))
            dF = dF.T.reshape(a.shape)
            da = dF if da is None else da + dF
        arrived = "dL/da: injected + from above" if injected and k < deepest else "dL/da"
        steps.append(Step("backward", name, arrived, da, checked(lambda a, k=k: loss_from(k, a), da, a)))
        if name in convolutions:
            da = layers.conv_backward_input(layers.relu_backward(da, a), convolutions[name][0])
        else:
            da = pool_backward(da, inputs[k])

    tv, tv_gradient = objective.total_variation(x)
    gradient = 255 * network.scale * da + tv_gradient
    total += tv

    def whole(x: np.ndarray) -> float:
        a = through(names[0], (255 * x - network.mean) * network.scale)
        return loss_from(0, a) + objective.total_variation(x)[0]

    steps.append(Step("loss", "image", "γ TV", np.array(tv)))
    steps.append(Step("loss", "all", "L", np.array(total)))
    steps.append(Step("backward", "image", "dL/dx = 255 scale · da + γ ∂TV/∂x", gradient, checked(whole, gradient, x)))
    return Trace(steps, total, gradient)

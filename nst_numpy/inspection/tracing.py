"""One pass forward and one back, step by step: at every layer the formula, the shape, the values, and a check.

The pass is that of `network` and `objective`, layer by layer, in float64 and on the plain layers. What arrives at each
layer is compared with finite differences of the rest of the network above it. Backward functions of one's own take the
place of the library's: then the first check that fails shows where they are wrong.
"""

import dataclasses
import html
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nst_numpy import layers
from nst_numpy.backends import Backend, plain
from nst_numpy.checking import GradientCheck, gradcheck
from nst_numpy.losses import feature_matrix
from nst_numpy.network import VGG, check_pixels
from nst_numpy.objective import ContentTerm, Objective, StyleTerm
from nst_numpy.tiled import TiledObjective
from nst_numpy.topology import is_convolution
from nst_numpy.validation import check_choice, checked, real_array, shown

Function = Callable[..., Any]
FUNCTIONS = (  # of the backward sweep
    "conv_backward_input",
    "relu_backward",
    "average_pool_backward",
    "max_pool_backward",
    "content_gradient",
    "style_gradient",
)

# Of the terms, by name: the loss, and what it injects at its layer.
FORMULAS = {
    "content": ("α v ½ Σ (F − P)²", "α v (F − P)"),
    "style": ("β w Σ (G − A)² / 4N²M²", "β w (G − A) F / N²M²"),
}


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
        def row(texts: Iterable[str], tag: str = "td") -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in texts) + "</tr>"

        return "<table>" + row(self.HEADER, "th") + "".join(row(step.cells()) for step in self.steps) + "</table>"


@checked()
def trace(
    objective: Objective,
    x: ArrayLike,
    functions: Mapping[str, Function] | ModuleType | None = None,
    *,
    samples: int = 10,
    seed: int = 0,
) -> Trace:
    """Follow one pass through an objective at the image x.

    Parameters
    ----------
    objective : Objective
    x : ndarray, shape (H, W, 3)
        The generated image; a small one, since every gradient is checked.
    functions : dict of str to callable, or module, optional
        Backward functions of your own, by the names of the library's: some of conv_backward_input, relu_backward,
        average_pool_backward, max_pool_backward, content_gradient, style_gradient. What else a module has is not used.
    samples : int
        How many elements of each gradient to check.
    seed : int
        For the choice of them.

    Returns
    -------
    Trace

    Raises
    ------
    ValueError
        If there is no such function, or it returns a wrong shape. What it raises itself has a note with the layer.

    Examples
    --------
    >>> from nst_numpy import Objective, images, load_weights, samples
    >>> x, style = images.load(samples.portrait(), 24), images.load(samples.woodcut_waves(24))
    >>> layers = {"content_layers": ["conv2_1"], "style_layers": ["conv1_1"]}
    >>> objective = Objective.from_images(load_weights("vgg19-mini"), x, style, **layers)
    >>> found = trace(objective, x + 0.01, samples=2)
    >>> bool(found), len(found.steps)
    (True, 27)
    >>> wrong = trace(objective, 1 - x, {"relu_backward": lambda dy, x: dy})
    >>> next(step for step in wrong.steps if step.check is not None and not step.check).formula
    'dz = dL/da · mask, by your relu_backward'
    """
    if isinstance(objective, TiledObjective):
        raise ValueError("a trace is of a whole picture: make the objective without tiles")
    network = in_float64(objective.network)
    own = _Own(functions)
    terms = [in_float64(term) for term in objective.terms]
    of_layer: dict[str | None, list[Any]] = {}
    for term in terms:
        of_layer.setdefault(term.layer and network.canonical(term.layer), []).append(term)
    deepest = max((network.layers.index(layer) for layer in of_layer if layer), default=-1)
    names = ["input", *network.layers[: deepest + 1]]
    forwards = [network.layer(name)[0] for name in names]
    steps: list[Step] = []

    def loss_from(k: int, a: np.ndarray) -> float:
        """The losses at layer k and above, as a function of the response of layer k."""
        total = sum(term(a)[0] for term in of_layer.get(names[k], ()))
        for name, forward in zip(names[k + 1 :], forwards[k + 1 :], strict=True):
            a = forward(a)
            total += sum(term(a)[0] for term in of_layer.get(name, ()))
        return float(total)

    def checked(function: Callable[[np.ndarray], float], gradient: np.ndarray, at: np.ndarray) -> GradientCheck:
        h = 1e-5 * max(1.0, float(np.abs(at).mean()))
        return gradcheck(function, gradient, at, mode="sample", samples=samples, seed=seed, h=h, rtol=1e-5)

    x = real_array("x", x).astype(np.float64)
    check_pixels(x)
    steps.append(Step("forward", "image", "x", x))
    a, inputs, total = x, [], 0.0
    before_relu: dict[str, np.ndarray] = {}
    injected: dict[str, list[tuple[str, np.ndarray]]] = {}
    for name, forward in zip(names, forwards, strict=True):
        inputs.append(a)
        if is_convolution(name):
            kernel, bias = network.convolutions[name]
            before_relu[name] = layers.conv_forward(a, kernel, bias, network.padding)
            steps.append(Step("forward", name, "z = a ∗ kernel + bias", before_relu[name]))
        a = forward(a)
        if name == "input":
            formula = "(255 x − mean) · scale"
        else:
            formula = "a = max(0, z)" if is_convolution(name) else f"a = {network.pooling} of 2×2"
        steps.append(Step("forward", name, formula, a))
        for term in of_layer.get(name, ()):
            value, gradient = term(a)
            loss, injects = FORMULAS.get(term.name, (term.name, f"∂{term.name}/∂a"))
            if isinstance(term, StyleTerm):
                steps.append(Step("loss", name, "G = F Fᵀ", term.backend.gram(term.guided(a))))
            steps.append(Step("loss", name, loss, np.array(value)))
            target = term.A if isinstance(term, StyleTerm) else term.P if isinstance(term, ContentTerm) else None
            mine = f"{term.name}_gradient"
            if target is not None and mine in own:
                # Of a region: the gradient at the features times the mask, and once more the mask.
                F = feature_matrix(term.guided(a) if isinstance(term, StyleTerm) else a)
                values = term.weight * own(mine, name, F.shape, F, target).T.reshape(a.shape)
                if term.mask is not None:
                    values = term.guided(values) if isinstance(term, StyleTerm) else values * term.mask[..., None]
                injects += own.by(mine)
            else:
                values = gradient(None) if callable(gradient) else gradient
            injected.setdefault(name, []).append((injects, values))
            total += value

    da = np.zeros_like(a)
    for k in reversed(range(len(names))):
        name = names[k]
        response = inputs[k + 1] if k + 1 < len(names) else a
        for formula, gradient in injected.get(name, ()):
            values = feature_matrix(gradient) if "F" in formula else gradient  # the paper's N × M
            steps.append(Step("backward", name, f"injected: {formula}", values))
            da = da + gradient
        if name == "input":
            da = network.input_backward(da)
            break
        above = names[k + 1] if k + 1 < len(names) else ""
        came_by = own.by("conv_backward_input" if is_convolution(above) else f"{network.pooling}_pool_backward")
        arrived = "dL/da: injected + from above" if name in injected and above else "dL/da"
        check = checked(lambda a, k=k: loss_from(k, a), da, response)  # type: ignore[misc]
        steps.append(Step("backward", name, arrived + came_by * bool(above), da, check))
        if is_convolution(name):
            z = before_relu[name]
            steps.append(Step("backward", name, "mask: 1 where z > 0", (z > 0).astype(np.float64)))
            da = own("relu_backward", name, z.shape, da, z)
            check = checked(lambda z, k=k: loss_from(k, np.maximum(z, 0)), da, z)  # type: ignore[misc]
            steps.append(Step("backward", name, "dz = dL/da · mask" + own.by("relu_backward"), da, check))
            padding = () if network.padding == "zero" else (network.padding,)
            kernel = network.convolutions[name][0]
            da = own("conv_backward_input", name, inputs[k].shape, da, kernel, *padding)
        else:
            da = own(f"{network.pooling}_pool_backward", name, inputs[k].shape, da, inputs[k])

    for term in of_layer.get(None, ()):
        value, of_pixels = term(x)
        steps.append(Step("loss", "image", "γ TV" if term.name == "tv" else term.name, np.array(value)))
        total += value
        da = of_pixels(da) if callable(of_pixels) else da + of_pixels

    def whole(x: np.ndarray) -> float:
        return loss_from(0, forwards[0](x)) + float(sum(term(x)[0] for term in of_layer.get(None, ())))

    steps.append(Step("loss", "all", "L", np.array(total)))
    steps.append(Step("backward", "image", "dL/dx = 255 scale · da + γ ∂TV/∂x", da, checked(whole, da, x)))
    return Trace(steps, total, da)


class _Own:
    """The backward functions, some of them the student's."""

    def __init__(self, functions: Mapping[str, Function] | ModuleType | None):
        if isinstance(functions, ModuleType):
            functions = {name: f for name, f in vars(functions).items() if name in FUNCTIONS}
        self.functions = dict(functions or {})
        for name, function in self.functions.items():
            check_choice("function", name, FUNCTIONS)
            if not callable(function):
                raise TypeError(f"expected a function for {name}, found {shown(function)}")

    def __contains__(self, name: str) -> bool:
        return name in self.functions

    def by(self, name: str) -> str:
        """Words for a step that it computed."""
        return f", by your {name}" if name in self else ""

    def __call__(self, name: str, layer: str, shape: tuple[int, ...], *arguments: Any) -> np.ndarray:
        if name not in self:
            return np.asarray(getattr(layers, name)(*arguments))
        try:
            given = (a.copy() if isinstance(a, np.ndarray) else a for a in arguments)
            result = np.asarray(self.functions[name](*given), np.float64)
        except Exception as error:
            error.add_note(f"raised by your {name}, at {layer}")
            raise
        if result.shape != shape:
            raise ValueError(f"your {name} must return shape {shape} at {layer}, found {result.shape}")
        return result


def in_float64(part: Any, backend: Backend = plain) -> Any:
    """A network or a term with its arrays in float64, by default on the plain layers."""
    if isinstance(part, VGG):
        weights = {l: (k.astype(np.float64), b.astype(np.float64)) for l, (k, b) in part.convolutions.items()}
        return dataclasses.replace(part, convolutions=weights, backend=backend)
    if isinstance(part, ContentTerm) and part.P is not None:
        return dataclasses.replace(part, P=part.P.astype(np.float64))
    if isinstance(part, StyleTerm):
        return dataclasses.replace(part, A=part.A.astype(np.float64), backend=backend)
    return part

"""How fast, and in how much memory: `nst-numpy bench`.

The job is one step of the paper's: VGG-19 up to conv5_1 (random filters of the full widths), average pooling, content
at conv4_2, style at conv1_1 … conv5_1; forward sweep, losses, and backward sweep to the pixels, in float32.

Every contestant lives in a process of its own and waits for orders; the steps alternate between them, so that all meet
the machine in the same mood. The best step counts. Convolutions are counted as direct ones, 2 · 9 · C · K · H · W
operations, whatever the method.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from nst_numpy.network import VGG
from nst_numpy.objective import Objective
from nst_numpy.topology import FILTERS, layer_names, reduction
from nst_numpy.weights.random import he_kernels

CONTENT, STYLE = "conv4_2", ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
CONTESTANTS = {"nst_numpy": "nst_numpy", "torch": "PyTorch", "torch-channels-last": "PyTorch, channels last"}


def bench(size: int = 512, against: str | None = None, threads: int | None = None, rounds: int = 7) -> dict:
    """Measure one step at size × size pixels.

    Parameters
    ----------
    size : int
    against : {None, "torch"}
        Measure PyTorch too, in both of its memory layouts.
    threads : int, optional
        For each contestant; by default one for each core.
    rounds : int
        Steps of each contestant, after one to warm up.

    Returns
    -------
    dict
        "size", "threads", "matrix_product" (the machine's float32 rate, GFLOP/s); "contestants": name → "step"
        (seconds), "memory" (peak of the whole process over what it held before its first sweep, bytes) and "kernels"
        (bytes of it that are transformed kernels); and of nst_numpy "convolutions" (all together: "seconds", and "rate"
        in GFLOP/s) and "layers": name → "forward" and "backward" (seconds), "operations".

    Raises
    ------
    ValueError
        If PyTorch is asked for and not installed, or a contestant ends before its time.
    """
    names = ["nst_numpy"] + (["torch", "torch-channels-last"] if against == "torch" else [])
    children = {name: _Child(name, size, threads) for name in names}
    try:
        for child in children.values():
            child.ask("step")  # to warm up; after it, all have nothing to do but wait
        rate = children["nst_numpy"].ask("rate")
        steps = {name: [] for name in names}
        for _ in range(rounds):
            for name, child in children.items():
                steps[name].append(child.ask("step"))
        result = {"size": size, "matrix_product": rate, "contestants": {}}
        for name, child in children.items():
            result["contestants"][name] = {"step": min(steps[name]), **child.ask("memory")}
        result.update(children["nst_numpy"].ask("layers"))
        return result
    finally:
        for child in children.values():
            child.end()


def table(result: dict) -> str:
    """What `bench` measured, for people to read."""
    size, rate, ours = result["size"], result["matrix_product"], result["contestants"]["nst_numpy"]
    lines = [
        f"One step at {size}×{size} pixels, {result['threads']} threads; matrix products {rate:.0f} GFLOP/s (float32)",
        "",
        f"{'':24}{'step':>10}{'':>8}{'memory':>10}{'':>8}",
    ]
    for name, c in result["contestants"].items():
        memory = c["memory"] - c["kernels"]
        faster, smaller = c["step"] / ours["step"], memory / (ours["memory"] - ours["kernels"])
        lines.append(
            f"{CONTESTANTS[name]:24}{c['step'] * 1e3:7.0f} ms{faster:7.2f}×{memory / 2**20:7.0f} MB{smaller:7.2f}×"
            + (f"   and {c['kernels'] / 2**20:.0f} MB of transformed kernels" if c["kernels"] else "")
        )
    total = result["convolutions"]
    lines += [
        "",
        f"convolutions of nst_numpy, counted as direct: {total['rate']:.0f} GFLOP/s, "
        f"{total['rate'] / rate:.2f} times the rate of matrix products",
        "",
        f"{'':16}{'forward':>11}{'':>22}{'backward':>11}",
    ]
    for layer, t in result["layers"].items():
        line = f"{layer:16}"
        for sweep in ("forward", "backward"):
            line += f"{t[sweep] * 1e3:8.1f} ms"
            layer_rate = t["operations"] / t[sweep] / 1e9
            line += f"{layer_rate:7.0f} GFLOP/s{layer_rate / rate:6.2f}×"
        lines.append(line)
    return "\n".join(lines)


class _Child:
    """A contestant in a process of its own: an order goes in as a line, its answer comes out as a line of JSON."""

    def __init__(self, name: str, size: int, threads: int | None):
        command = [sys.executable, "-m", "speed", name, str(size)] + ([str(threads)] if threads else [])
        self._name = name
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, order: str):
        try:
            self._process.stdin.write(order + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        answer = self._process.stdout.readline()
        if not answer:
            raise ValueError(
                f"{CONTESTANTS[self._name]} could not be measured: is it installed? is there memory enough?"
            )
        return json.loads(answer)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


# In the child ---------------------------------------------------------------------------------------------------------


def _weights() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    kernels = he_kernels(np.random.default_rng(0), FILTERS, "conv5_1")
    return {layer: (kernel.astype(np.float32), np.zeros(kernel.shape[3], np.float32)) for layer, kernel in kernels}


def _image(seed: int, size: int) -> np.ndarray:
    return np.random.default_rng(seed).random((size, size, 3), np.float32)


class _Ours:
    def __init__(self, size: int, threads: int | None):
        self.network = VGG(_weights(), np.zeros(3), 1 / 255, threads=threads)
        self.size, self.x = size, _image(2, size)
        self.threads = self.network.engine.workers.threads

    def targets(self) -> None:
        self.objective = Objective.from_images(
            self.network,
            _image(0, self.size),
            _image(1, self.size),
            content_layers={CONTENT: 1.0},
            style_layers=dict.fromkeys(STYLE, 0.2),
            content_weight=1.0,
            style_weight=1000.0,
            tv_weight=0.0,
        )

    def step(self) -> None:
        self.objective(self.x)

    def kernels(self) -> int:
        """Bytes of transformed kernels; the backward pass shares some of them, as views."""
        arrays = [form for prepared in self.network.prepared.values() for form in prepared.forms.values()]
        return sum({id(base): base.nbytes for a in arrays for base in [a if a.base is None else a.base]}.values())

    def rate(self) -> float:
        a = np.ones((2048, 2048), np.float32)
        return 2 * 2048**3 / min(_time(lambda: a @ a) for _ in range(5)) / 1e9

    def layers(self) -> dict:
        """Each layer's share of a step, best of five."""
        backend, runs, order = self.network.engine, {}, []

        def timed(function, sweep):
            def run(*arguments):
                start = time.perf_counter()
                result = function(*arguments)
                order.append((sweep, time.perf_counter() - start))
                return result

            return run

        original = dict(vars(backend))
        for kind in ("conv_relu", "conv_relu_pool", "pool"):
            for sweep in ("forward", "backward"):
                setattr(backend, f"{kind}_{sweep}", timed(getattr(backend, f"{kind}_{sweep}"), sweep))
        _, tape = self.network.forward(self.x, (CONTENT, *STYLE))
        names = [" + ".join(layer for layer in step[:2] if layer) for step in tape]
        for _ in range(5):
            order.clear()
            self.step()
            for name, (sweep, seconds) in zip(names + names[::-1], order, strict=True):
                best = runs.setdefault(name, {}).get(sweep, seconds)
                runs[name][sweep] = min(best, seconds)
        for name in set(vars(backend)) - set(original):
            delattr(backend, name)
        for name, t in runs.items():
            convolution = name.split()[0]
            pixels = (self.size // reduction(convolution)) ** 2
            t["operations"] = 2 * self.network.convolutions[convolution][0].size * pixels
        seconds = sum(t["forward"] + t["backward"] for t in runs.values())
        operations = 2 * sum(t["operations"] for t in runs.values())
        total = {"seconds": seconds, "rate": operations / seconds / 1e9}
        return {"threads": self.threads, "convolutions": total, "layers": runs}


class _Torch:
    def __init__(self, size: int, threads: int | None, channels_last: bool):
        import torch

        self.torch = torch
        if threads:
            torch.set_num_threads(threads)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.weights = {
            name: (torch.tensor(k).permute(3, 2, 0, 1).contiguous(memory_format=layout), torch.tensor(b))
            for name, (k, b) in _weights().items()
        }
        self.image = lambda seed: (
            torch.tensor(_image(seed, size)).permute(2, 0, 1)[None].contiguous(memory_format=layout)
        )
        self.x = self.image(2).requires_grad_(True)

    def features(self, a):
        torch, found = self.torch, {}
        for name in layer_names("vgg19"):
            if name in self.weights:
                kernel, bias = self.weights[name]
                a = torch.relu_(torch.nn.functional.conv2d(a, kernel, bias, padding=1))
            else:
                a = torch.nn.functional.avg_pool2d(a, 2)
            if name in (CONTENT, *STYLE):
                found[name] = a
            if name == "conv5_1":
                return found

    def grams(self, features):
        matrices = {l: features[l].flatten(2)[0] for l in STYLE}
        return {l: F @ F.T / (F.shape[0] * F.shape[1]) for l, F in matrices.items()}

    def targets(self) -> None:
        with self.torch.no_grad():
            self.A = self.grams(self.features(self.image(1)))
            self.P = self.features(self.image(0))[CONTENT]

    def step(self) -> None:
        self.x.grad = None
        features = self.features(self.x)
        loss = 0.5 * ((features[CONTENT] - self.P) ** 2).mean()
        for l, G in self.grams(features).items():
            loss = loss + 50 * ((G - self.A[l]) ** 2).sum()
        loss.backward()

    def kernels(self) -> int:
        return 0


def _time(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _resident() -> int:
    """Bytes in memory now; where the system does not tell, the most until now."""
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * int(status.read_text().split("VmRSS:")[1].split()[0])
    return _peak()


def _peak() -> int:
    """The most bytes in memory until now."""
    import resource  # Windows has none

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _child(name: str, size: int, threads: int | None) -> None:
    contestant = _Ours(size, threads) if name == "nst_numpy" else _Torch(size, threads, name.endswith("channels-last"))
    before = _resident()
    contestant.targets()
    answers = {
        "step": lambda: _time(contestant.step),
        "memory": lambda: {"memory": _peak() - before, "kernels": contestant.kernels()},
        "rate": lambda: contestant.rate(),
        "layers": lambda: contestant.layers(),
    }
    for order in sys.stdin:
        print(json.dumps(answers[order.strip()]()), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=CONTESTANTS)
    parser.add_argument("size", type=int)
    parser.add_argument("threads", type=int, nargs="?")
    arguments = parser.parse_args()
    _child(arguments.name, arguments.size, arguments.threads)

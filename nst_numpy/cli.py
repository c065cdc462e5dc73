"""The command line: every command is one call of the library.

Exit codes: 0 for success, 1 if a loss became not finite, 2 for bad input, 130 after Ctrl-C. With 1 and with 130 the
best picture so far has been written, if there was one.
"""

import argparse
import csv
import dataclasses
import inspect
import json
import os
import sys
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path

import nst_numpy
from nst_numpy import bench, conventions, exercises, images, register, samples, weights
from nst_numpy.exercises.bugs import BUGS
from nst_numpy.exercises.catalogue import EXERCISES
from nst_numpy.objective import Objective
from nst_numpy.optimize import INTERRUPTED, METHODS
from nst_numpy.stylize import KEEP_COLORS, STARTS, StyleTransfer, reconstruct, texture, transfer

DEFAULTS = {name: parameter.default for name, parameter in inspect.signature(transfer).parameters.items()}
DEMO = Path("out/demo.png")
WAY = 5  # steps between the pictures of an animation, if nothing else is said


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> None:
        self.exit(2, f"nst-numpy: error: {message}\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the command `nst-numpy` with these arguments, by default those of the process; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except BrokenPipeError:  # whoever read the output has gone, as in `nst-numpy weights list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError, MemoryError) as error:
        print(f"nst-numpy: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("nst-numpy: interrupted before there was anything to write", file=sys.stderr)
        return 130


def _transfer(options: argparse.Namespace) -> int:
    return _paint(options, transfer, options.content, options.styles)


def _texture(options: argparse.Namespace) -> int:
    return _paint(options, texture, options.styles)


def _reconstruct(options: argparse.Namespace) -> int:
    return _paint(options, reconstruct, options.content, options.layer)


def _demo(options: argparse.Namespace) -> int:
    if options.output == DEMO:
        DEMO.parent.mkdir(exist_ok=True)
    return _paint(options, transfer, samples.portrait(), samples.swirling_night())


def _paint(options: argparse.Namespace, function: Callable[..., StyleTransfer], *arguments) -> int:
    """Call the function with the options that it knows, and write all that was asked for."""
    output, animation, losses = (getattr(options, name, None) for name in ("output", "animation", "losses"))
    images.check_output(output)
    if animation:
        images.check_output(animation, images.ANIMATIONS)
    if losses:
        images.check_output(losses, images.TABLES_AND_PLOTS)
    keywords = {name: getattr(options, name) for name in (*OPTIONS, "progress") if hasattr(options, name)}
    every = keywords.get("every", 0)
    if animation and not every:
        keywords["every"] = WAY

    def write(step, image, _) -> None:
        if every and step % every == 0:
            images.save(images.to_uint8(image), output.with_stem(f"{output.stem}_{step:04}"))

    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # the message is printed below
        result = function(*arguments, **keywords, callback=write)
    result.save(output)
    written = [output]
    for path, save in ((animation, result.save_animation), (losses, result.save_losses)):
        if path:
            save(path)
            written.append(path)
    print(f"wrote {', '.join(map(str, written))}")
    if not result.complete:
        print(f"nst-numpy: {result.message}", file=sys.stderr)
        return 130 if result.message.startswith(INTERRUPTED) else 1
    return 0


def _conventions_list(options: argparse.Namespace) -> int:
    print(conventions.table())
    return 0


def _conventions_show(options: argparse.Namespace) -> int:
    print(conventions.find(options.name))
    return 0


def _conventions_convert(options: argparse.Namespace) -> int:
    weights_of = {name: getattr(options, name) for name in WEIGHTS if hasattr(options, name)}
    for name, value in conventions.convert(options.source, options.target, size=options.size, **weights_of).items():
        if isinstance(value, dict):
            value = ",".join(f"{layer}:{weight:.15g}" for layer, weight in value.items())
        elif isinstance(value, list):
            value = ",".join(value)
        else:
            value = f"{value:.15g}"
        print(f"--{name.replace('_', '-')} {value}")
    return 0


def _plot(options: argparse.Namespace) -> int:
    from nst_numpy import plots  # Matplotlib takes its time to import

    images.check_output(options.output, images.PLOTS)
    network = weights.load(options.weights)
    if options.what == "gradients":
        content = images.load(options.image, options.size)
        objective = Objective.of(network, content, images.load(options.style, options.size))
        figure = plots.gradients(objective, images.load(options.at or options.image, content.shape[:2]))
    else:
        draw = {"features": plots.features, "gram-matrices": plots.gram_matrices}[options.what]
        figure = draw(network, images.load(options.image, options.size), options.layers)
    with images.whole_file(options.output) as part:
        figure.savefig(part)
    print(f"wrote {options.output}")
    return 0


def _bench(options: argparse.Namespace) -> int:
    for name, least in (("size", 16), ("threads", 1), ("rounds", 1)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise ValueError(f"{name} must be at least {least}, found {value}")
    measured = bench.bench(options.size, options.against, options.threads, options.rounds)
    print(json.dumps(measured, indent=2) if options.json else bench.table(measured))
    return 0


def _weights_list(options: argparse.Namespace) -> int:
    print(register.table())
    return 0


def _weights_show(options: argparse.Namespace) -> int:
    if options.output:
        images.check_output(options.output)
    print(weights.summary(options.file))
    if options.output:
        images.save(weights.first_filters(weights.load(options.file, normalize=False)), options.output)
        print(f"wrote {options.output}: the filters of conv1_1")
    return 0


def _weights_verify(options: argparse.Namespace) -> int:
    for file in options.files:
        name = file if file in register.REGISTER else ""
        path = register.location(name) if name else Path(file)
        network = weights.load(path, normalize=False)  # reads it all, and refuses what is wrong
        if name and (wrong := register.REGISTER[name].mismatch(path)):
            raise ValueError(f"{path} is not {name}: {wrong}")
        known = name or register.identify(path)
        what = f"it is {known}, {register.REGISTER[known].hash or 'no hash'}" if known else "it is not in the register"
        print(f"{path}: readable, conv1_1 to {list(network.convolutions)[-1]}; {what}")
    return 0


def _weights_convert(options: argparse.Namespace) -> int:
    contents = weights.convert(options.file, options.output, over=options.images)
    done = f", normalised on {len(options.images)} images" if options.images else ""
    print(f"wrote {options.output}: {options.file} ({contents.layout}){done}")
    return 0


def _exercise_list(options: argparse.Namespace) -> int:
    for name, exercise in EXERCISES.items():
        print(f"{name:28} {inspect.getdoc(exercise.function).splitlines()[0]}")
    return 0


def _exercise_start(options: argparse.Namespace) -> int:
    if options.output is not None and options.output.suffix == ".ipynb":
        text = json.dumps(exercises.notebook(options.names or None, options.solutions), indent=1) + "\n"
    elif options.solutions:
        raise ValueError("solutions are for notebooks: give an output file ending in .ipynb")
    else:
        text = exercises.start(options.names or None)
    if options.output is None:
        print(text, end="")
        return 0
    if options.output.exists():
        raise ValueError(f"{options.output} exists already; choose another name, so that no work is lost")
    options.output.write_text(text)
    python = options.output.suffix != ".ipynb"
    print(f"wrote {options.output}" + f"; check it with: nst-numpy exercise check {options.output}" * python)
    return 0


def _exercise_hint(options: argparse.Namespace) -> int:
    print(exercises.hint(options.name, options.step))
    return 0


def _exercise_bug(options: argparse.Namespace) -> int:
    if not 1 <= options.number <= len(BUGS):
        raise ValueError(f"there are {len(BUGS)} bugs, from 1 on; found {options.number}")
    name, function, _ = BUGS[options.number - 1]
    print(f"# {name}: what is wrong here?")
    print("".join(inspect.getsourcelines(function)[0][1:]), end="")  # the first line names the mistake
    if options.answer:
        report = exercises.check(name, function)
        print(f"\n# {', '.join(report.diagnosis)}\n" + textwrap.indent(textwrap.fill(report.message, 100), "# "))
    return 0


def _exercise_check(options: argparse.Namespace) -> int:
    files = [f for path in options.files for f in (sorted(path.glob("*.py")) if path.is_dir() else [path])]
    if not files:
        raise ValueError(f"no Python files in {', '.join(map(str, options.files))}")
    reports = {str(file): exercises.check_file(file, options.only) for file in files}
    if options.json:
        print(json.dumps({f: [dataclasses.asdict(r) for r in found] for f, found in reports.items()}, indent=2))
    elif options.csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(("file", "exercise", "result", "diagnosis"))
        for file, found in reports.items():
            writer.writerows((file, r.name, _verdict(r), " ".join(r.diagnosis)) for r in found)
    elif len(files) == 1:
        for report in reports[str(files[0])]:
            if report.diagnosis:
                print(f"{report.name}: FAILED ({', '.join(report.diagnosis)})")
                print(textwrap.indent(textwrap.fill(report.message, 100), "    "))
            else:
                print(report)
    else:
        for file, found in reports.items():
            wrong = [f"{r.name} ({', '.join(r.diagnosis)})" for r in found if r.diagnosis]
            counts = f"{sum(r.passed for r in found)} passed, {sum(r.not_yet for r in found)} not yet"
            print(f"{file}: {counts}, {len(wrong)} wrong" + (": " + "; ".join(wrong) if wrong else ""))
    every = [report for found in reports.values() for report in found]
    return 1 if any(r.diagnosis for r in every) or not any(r.passed for r in every) else 0


def _verdict(report: exercises.Report) -> str:
    return "passed" if report.passed else "not yet" if report.not_yet else "wrong"


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _numbers(kind: type) -> Callable[[str], object]:
    """One number, or several that commas separate."""

    def read(text: str):
        values = [kind(part) for part in text.split(",")]
        return values if len(values) > 1 else values[0]

    read.__name__ = kind.__name__  # for argparse, when it refuses a value
    return read


def _layers(text: str) -> list[str] | dict[str, float]:
    """Names of layers, or names with weights."""
    pairs = [part.strip().partition(":") for part in text.split(",")]
    if not any(colon for _, colon, _ in pairs):
        return [name for name, _, _ in pairs]
    try:
        return {name: float(weight) for name, _, weight in pairs}
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected LAYER,… or LAYER:WEIGHT,…, found {text!r}") from None


# The arguments of `transfer` as options, with what argparse wants to know. Where the words do not say a default, the
# signature's is shown, or that of the convention "nst_numpy".
OPTIONS: dict[str, tuple[str, dict]] = {
    "convention": ("whose losses and defaults (see: nst-numpy conventions list)", {"metavar": "NAME"}),
    "weights": ("weight file, or a name such as vgg19 (see: nst-numpy weights list)", {"metavar": "FILE"}),
    "size": (
        "longer side in pixels; several are worked through in order",
        {"type": _numbers(int), "metavar": "N[,N…]"},
    ),
    "steps": ("iterations of the optimiser for each size", {"type": _numbers(int), "metavar": "N[,N…]"}),
    "scales": ("sizes from coarse to fine, each half of the next, if --size names one", {"type": int, "metavar": "N"}),
    "content_layers": ("such as conv4_2, with weights or without", {"type": _layers, "metavar": "LAYER[:W],…"}),
    "style_layers": ("such as conv1_1:0.5,conv2_1:2", {"type": _layers, "metavar": "LAYER[:W],…"}),
    "content_weight": ("α", {"type": float, "metavar": "W"}),
    "style_weight": ("β", {"type": float, "metavar": "W"}),
    "tv_weight": ("γ, the weight of the total variation", {"type": float, "metavar": "W"}),
    "style_blend": (
        "a weight for each style image; by default all the same",
        {"type": _numbers(float), "metavar": "W,…"},
    ),
    "keep_colors": ("keep the colours of the content image", {"choices": KEEP_COLORS}),
    "init": (f"where to start: {', '.join(STARTS)}, or an image file, such as an earlier result", {"metavar": "START"}),
    "init_noise": ("share of white noise in the start, 0 to 1", {"type": float, "metavar": "X"}),
    "optimizer": ("method", {"choices": list(METHODS)}),
    "rate": ("learning rate, for pixels in 0–1; L-BFGS has none", {"type": float, "metavar": "X"}),
    "pooling": ("the paper's, or VGG's own", {"choices": ["average", "max"]}),
    "backend": ("compiled kernels (fast, the default), or plain NumPy", {"choices": ["fast", "plain"]}),
    "threads": ("by default one for each core", {"type": int, "metavar": "N"}),
    "seed": ("for the noise", {"type": int, "metavar": "N"}),
    "every": ("write the picture every so many steps, as OUT_0010.png", {"type": int, "metavar": "N"}),
}
ONLY_CONTENT = ("content_layers", "content_weight")
ONLY_STYLE = ("style_layers", "style_weight", "style_blend")
WEIGHTS = ("content_layers", "style_layers", "content_weight", "style_weight", "tv_weight")


def _default(name: str, function: Callable) -> str:
    """What an option is if it is not given, as a text."""
    own = inspect.signature(function).parameters
    values = (own[name].default if name in own else None, DEFAULTS[name])
    values += (getattr(conventions.CONVENTIONS["nst_numpy"], name, None),)
    value = next((value for value in values if value is not None), None)
    text = ",".join(value) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else str(value)
    return "" if value is None else f" (default: {text})"


def _painting(
    commands, name: str, function: Callable, run: Callable, help: str, without: tuple[str, ...] = ()
) -> Parser:
    """A command that paints, with the options of `transfer`."""
    command = commands.add_parser(name, help=help, description=f"{help.capitalize()}.")
    command.set_defaults(run=run)
    command.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="image file to write")
    for option, (what, keywords) in OPTIONS.items():
        if option not in without:
            flag, default = "--" + option.replace("_", "-"), _default(option, function)
            command.add_argument(flag, default=argparse.SUPPRESS, help=what + default, **keywords)
    way = f"write the way there as a GIF or WebP, a picture every {WAY} steps or as --every says"
    command.add_argument("--animation", metavar="FILE", type=Path, help=way)
    command.add_argument("--losses", metavar="FILE", type=Path, help="write the losses, as a .csv table or a .png plot")
    command.add_argument("--quiet", dest="progress", action="store_false", help="no progress bar")
    return command


def _parser() -> Parser:
    parser = Parser(prog="nst-numpy", description="Neural style transfer in NumPy, every gradient derived by hand.")
    parser.add_argument("--version", action="version", version=f"nst_numpy {nst_numpy.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    command = _painting(commands, "transfer", transfer, _transfer, "paint one image in the style of another")
    command.add_argument("content", metavar="CONTENT", help="image file")
    command.add_argument("styles", metavar="STYLE", nargs="+", help="image file; several are blended")
    without = (*ONLY_CONTENT, "keep_colors")
    command = _painting(commands, "texture", texture, _texture, "a picture with the style of an image", without)
    command.add_argument("styles", metavar="STYLE", nargs="+", help="image file; several are blended")
    without = (*ONLY_STYLE, "keep_colors")
    command = _painting(commands, "reconstruct", reconstruct, _reconstruct, "an image from its features", without)
    command.add_argument("content", metavar="CONTENT", help="image file")
    command.add_argument("layer", metavar="LAYER", type=_names, help="such as conv4_2, or several with commas")

    demo = commands.add_parser(
        "demo",
        help="a first picture, from sample images that the library brings along",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    demo.set_defaults(run=_demo)
    demo.add_argument("--quiet", dest="progress", action="store_false", help="no progress bar")
    demo.add_argument("-o", "--output", metavar="OUT", type=Path, default=DEMO, help="image file to write")

    measure = commands.add_parser(
        "bench",
        help="how fast one step is, layer by layer, and in how much memory",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    measure.set_defaults(run=_bench)
    measure.add_argument("--against", choices=["torch"], help="measure PyTorch beside it, which must be installed")
    measure.add_argument("--size", type=int, default=512, metavar="N", help="side of the square image in pixels")
    measure.add_argument("--threads", type=int, metavar="N", help="for each; by default one for each core")
    measure.add_argument("--rounds", type=int, default=7, metavar="N", help="steps of each; the best counts")
    measure.add_argument("--json", action="store_true", help="print JSON instead of a table")
    files = commands.add_parser("weights", help="weight files: the official ones, and your own")
    files = files.add_subparsers(title="commands", required=True, metavar="COMMAND")
    listing = files.add_parser("list", help="the official files: where from, how large, which hash, which terms")
    listing.set_defaults(run=_weights_list)
    show = files.add_parser("show", help="what a file holds, layer by layer")
    show.set_defaults(run=_weights_show)
    show.add_argument("file", metavar="FILE", help="a weight file, or a name from the list")
    show.add_argument("-o", "--output", metavar="OUT", type=Path, help="image file, for the filters of conv1_1")
    verify = files.add_parser("verify", help="read a file, and say which of the official ones it is")
    verify.set_defaults(run=_weights_verify)
    verify.add_argument("files", metavar="FILE", nargs="+", help="a weight file, or a name from the list")
    convert = files.add_parser("convert", help="write a file of any known layout in the library's own")
    convert.set_defaults(run=_weights_convert, images=[])
    convert.add_argument("file", metavar="FILE", help="a weight file, or a name from the list")
    convert.add_argument("output", metavar="OUT", type=Path, help="HDF5 file to write")
    normalize = files.add_parser("normalize", help="the same, with every filter's mean response over the images made 1")
    normalize.set_defaults(run=_weights_convert)
    normalize.add_argument("file", metavar="FILE", help="a weight file, or a name from the list")
    normalize.add_argument("images", metavar="IMAGE", nargs="+", help="image files")
    normalize.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="HDF5 file to write")

    tasks = commands.add_parser("exercise", help="gradients to derive yourself, and what is wrong with them")
    tasks = tasks.add_subparsers(title="commands", required=True, metavar="COMMAND")
    listing = tasks.add_parser("list", help="the functions to write")
    listing.set_defaults(run=_exercise_list)
    begin = tasks.add_parser("start", help="a file to fill in")
    begin.set_defaults(run=_exercise_start)
    begin.add_argument("names", metavar="NAME", nargs="*", help="by default all")
    begin.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="Python file or notebook; by default standard output"
    )
    begin.add_argument("--solutions", action="store_true", help="in a notebook, marked as nbgrader wants it")
    test = tasks.add_parser("check", help="check files; 0 if nothing is wrong, 1 otherwise")
    test.set_defaults(run=_exercise_check)
    test.add_argument("files", metavar="FILE", nargs="+", type=Path, help="Python file, or a folder of them")
    test.add_argument("--only", type=_names, metavar="NAME,…", help="these exercises; by default all")
    form = test.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="everything, as JSON")
    form.add_argument("--csv", action="store_true", help="a row for each function, as CSV")
    find = tasks.add_parser("bug", help="a broken function: what is wrong with it?")
    find.set_defaults(run=_exercise_bug)
    find.add_argument("number", metavar="N", type=int, help=f"1 to {len(BUGS)}")
    find.add_argument("--answer", action="store_true", help="say what is wrong")
    help_with = tasks.add_parser("hint", help="a question, a way, a derivation")
    help_with.set_defaults(run=_exercise_hint)
    help_with.add_argument("name", metavar="NAME")
    help_with.add_argument("--step", type=int, default=1, choices=(1, 2, 3), help="how much help")

    systems = commands.add_parser("conventions", help="how published systems define and weigh the same losses")
    systems = systems.add_subparsers(title="commands", required=True, metavar="COMMAND")
    listing = systems.add_parser("list", help="their terms and weights")
    listing.set_defaults(run=_conventions_list)
    show = systems.add_parser("show", help="all about one")
    show.set_defaults(run=_conventions_show)
    show.add_argument("name", metavar="NAME")
    convert = systems.add_parser("convert", help="the weights with which TARGET minimises what SOURCE does")
    convert.set_defaults(run=_conventions_convert)
    convert.add_argument("source", metavar="SOURCE")
    convert.add_argument("target", metavar="TARGET")
    shape = {"type": _numbers(int), "default": 512, "metavar": "N|H,W"}
    convert.add_argument("--size", help="of the picture in pixels: one number for a square (default: 512)", **shape)
    for option in WEIGHTS:
        what, keywords = OPTIONS[option]
        flag = "--" + option.replace("_", "-")
        convert.add_argument(flag, default=argparse.SUPPRESS, help=what + " of SOURCE; by default its own", **keywords)

    plot = commands.add_parser("plot", help="feature maps, Gram matrices and gradients as pictures")
    plot = plot.add_subparsers(title="pictures", required=True, metavar="WHAT", dest="what")
    for name, help in (
        ("features", "what the filters of a layer respond to"),
        ("gram-matrices", "Gram matrices of some layers"),
        ("gradients", "the gradient of the loss in every loss layer, and at the pixels"),
    ):
        what = plot.add_parser(name, help=help)
        what.set_defaults(run=_plot)
        what.add_argument("image", metavar="IMAGE", help="image file")
        if name == "gradients":
            what.add_argument("style", metavar="STYLE", help="image file")
            what.add_argument("--at", metavar="PICTURE", help="where to take the gradient; by default at IMAGE")
        else:
            what.add_argument("layers", metavar="LAYER" + "[,…]" * (name == "gram-matrices"), type=_names)
        what.add_argument(
            "-o", "--output", metavar="OUT", type=Path, required=True, help="file to write: .png, .svg, .pdf"
        )
        for option in ("weights", "size"):
            default = DEFAULTS[option]
            keywords = OPTIONS[option][1] | ({"type": int, "metavar": "N"} if option == "size" else {})
            what.add_argument(f"--{option}", default=default, help=f"(default: {default})", **keywords)
    return parser

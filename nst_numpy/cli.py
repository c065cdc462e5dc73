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
from nst_numpy import bench, exercises, images, register, samples, weights
from nst_numpy.exercises.bugs import BUGS
from nst_numpy.exercises.catalogue import EXERCISES
from nst_numpy.optimize import INTERRUPTED, METHODS
from nst_numpy.stylize import StyleTransfer, transfer

DEFAULTS = {name: parameter.default for name, parameter in inspect.signature(transfer).parameters.items()}
DEMO = Path("out/demo.png")


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
    arguments = {name: getattr(options, name) for name in DEFAULTS if hasattr(options, name)}
    return _paint(options.output, lambda: transfer(**arguments))


def _demo(options: argparse.Namespace) -> int:
    if options.output == DEMO:
        DEMO.parent.mkdir(exist_ok=True)
    portrait, painting = samples.portrait(), samples.swirling_night()
    return _paint(options.output, lambda: transfer(portrait, painting, progress=options.progress))


def _paint(output: Path, make: Callable[[], StyleTransfer]) -> int:
    images.check_output(output)
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # the message is printed below
        result = make()
    result.save(output)
    print(f"wrote {output}")
    if not result.complete:
        print(f"nst-numpy: {result.message}", file=sys.stderr)
        return 130 if result.message.startswith(INTERRUPTED) else 1
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


def _parser() -> Parser:
    parser = Parser(prog="nst-numpy", description="Neural style transfer in NumPy, every gradient derived by hand.")
    parser.add_argument("--version", action="version", version=f"nst_numpy {nst_numpy.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    command = commands.add_parser(
        "transfer",
        help="paint one image in the style of another",
        description="Paint the content of one image in the style of another.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    command.set_defaults(run=_transfer)
    command.add_argument("content", metavar="CONTENT", help="image file")
    command.add_argument("style", metavar="STYLE", help="image file")
    command.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="image file to write")

    def option(name: str, help: str, **keywords) -> None:
        keywords = {"default": DEFAULTS[name], **keywords}
        command.add_argument("--" + name.replace("_", "-"), help=help, **keywords)

    option("weights", "weight file, or a name such as vgg19 (see: nst-numpy weights list)", metavar="FILE")
    option("size", "longer side of the picture in pixels", type=int, metavar="N")
    option("steps", "iterations of the optimiser for each size", type=int, metavar="N")
    option("scales", "sizes from coarse to fine, each half of the next", type=int, metavar="N")
    layers = {"type": _names, "metavar": "LAYER,…", "default": argparse.SUPPRESS}
    option("content_layers", "such as conv4_2; by default conv3_4, or the nearest that the network has", **layers)
    option("style_layers", "such as conv1_1,conv2_1; by default conv1_1 … conv4_1, or the nearest", **layers)
    option("content_weight", "α", type=float, metavar="W")
    option("style_weight", "β", type=float, metavar="W")
    option("tv_weight", "γ, the weight of the total variation", type=float, metavar="W")
    option("init", 'where to start: "content", "noise", or an image file, such as an earlier result', metavar="START")
    option("optimizer", "method", choices=list(METHODS))
    option("pooling", "the paper's, or VGG's own", choices=["average", "max"], default="average")
    option("backend", "compiled kernels, or plain NumPy", choices=["fast", "plain"], default="fast")
    option("threads", "by default one for each core", type=int, metavar="N", default=argparse.SUPPRESS)
    option("seed", "for the noise", type=int, metavar="N")

    demo = commands.add_parser(
        "demo",
        help="a first picture, from sample images that the library brings along",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    demo.set_defaults(run=_demo)
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

    for each in (command, demo):
        each.add_argument("--quiet", dest="progress", action="store_false", default=True, help="no progress bar")
    return parser

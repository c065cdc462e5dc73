"""studio: a local page on which one paints, and looks inside."""

import argparse
from typing import Any


def add(commands: Any) -> None:
    """Add the command to those of a parser."""
    command = commands.add_parser(
        "studio",
        help="paint, and look inside, on a page in the browser",
        description="Open a page on which one paints and sees the gradient work. It runs until Ctrl-C.",
        epilog="examples:\n  nst-numpy studio\n  nst-numpy studio --host 0.0.0.0 --no-browser",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=_studio)
    command.add_argument(
        "--host", default="127.0.0.1", help="the address to listen on; by default only this computer reaches it"
    )
    command.add_argument(
        "--port", type=int, metavar="N", help="0 for any that is free; by default 8642 or the next one"
    )
    command.add_argument("--no-browser", dest="browser", action="store_false", help="only print the address")


def _studio(options: argparse.Namespace) -> int:
    try:
        import nicegui  # noqa: F401
    except ImportError:
        raise ValueError("the studio needs NiceGUI: pip install 'nst_numpy[studio]'") from None
    from nst_numpy.studio.web.server import serve

    serve(options.host, options.port, browser=options.browser)
    return 0

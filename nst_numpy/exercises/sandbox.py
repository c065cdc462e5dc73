"""What a submission may do to the machine it runs on.

`enforce` is called in the process of a submission, before any of its lines run. It stands alone: that process imports
nothing of this library. On Linux the kernel enforces it: Landlock for files, seccomp for system calls. Neither needs
rights or programs. On other systems only the limits hold, and `enforce` says so.

What does not hold, anywhere:

- A submission sees whether a path exists and how large a file is, and may read the files of Python, NumPy, the packages
  that the assignment allows, and the system's libraries.
- It may use a processor and its memory until its limits are reached.
- It can tell that it is being graded, and change anything in its own process; what counts is compared in another one.
- A bug in the kernel is a way out. To grade submissions from strangers, use a virtual machine.
"""

import ctypes
import os
import platform
import struct
import sys
import sysconfig
from collections.abc import Iterable, Iterator

# Landlock: the rights over files that exist in each version of its interface, and the two that are given.
RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}
READ_FILE, READ_DIR, WRITE_FILE = 1 << 2, 1 << 3, 1 << 1

# System calls that are refused, with their numbers on x86-64 and on 64-bit ARM (None: not there).
ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
REFUSED: dict[str, tuple[int | None, int | None]] = {
    # processes
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    # the network; io_uring reaches it, and files, past this filter
    "socket": (41, 198),
    "io_uring_setup": (425, 425),
    # other processes of the same user
    "kill": (62, 129),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "setpriority": (141, 140),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274),
    "sched_setaffinity": (203, 122),
    "ioprio_set": (251, 30),
    # what Landlock leaves: modes, owners, times and attributes of files; mounts
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "setxattrat": (463, 463),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
    "mount": (165, 40),
    "unshare": (272, 97),
    "setns": (308, 268),
    # what outlives the process, and doors that no gradient needs
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "add_key": (248, 217),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
}
CLONE, CLONE3, TGKILL, PRLIMIT = (56, 220), (435, 435), (234, 131), (302, 261)
CLONE_THREAD = 0x10000


def enforce(hidden: Iterable[str], megabytes: int, seconds: int) -> dict[str, str]:
    """Take from this process what a submission does not need; it can't be given back.

    Every package that it may use is imported already: their folders remain readable.

    Parameters
    ----------
    hidden : iterable of str
        Folders that are not readable even where they lie in those of Python.
    megabytes : int
        Maximum address space.
    seconds : int
        Maximum time on the processor. The parent measures the time for each function; this ends a process whose parent
        is gone.

    Returns
    -------
    dict of str to str
        What holds from here on, in words: "network", "files", "processes".
    """
    kernel = sys.platform == "linux"
    files = kernel and _restrict_files(hidden)
    calls = kernel and _restrict_calls()
    _set_limits(megabytes, seconds, processes=not calls)
    return {
        "network": "none" if calls else "not restricted",
        "files": "reads those of Python and its packages, writes none" if files else "not restricted",
        "processes": "none but its own" if calls else "its process group ends with it",
    }


def _set_limits(megabytes: int, seconds: int, processes: bool) -> None:
    try:
        import resource
    except ImportError:  # not on this system
        return
    limits = {"RLIMIT_AS": megabytes * 2**20, "RLIMIT_FSIZE": 0, "RLIMIT_CORE": 0, "RLIMIT_CPU": seconds}
    if processes:
        limits["RLIMIT_NPROC"] = 0  # no further ones; does not bind root
    for name, value in limits.items():
        if hasattr(resource, name):
            most = resource.getrlimit(getattr(resource, name))[1]
            value = value if most == resource.RLIM_INFINITY else min(value, most)
            resource.setrlimit(getattr(resource, name), (value, value))


# Files ----------------------------------------------------------------------------------------------------------------


def _restrict_files(hidden: Iterable[str]) -> bool:
    """Landlock: reads what `_readable` names and writes to no file. Whether the kernel can."""
    libc = ctypes.CDLL(None, use_errno=True)
    version = int(libc.syscall(444, None, 0, 1))
    if version < 1:
        return False
    every = (1 << RIGHTS[max(v for v in RIGHTS if v <= version)]) - 1
    # Version 4 also knows TCP, version 6 signals and abstract sockets: seccomp refuses more of each.
    ruleset = libc.syscall(444, ctypes.create_string_buffer(struct.pack("Q", every), 8), 8, 0)
    if ruleset < 0:
        return False
    for path, rights in _readable({os.path.realpath(folder) for folder in hidden}):
        try:
            file = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        libc.syscall(445, ruleset, 1, ctypes.create_string_buffer(struct.pack("=Qi", rights, file), 12), 0)
        os.close(file)
    restricted = bool(libc.prctl(38, 1, 0, 0, 0) == 0 and libc.syscall(446, ruleset, 0) == 0)
    os.close(ruleset)
    return restricted


def _readable(hidden: set[str]) -> Iterator[tuple[str, int]]:
    """Paths and the rights to them: Python's own, loaded packages, the system's libraries; not what is hidden."""
    standard = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    libraries = {sysconfig.get_config_var("LIBDIR"), "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache"}
    folders = [os.path.join(path, name) for path in standard for name in ("site-packages", "dist-packages")]
    sites = {os.path.realpath(path) for path in (*folders, *sys.path) if path.endswith("-packages")}
    for path in filter(None, standard | libraries):
        for part in _without(os.path.realpath(path), hidden | sites):
            yield part, READ_FILE | READ_DIR if os.path.isdir(part) else READ_FILE
    yield from ((path, READ_DIR) for path in standard)  # imports list them
    for name in {name.partition(".")[0] for name in list(sys.modules)}:
        module = sys.modules.get(name)
        for folder in getattr(module, "__path__", ()):
            yield from ((path, READ_FILE | READ_DIR) for path in _without(os.path.realpath(folder), hidden))
    for site in filter(os.path.isdir, sites):  # the shared libraries that wheels bring
        for name in os.listdir(site):
            if name.endswith(".libs"):
                yield os.path.join(site, name), READ_FILE | READ_DIR
    yield from ((path, READ_FILE | WRITE_FILE) for path in ("/dev/null", "/dev/zero"))
    yield from ((path, READ_FILE) for path in ("/dev/urandom", "/dev/random"))


def _without(path: str, hidden: set[str]) -> Iterator[str]:
    """The path, or the parts of it beside what is hidden."""
    if path in hidden or not os.path.exists(path):
        return
    if any(other.startswith(path + os.sep) for other in hidden):
        for name in os.listdir(path):
            yield from _without(os.path.realpath(os.path.join(path, name)), hidden)
    else:
        yield path


# System calls ---------------------------------------------------------------------------------------------------------


def _restrict_calls() -> bool:
    """Seccomp: no processes, no network, nothing done to other processes. Whether the kernel can."""
    if platform.machine() not in ARCHITECTURES or sys.maxsize < 2**32:
        return False
    audit, column = ARCHITECTURES[platform.machine()]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(38, 1, 0, 0, 0)  # no new privileges
    libc.capset(struct.pack("Ii", 0x20080522, 0), bytes(24))  # none of root's
    filters = b"".join(_filter(audit, column, os.getpid()))
    program = ctypes.create_string_buffer(filters, len(filters))
    head = struct.pack("HxxxxxxP", len(filters) // 8, ctypes.addressof(program))
    return bool(libc.prctl(22, 2, ctypes.create_string_buffer(head, len(head)), 0, 0) == 0)


def _filter(audit: int, column: int, process: int) -> Iterator[bytes]:
    """The instructions of the filter; each jump is to the next but one at most."""
    load, equal, at_least, has_bits, give = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, refuse, unknown, end = 0x7FFF0000, 0x00050000 | 1, 0x00050000 | 38, 0x80000000

    def do(code: int, value: int, skip_if: int = 0, skip_else: int = 0) -> bytes:
        return struct.pack("HBBI", code, skip_if, skip_else, value)

    yield from (do(load, 4), do(equal, audit, 1), do(give, end))  # another architecture's numbers
    yield from (do(load, 0), do(at_least, 0x40000000, 0, 1), do(give, refuse))  # those of the x32 interface
    for numbers in REFUSED.values():
        if (number := numbers[column]) is not None:
            yield from (do(equal, number, 0, 1), do(give, refuse))
    yield from (do(equal, CLONE3[column], 0, 1), do(give, unknown))  # its flags are out of sight; clone is used instead
    # Threads, but no processes; signals and limits for itself only. The first argument is at offset 16.
    yield from (do(equal, CLONE[column], 0, 4), do(load, 16), do(has_bits, CLONE_THREAD, 1))
    yield from (do(give, refuse), do(give, allow))
    for numbers, own in ((TGKILL, (process,)), (PRLIMIT, (0, process))):
        yield from (do(equal, numbers[column], 0, len(own) + 3), do(load, 16))
        yield from (do(equal, value, len(own) - k) for k, value in enumerate(own))
        yield from (do(give, refuse), do(give, allow))
    yield do(give, allow)

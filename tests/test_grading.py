"""Grading: marks, pages of feedback, and one row for each student, whatever was handed in."""

import csv
import html.parser
import inspect
import json
import os
import re
import signal
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from nst_numpy import exercises, jobs
from nst_numpy.backends.threads import available_cores
from nst_numpy.cli import main
from nst_numpy.exercises import grading
from nst_numpy.exercises.assignment import Assignment, Question, Task
from nst_numpy.exercises.grading import Result, grade

GRAM = "def gram(F):\n    return F @ F.T\n"
LOSS = "def content_loss(F, P):\n    return 0.5 * ((F - P) ** 2).sum()\n"
QUARTER = "def style_gradient(F, A):\n    return (F @ F.T - A) @ F / (4 * F.size**2)\n"
SHEET = Assignment(
    "Sheet <1>",
    (Task("gram", 2), Task("style_gradient", 4, partial={"constant-factor": 0.25}), Task("content_loss", 1, False)),
    (Question("Why & how?", "Derive `gram`: is N < M?", 3),),
    seed=5,
    seconds=2,
)


@pytest.fixture
def graded(tmp_path):
    """Write files, grade them, and return the results by name."""

    def run(files=(), assignment=SHEET, **options):
        for name, text in dict(files).items():
            path = tmp_path / "in" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text) if isinstance(text, bytes) else path.write_text(text, encoding="utf-8")
        with ThreadPoolExecutor(4) as executor:
            options = {"executor": executor, "progress": False, **options}
            results = grade(tmp_path / "in", assignment, tmp_path / "out", **options)
        return {result.name: result for result in results}

    return run


def rows(tmp_path):
    with open(tmp_path / "out/marks.csv", encoding="utf-8-sig", newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


class Text(html.parser.HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(Path(path).read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


# Marks ----------------------------------------------------------------------------------------------------------------


def test_marks(graded, tmp_path):
    results = graded({"ada.py": GRAM + QUARTER + LOSS, "bob.py": GRAM, "eve.py": "def content_loss(F, P): return 3"})
    assert list(results) == ["ada", "bob", "eve"]
    assert [(mark.name, mark.points, mark.of) for mark in results["ada"].marks] == [
        ("gram", 2, 2),
        ("style_gradient", 1, 4),  # a quarter of 4 for the near miss
        ("content_loss", 1, 1),
    ]
    assert (results["bob"].points, results["bob"].of) == (2, 6), "what is not required and not there does not count"
    assert (results["eve"].points, results["eve"].of) == (0, 7)
    found = rows(tmp_path)
    assert list(found["ada"]) == [
        *("student", "gram", "style_gradient", "content_loss", "Why & how?", "points", "of", "percent", "remarks")
    ]
    assert list(found["ada"].values()) == [
        "ada",
        "2",
        "1",
        "1",
        "",
        "4",
        "7",
        "57.14",
        "style_gradient: constant-factor",
    ]
    assert list(found["bob"].values())[1:-1] == ["2", "0", "", "", "2", "6", "33.33"]
    assert found["bob"]["remarks"] == "style_gradient: missing; content_loss: missing"


@pytest.mark.parametrize(
    "diagnosis, points",
    [(["sign"], 2), (["sign", "constant-factor"], 0), (["transposed"], 1), (["raises"], 0), ([], 0)],
)
def test_partial_credit_is_for_the_only_mistake(diagnosis, points):
    task = Task("gram", 4, partial={"sign": 0.5, "transposed": 0.25})
    report = {"passed": False, "diagnosis": diagnosis, "not_yet": not diagnosis, "message": ""}
    assert grading._mark(task, report).points == points
    assert grading._mark(task, {**report, "passed": True}).points == 4


def test_the_assignment_arrives(monkeypatch):
    """Its names, its seed, its limits, its imports."""
    made, checked = {}, []

    class Submission(grading.Submission):
        def __init__(self, files, names, **options):
            made.update(files=files, names=names, **options)
            super().__init__(files, names, **options)

        def check(self, name, seed=None):
            checked.append((name, seed))
            return super().check(name, seed)

    monkeypatch.setattr(grading, "Submission", Submission)
    sheet = Assignment(
        "Sheet", (Task("gram"), Task("content_loss")), seed=7, imports=("numpy", "PIL"), seconds=3, megabytes=999
    )
    answer = grading.examine({"a.py": GRAM.encode()}, sheet)
    limits = {"imports": ("numpy", "PIL"), "seconds": 3, "megabytes": 999}
    assert made == {"files": {"a.py": GRAM.encode()}, "names": ["gram", "content_loss"], **limits}
    assert checked == [("gram", 7), ("content_loss", 7)]
    assert [report["passed"] for report in answer["reports"]] == [True, False]
    json.dumps(answer)


def test_what_the_checker_can_not_do_is_one_row(graded, monkeypatch):
    check = grading.Submission.check

    def sometimes(self, name, seed=None):
        if b"bob" in self.files["bob.py" if "bob.py" in self.files else "ada.py"]:
            raise IndexError("oh no")
        return check(self, name, seed)

    monkeypatch.setattr(grading.Submission, "check", sometimes)
    results = graded({"ada.py": GRAM, "bob.py": "# bob"})
    assert results["ada"].graded and results["bob"].remarks == ("not graded: IndexError: oh no",)


# What is handed in ----------------------------------------------------------------------------------------------------


def test_nothing_is_dropped(graded, tmp_path, capsys):
    folder = tmp_path / "in"
    for name in ("empty", "eva"):
        (folder / name).mkdir(parents=True)
    (folder / "passwd.py").symlink_to("/etc/passwd")
    (folder / "etc").symlink_to("/etc")
    (folder / "eva/link.py").symlink_to(folder / "ada.py")
    (folder / "eva/there").symlink_to("/etc")
    (folder / "huge.py").touch()
    os.truncate(folder / "huge.py", 10**10)
    os.mkfifo(folder / "pipe.py")
    notebook = {"cells": [{"cell_type": "code", "source": GRAM}]}
    files = {
        "ada.py": GRAM,
        "ada.lovelace/a/b/hw.ipynb": json.dumps(notebook),
        "eva/a.py": "def gram(F): return F.T @ F",
        "eva/b.py": GRAM,
        "eva/notes.pdf": "x",
        "eva/.ipynb_checkpoints/c.py": "def gram(F): return F",
        "eva/__pycache__/c.py": "def gram(F): return F",
        ".git/x": "x",
        "twice.py": GRAM,
        "twice/a.py": GRAM,
        "report.docx": "x",
        "binary.py": bytes(range(256)) * 9,
        "none.ipynb": "{}",
        "nothing.py": "",
        "loop.py": GRAM + "\n\ndef style_gradient(F, A):\n    while True: pass",
        "stuck.py": "while True: pass\n" + GRAM,
        "exits.py": "import os\nos._exit(0)",
        "loud.py": "print('x' * 10**8)\n" + GRAM,
        "flood.py": "x" * (21 * 2**20),
        "=1+1.py": GRAM,
        "b\x1b[31m.py": GRAM,
    }
    results = graded(files)
    expected = {
        "ada": ("2", ""),
        "ada.lovelace": ("2", ""),
        "eva": ("2", "gram is in a.py and in b.py; the one in b.py counts"),
        "empty": ("", "not graded: there is no .py or .ipynb file that can be read"),
        "passwd": ("", "not graded: there .*; passwd.py is a symbolic link, and not followed"),
        "etc": ("", "not graded: there .*; etc is a symbolic link, and not followed"),
        "huge": ("", "not graded: there .*; huge.py has 10000 MB; at most 20 MB are read"),
        "flood": ("", "not graded: there .*; flood.py has 22 MB; at most 20 MB are read"),
        "pipe": ("", "not graded: there .*; not read, since neither .py nor .ipynb: pipe.py"),
        "report": ("", "not graded: there .*; not read, since neither .py nor .ipynb: report.docx"),
        "twice": ("", "not graded: twice and twice.py have one name; put them into one folder, or rename one"),
        "twice.py": ("", "not graded: twice and twice.py have one name; put them into one folder, or rename one"),
        "binary": ("0", "gram: raises; .*; binary.py can't be read: it is no text in UTF-8"),
        "none": ("0", "gram: raises; .*; none.ipynb can't be read: it is no notebook"),
        "nothing": ("0", "nothing.py can't be read: it is empty"),
        "loop": ("2", "style_gradient: raises"),
        "stuck": ("2", "line 1 of stuck.py: `while True: pass` did not finish within 0.5 seconds"),
        "exits": ("0", "The file can't be loaded: It ended the process"),
        "loud": ("2", ""),
        "'=1+1": ("2", ""),
        "b�[31m": ("2", ""),
    }
    found = rows(tmp_path)
    assert set(found) == set(expected) and len(results) == len(expected)
    for name, (points, remarks) in expected.items():
        assert found[name]["gram"] == points and re.search(remarks, found[name]["remarks"]), (name, found[name])
    remarks = "; ".join(results["eva"].remarks)
    assert "link.py is a symbolic link" in remarks and "there is a symbolic link" in remarks
    assert "not read, since neither .py nor .ipynb: notes.pdf" in remarks
    pages = list((tmp_path / "out/feedback").iterdir())
    assert len(pages) == len(expected) and "\x1b" not in "".join(page.read_text() for page in pages)
    table = Text(tmp_path / "out/marks.html")
    links = [a["href"] for tag, a in table.tags if tag == "a"]
    assert len(links) == len(expected) and f"{len(expected)} submissions, 12 graded" in table.text


def test_too_many_files(graded, tmp_path):
    half = "#" * (10 * 2**20)
    files = {f"ada/{k}.py": f"x{k} = 3" for k in range(101)} | {f"bob/{k}.py": f"x{k} = 3" for k in range(99)}
    files |= {"bob/gram.py": GRAM, "eve/a.py": half, "eve/b.py": half, "mia/a.py": half, "mia/b.py": half + "#"}
    results = graded(files)
    assert [name for name in results if results[name].graded] == ["bob", "eve"], "what is allowed is read"
    for name in ("ada", "mia"):
        words = "the files are more than 100, or have more than 20 MB"
        assert results[name].remarks == ("not graded: there is no .py or .ipynb file that can be read", words)
        row = rows(tmp_path)[name]
        assert row.pop("remarks") == "; ".join(results[name].remarks) and row.pop("student") == name
        assert set(row.values()) == {""}, "no numbers for what was not graded"


def test_a_folder_that_can_not_be_read(graded, monkeypatch):
    def walk(entry, onerror):
        onerror(PermissionError(13, "Permission denied", "more"))
        yield from walked(entry)

    walked = os.walk
    monkeypatch.setattr(grading.os, "walk", walk)
    result = graded({"ada/a.py": GRAM})["ada"]
    assert result.graded and result.remarks == ("can't be read: [Errno 13] Permission denied: 'more'",)


def test_a_name_that_is_nearly_right_is_a_remark(graded, tmp_path):
    result = graded({"ada.py": GRAM + "def style_grad(F, A): return F"})["ada"]
    assert result.remarks == ("the file defines `style_grad`; did you mean `style_gradient`?",)
    assert (tmp_path / "out/marks.csv").read_bytes().startswith(b"\xef\xbb\xbfstudent,gram"), (
        "as spreadsheets know UTF-8"
    )


def test_as_many_workers_as_processors(monkeypatch):
    if hasattr(os, "sched_getaffinity"):
        assert available_cores() == len(os.sched_getaffinity(0))
        monkeypatch.delattr(os, "sched_getaffinity")
    for count, expected in ((6, 6), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda count=count: count)
        assert available_cores() == expected


def test_defaults():
    usual = {name: p.default for name, p in inspect.signature(grade).parameters.items() if p.default is not p.empty}
    assert usual == {"executor": None, "workers": None, "again": False, "progress": True}


def test_safe_names_of_files():
    names = ["../../x", "Ada", "ada", "ADA", "a b/c", "", "...", "x" * 300, "Zoë", "con\0"]
    made = grading._file_names(names)
    assert made[:4] == ["x", "Ada", "ada-2", "ADA-3"] and made[8] == "Zoë"
    assert len({name.casefold() for name in made}) == len(names)
    assert all(re.fullmatch(r"[\w-][\w.-]{0,62}", name) for name in made)


@pytest.mark.parametrize(
    "files, options, words",
    [
        ({}, {}, "no submissions in"),
        ({".hidden": "x"}, {}, "no submissions in"),
        ({"ada.py": GRAM}, {"workers": 0}, "workers must be a whole number of at least 1, found 0"),
        ({"ada.py": GRAM}, {"assignment": Assignment("", (Task("gram"),), imports=("no_such",)), "executor": None},
         "the assignment allows no_such, which can't be imported here"),
    ],
)  # fmt: skip
def test_bad_input(graded, tmp_path, files, options, words):
    (tmp_path / "in").mkdir()
    with pytest.raises((ValueError, OSError), match=words):
        graded(files, **options)


def test_bad_folders(tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(NotADirectoryError, match="there is no folder"):
        grade(tmp_path / "nowhere", SHEET, tmp_path / "out")
    for output in (tmp_path / "in", tmp_path / "in/marks", tmp_path / "out/../in/x"):
        with pytest.raises(ValueError, match="is in the folder of the submissions"):
            grade(tmp_path / "in", SHEET, output)
    assert list((tmp_path / "in").iterdir()) == []


# Pages ----------------------------------------------------------------------------------------------------------------


def test_the_page_of_a_student(graded, tmp_path):
    hostile = "<script>alert(1)</script>"
    graded({"O'Brien <b>.py": f"{GRAM}def style_gradient(F, A):\n    raise ValueError('{hostile}')\n"})
    (path,) = (tmp_path / "out/feedback").iterdir()
    page = Text(path)
    assert {tag for tag, _ in page.tags} <= {
        *(
            "html",
            "head",
            "meta",
            "title",
            "style",
            "body",
            "h1",
            "h2",
            "div",
            "span",
            "b",
            "p",
            "pre",
            "section",
            "code",
        )
    }
    assert "width=device-width" in str(page.tags) and "prefers-color-scheme" in page.text and hostile in page.text
    assert "Sheet <1>" in page.text and "O'Brien <b>" in page.text and "2 of 6 points" in page.text
    assert ("span", {"class": "right"}) in page.tags and ("span", {"class": "wrong"}) in page.tags
    assert "Why & how?" in page.text and "Derive gram: is N < M?" in page.text and "… of 3" in page.text
    table = (tmp_path / "out/marks.html").read_text()
    assert "O&#x27;Brien &lt;b&gt;" in table and "<script" not in table


def test_tables_in_messages_keep_their_columns():
    text = "The result is wrong:\n  1  2\n  3  4\nLook at `F.T`. "
    expected = "<p>The result is wrong:</p><pre>  1  2\n  3  4\n</pre><p>Look at <code>F.T</code>.</p>"
    assert grading.pages._paragraphs(text) == expected


# Again ----------------------------------------------------------------------------------------------------------------


def test_only_what_is_new_is_graded(graded, tmp_path, monkeypatch):
    seen = []
    examine = grading.examine

    def spy(files, assignment):
        seen.extend(files)
        return examine(files, assignment)

    monkeypatch.setattr(grading, "examine", spy)
    first = graded({"ada.py": GRAM, "bob.py": LOSS})
    table = (tmp_path / "out/marks.csv").read_bytes()
    assert sorted(seen) == ["ada.py", "bob.py"]
    assert graded() == first and len(seen) == 2 and (tmp_path / "out/marks.csv").read_bytes() == table
    graded({"bob.py": LOSS + GRAM})
    assert seen[2:] == ["bob.py"]
    (tmp_path / "out/results/ada.json").write_text("[")
    graded()
    assert seen[3:] == ["ada.py"]
    graded(again=True)
    assert len(seen) == 6
    other = Assignment(SHEET.title, SHEET.tasks, SHEET.questions, seed=6, seconds=SHEET.seconds)
    graded(assignment=other)
    assert len(seen) == 8
    monkeypatch.setattr(grading.nst_numpy, "__version__", "99")
    graded(assignment=other)
    assert len(seen) == 10


def test_a_run_that_is_stopped_goes_on(graded, tmp_path, monkeypatch):
    class Stops(ThreadPoolExecutor):
        count = 0

        def submit(self, function, /, *arguments):
            Stops.count += 1
            if Stops.count == 3:
                raise KeyboardInterrupt
            future = super().submit(function, *arguments)
            future.result()
            return future

    files = {f"{name}.py": GRAM for name in ("ada", "bob", "eve", "zoe")}
    real = jobs._round
    monkeypatch.setattr(jobs, "_round", lambda all, *rest: (a for j in all for a in real({j: all[j]}, *rest)))
    with pytest.raises(KeyboardInterrupt):
        graded(files, executor=Stops(1))
    assert len(list((tmp_path / "out/results").iterdir())) == 2 and not (tmp_path / "out/marks.csv").exists()
    Stops.count = 10
    assert len(graded(executor=Stops(1))) == 4 and Stops.count == 12


def test_ctrl_c_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    (tmp_path / "sheet.toml").write_text('[[exercise]]\nname = "gram"')

    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(grading, "grade", stopped)
    arguments = [str(tmp_path), "--of", str(tmp_path / "sheet.toml"), "-o", str(tmp_path / "out")]
    assert main(["exercise", "grade", *arguments]) == 130
    assert capsys.readouterr().err == "nst-numpy: interrupted; the same command goes on where it stopped\n"


# Workers --------------------------------------------------------------------------------------------------------------


def die(files, assignment):
    """As the system's memory killer would: once for one submission, always for another."""
    text = files[next(iter(files))].decode()
    if "unlucky" in text and not Path(marker := text.split()[-1]).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if "deadly" in text:
        os.kill(os.getpid(), signal.SIGKILL)
    return EXAMINE(files, assignment)


EXAMINE = grading.examine


def test_a_worker_that_is_killed_loses_nothing(graded, tmp_path, monkeypatch):
    monkeypatch.setattr(grading, "examine", die)
    files = {f"{name}.py": GRAM for name in ("ada", "bob", "zoe")}
    files |= {"carl.py": f"{GRAM}# unlucky {tmp_path / 'marker'}", "dora.py": f"{GRAM}# deadly"}
    results = graded(files, executor=None, workers=2)
    assert [name for name, result in results.items() if not result.graded] == ["dora"]
    assert results["dora"].remarks == ("not graded: the worker was lost twice (BrokenProcessPool)",)
    assert (tmp_path / "marker").exists()


def test_a_pool_that_is_not_ours_and_breaks(graded, tmp_path, monkeypatch):
    monkeypatch.setattr(grading, "examine", die)
    with ProcessPoolExecutor(1) as executor:
        results = graded({"ada.py": f"{GRAM}# deadly", "bob.py": GRAM}, executor=executor)
    assert not results["ada"].graded and "the worker was lost twice" in results["bob"].remarks[0]


def test_any_executor(graded):
    class Here:
        def submit(self, function, /, *arguments):
            future = Future()
            future.set_result(function(*arguments))
            return future

    assert graded({"ada.py": GRAM}, executor=Here())["ada"].points == 2


def test_how_many_workers(graded, monkeypatch):
    made = []

    class Pool(ThreadPoolExecutor):
        def __init__(self, workers):
            made.append(workers)
            super().__init__(workers)

    monkeypatch.setattr(jobs, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(jobs, "available_cores", lambda: 3)
    files = {f"s{k}.py": GRAM for k in range(5)}
    graded(files, executor=None)
    graded(executor=None, again=True, workers=2)
    graded(executor=None, again=True, workers=50)
    assert made == [3, 2, 5]


# The command line -----------------------------------------------------------------------------------------------------


def test_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("bob.py", "ada.py"):
        Path("in").mkdir(exist_ok=True)
        Path("in", name).write_text(GRAM)
    Path("sheet.toml").write_text('title = "Sheet 1"\n[[exercise]]\nname = "gram"\npoints = 2\n')
    command = ["exercise", "grade", "in", "--of", "sheet.toml", "-o", "out", "--workers", "1"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert (
        said.startswith("graded 2 of 2\nenforced: network: ")
        and "wrote out/marks.csv, out/marks.html and out/feedback" in said
    )
    assert rows(tmp_path)["ada"]["percent"] == "100"
    Path("in/eve.txt").touch()
    calls = []
    monkeypatch.setattr(
        grading, "grade", lambda *a, **k: calls.append((a, k)) or [Result("eve", remarks=("not graded: x",))]
    )
    assert main([*command, "--again"]) == 1
    assert "graded 0 of 1\n  eve: not graded: x\n" in capsys.readouterr().out
    main(command[:-2])
    options = {"workers": 1, "again": True}
    assert calls[0] == ((Path("in"), Path("sheet.toml"), Path("out")), options)
    assert calls[1][1] == {"workers": None, "again": False}


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["in", "--of", "sheet.toml"], "the following arguments are required: -o/--output"),
        (["in", "--of", "no.toml", "-o", "out"], "No such file"),
        (["nowhere", "--of", "sheet.toml", "-o", "out"], "there is no folder nowhere"),
        (["in", "--of", "sheet.toml", "-o", "in/marks"], "in/marks is in the folder of the submissions"),
        (["in", "--of", "sheet.toml", "-o", "out"], "no submissions in in"),
        (["in", "--of", "sheet.toml", "-o", "out", "--workers", "0"], "workers must be a whole number"),
        (["in", "--of", "sheet.toml", "-o", "out", "--workers", "1", "--scheduler", "x"], "leave it out"),
    ],
)
def test_bad_arguments(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Path("sheet.toml").write_text('[[exercise]]\nname = "gram"\n')
    try:
        code = main(["exercise", "grade", *arguments])
    except SystemExit as ended:
        code = ended.code
    assert code == 2 and words in capsys.readouterr().err


def test_without_dask(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    assert main(["exercise", "grade", str(tmp_path), "--of", "x", "-o", "y", "--scheduler", "tcp://x"]) == 2
    assert "--scheduler needs Dask: pip install 'nst_numpy[dask]'" in capsys.readouterr().err


def test_all_exercises_together(graded):
    sheet = Assignment("All", tuple(Task(name) for name in exercises.names()), seconds=20)
    assert graded({"ada.py": exercises.start()}, sheet)["ada"].points == 0

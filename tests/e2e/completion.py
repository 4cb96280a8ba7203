#!/usr/bin/env python3
"""Completion in bash, zsh and fish, driven as a person does it: words are typed on a terminal, and Tab is pressed.

usage: completion.py BUILD_DIR SOURCE_DIR [TEST...]     needs bash, zsh and fish; a shell that is not there is skipped, and that is said
"""
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import sys

from cases import run_tests, test

BUILD, SOURCE = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
BIN = BUILD / "mutatenn"


def run(*args):
    r = subprocess.run([BIN, *args], capture_output=True, text=True, timeout=60)
    assert r.returncode == 0, r.stderr
    return r.stdout


COMMANDS = re.findall(r"^  (\w+) +\S", run("--help").split("commands:")[1].split("\n\n")[0], re.M)


def options(command):
    return set(re.findall(r"^  (--[\w-]+)", run(command, "--help").split("options:")[1].split("examples:")[0], re.M))


class Shell:
    """A shell on a terminal of its own, in a folder with files, which completes mutatenn."""

    START = {
        "bash": (["bash", "--noprofile", "--norc", "-i"], "PS1='$ '; bind 'set bell-style none'; bind 'set enable-bracketed-paste off'; bind 'set show-all-if-ambiguous on'"),
        "zsh": (["zsh", "-f", "-i"], "PS1='$ '; unsetopt PROMPT_SP BEEP ZLE_BRACKETED_PASTE; unset zle_bracketed_paste; autoload -Uz compinit; compinit -u -D; setopt NO_AUTO_MENU"),
    }

    def __init__(self, name, folder):
        self.name = name
        script = folder / ("completion." + name)
        script.write_text(run("completion", name))
        args, setup = self.START[name]
        env = {"PATH": f"{BUILD}:{os.environ['PATH']}", "TERM": "dumb" if name == "bash" else "vt100", "HOME": str(folder), "LC_ALL": "C.UTF-8"}
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.chdir(folder)
            os.execvpe(args[0], args, env)
        self.say(f"stty cols 400; {setup}; source {script}")

    def read_until(self, mark):
        got = ""
        while mark not in got:
            assert select.select([self.fd], [], [], 60)[0], f"{self.name} is silent; it said {got[-500:]!r}"
            got += os.read(self.fd, 65536).decode("utf-8", "replace")
        return got

    def say(self, command):
        os.write(self.fd, f"{command}; echo DO''NE\r".encode())
        self.read_until("DONE\r\n")

    def tab(self, typed):
        """What the line is after Tab: a command is put around it that prints it."""
        os.write(self.fd, typed.encode() + b"\t")
        os.write(self.fd, b"\x01cat <<<'\x05'; echo DO''NE\r")  # Home ... End
        got = self.read_until("DONE\r\n")
        return re.sub(r"\x1b\[[\d;?]*[a-zA-Z]|\x1b[=>]|\r", "", got).split("\n")[-3]

    def close(self):
        os.close(self.fd)
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)


CASES = [  # what is typed, what stands there after Tab
    ("mutatenn repo", "mutatenn report "),
    ("mutatenn run --fail", "mutatenn run --fail-under"),
    ("mutatenn run --device host-g", "mutatenn run --device host-gcc"),
    ("mutatenn run --device=host-cl", "mutatenn run --device=host-clang"),
    ("mutatenn run --device host-gcc,host-cl", "mutatenn run --device host-gcc,host-clang"),
    ("mutatenn run --device=host-gcc,poc", "mutatenn run --device=host-gcc,pocl"),
    ("mutatenn show --dialect opencl-c-", "mutatenn show --dialect opencl-c-cpu"),
    ("mutatenn run --disable-pass bn-f", "mutatenn run --disable-pass bn-fold"),
    ("mutatenn run --mutations mutatenn-p", "mutatenn run --mutations mutatenn-paper"),
    ("mutatenn run --mutations loop.cond.lt-to-l", "mutatenn run --mutations loop.cond.lt-to-le"),
    ("mutatenn run --criterion nu", "mutatenn run --criterion numeric"),
    ("mutatenn run --model mod", "mutatenn run --model model.onnx"),
    ("mutatenn report sto", "mutatenn report store.db"),
    ("mutatenn report store.db --json=fol", "mutatenn report store.db --json=folder/"),
    ("mutatenn completion fi", "mutatenn completion fish"),
    ("mutatenn help op", "mutatenn help operators"),
    ("mutatenn run --seed 1", "mutatenn run --seed 1"),
]


def folder_of(tmp):
    for name in "model.onnx", "store.db", "a b.db":
        (tmp / name).write_text("")
    (tmp / "folder").mkdir()
    return tmp


def drive(name, tmp):
    if not shutil.which(name):
        return f"there is no {name}"
    shell = Shell(name, folder_of(tmp))
    try:
        for typed, want in CASES:
            got = shell.tab(typed)
            assert got.rstrip(" =/") == want.rstrip(" /"), f"'{typed}' became '{got}', not '{want}'"
    finally:
        shell.close()
    return None


@test
def bash(tmp):
    """bash completes commands, options, their values, lists with commas, and files"""
    return drive("bash", tmp)


@test
def zsh(tmp):
    """zsh completes commands, options, their values, lists with commas, and files"""
    return drive("zsh", tmp)


@test
def bash_knows_every_option(tmp):
    """bash offers each command and each option, and no other"""
    script = tmp / "c"
    script.write_text(run("completion", "bash") + """
ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _mutatenn; printf '%s\\n' "${COMPREPLY[@]}"; }
compopt() { :; }
ask mutatenn ''; echo
""" + "".join(f"ask mutatenn {c} --; echo\n" for c in COMMANDS))
    got = subprocess.run(["bash", "--norc", script], capture_output=True, text=True, timeout=60)
    assert got.returncode == 0 and not got.stderr, got.stderr
    parts = [set(p.split()) for p in got.stdout.split("\n\n")]
    assert parts[0] == {*COMMANDS, "--help", "--version", "help"}
    for c, p in zip(COMMANDS, parts[1:]):
        assert p == options(c), c


@test
def fish(tmp):
    """fish offers each command, each option with its help, values, lists with commas, and files"""
    if not shutil.which("fish"):
        return "there is no fish"
    script = tmp / "c.fish"
    script.write_text(run("completion", "fish"))
    env = {"PATH": f"{BUILD}:{os.environ['PATH']}", "HOME": str(folder_of(tmp)), "LC_ALL": "C.UTF-8", "TERM": "dumb"}

    def ask(line):
        r = subprocess.run(["fish", "--no-config", "-c", f"source {script}; complete -C '{line}'"], cwd=tmp, env=env, capture_output=True, text=True, timeout=60)
        assert r.returncode == 0 and not r.stderr, r.stderr
        return dict((x.split("\t") + [""])[:2] for x in r.stdout.splitlines())

    assert set(ask("mutatenn ")) >= {*COMMANDS, "help"} and "model.onnx" not in ask("mutatenn ")
    for c in COMMANDS:
        got = ask(f"mutatenn {c} --")
        assert {x.rstrip("=") for x in got} == options(c), c
        assert all(got.values()), "an option without help"
    for typed, want in CASES:
        got = ask(typed)
        last, word = want.split(" ")[-1] if want.rstrip() == want else want.split(" ")[-2], typed.split(" ")[-1]
        if typed == want:
            assert not got
        elif "=" in last and last.split("=")[0] + "=" in word:
            assert last in got or last.split("=")[1] in got, (typed, got)
        else:
            assert last in {x.rstrip("=") for x in got}, (typed, list(got)[:5])


sys.exit(run_tests("completion", sys.argv[3:]))

"""The tests of one script: each in a folder of its own, one after the other, with a line about each."""
import pathlib
import shutil
import signal
import tempfile
import time
import traceback

TESTS = []


def test(f):
    TESTS.append(f)
    return f


def run_tests(name, wanted=(), *arguments, on_failure=lambda: ""):
    """Calls all tests, or those wanted by name, with the arguments and a new folder. One that returns a text is skipped for that reason.
    Gives the script's exit status: 77 when every test was skipped."""
    # nohup and a shell's `&` have these ignored, and so would all that a test starts and wants to stop
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for s in signal.SIGHUP, signal.SIGTERM:
        signal.signal(s, signal.SIG_DFL)
    failed, skipped, done = 0, 0, 0
    for f in TESTS:
        if wanted and f.__name__ not in wanted:
            continue
        about = f"{f.__name__}: {f.__doc__}" if f.__doc__ else f.__name__
        folder, begin = pathlib.Path(tempfile.mkdtemp(prefix=f"mutatenn-{name}-")), time.time()
        try:
            why = f(*arguments, folder)
            done += 1
            skipped += bool(why)
            print(f"skip  {about}: {why}" if why else f"ok    ({time.time() - begin:.1f} s) {about}", flush=True)
        except Exception:
            failed += 1
            print(f"FAIL  {about}\n{traceback.format_exc()}{on_failure()}", flush=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 77 if done and skipped == done else 0

# SPDX-License-Identifier: ISC
"""What the programs in Python share: read an order, let the driver do it, print what came of it."""
import contextlib
import sys
import threading


def text(value):
    if value is None:
        return "null"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(text, value)) + "]"
    if isinstance(value, dict):
        return str(sorted(value.items()))
    return str(value).replace("\n", "\\n")


def rows(found):
    return ["|".join(map(text, row)) for row in found]


def value(word):
    """A parameter as it stands in an order."""
    kind, _, rest = word.partition(":")
    return {"i": int, "f": float, "s": str, "b": bytes.fromhex, "n": lambda _: None, "t": lambda s: s == "true"}[kind](rest)


def lines(data):
    """The data of a COPY as it stands in an order."""
    return data.replace(";", "\n") + "\n"


@contextlib.contextmanager
def cancelled(cancel):
    """What runs meanwhile is cancelled from another thread, which is done with the driver before its caller goes on."""
    thread = threading.Timer(0.2, cancel)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def play(driver, state_of):
    """DRIVER has a method for each order; STATE_OF says SQLSTATE and text of its exceptions."""
    for line in sys.stdin:
        op, *words = line.rstrip("\n").split("\t")
        try:
            out = getattr(driver, op)(*words)
        except Exception as e:
            out = ["error " + " ".join(map(text, state_of(e)))]
        for said in out or []:
            print(said)
        print(".", flush=True)

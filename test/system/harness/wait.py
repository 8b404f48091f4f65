# SPDX-License-Identifier: ISC
"""Waiting for events with a deadline; nothing here wins a race by sleeping."""
import threading
import time


def wait_until(condition, seconds=10.0, what=None, step=0.01):
    """The first true value of condition(); fails the test after SECONDS."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(f"{what or condition} did not come true within {seconds} s (last: {value!r})")
        time.sleep(step)


def stays_true(condition, seconds, what=None, step=0.02):
    """condition() holds at every look for SECONDS: for what must not happen."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert condition(), f"{what or condition} did not stay true"
        time.sleep(step)


def gone(process):
    """The status of a process that is about to end."""
    wait_until(lambda: process.poll() is not None, 20, "end of the process")
    return process.returncode


class Worker(threading.Thread):
    """A thread whose exception comes back at result()."""

    def __init__(self, call, *args, **kwargs):
        super().__init__(daemon=True)
        self._call, self._args, self._kwargs = call, args, kwargs
        self._value = self._error = None
        self.start()

    def run(self):
        try:
            self._value = self._call(*self._args, **self._kwargs)
        except BaseException as e:  # handed to result()
            self._error = e

    def has_failed(self):
        return self._error is not None

    def result(self, seconds=30.0):
        self.join(seconds)
        assert not self.is_alive(), f"{self._call} did not end within {seconds} s"
        if self._error is not None:
            raise self._error
        return self._value


def run_all(calls, seconds=60.0):
    """Run each call in its own thread; the list of results, or the exception of the first that fails."""
    workers = [Worker(call) for call in calls]
    end = time.monotonic() + seconds
    while any(w.is_alive() for w in workers) and time.monotonic() < end:
        if failed := [w for w in workers if w.has_failed()]:
            failed[0].result()
        time.sleep(0.005)
    return [w.result(max(0.1, end - time.monotonic())) for w in workers]

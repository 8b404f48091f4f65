# SPDX-License-Identifier: ISC
"""The same conversation held with PostgreSQL and through pgweir: everything that is heard is the same, and what differs is made small."""
import re
import select
import time

from . import wire
from .conversations import Conversation
from .statements import SET_UP, SET_UP_EACH
from .wait import wait_until

SAME_FIELDS = "SVCMDHPpqWstcdn"
UNKNOWN = re.compile('prepared statement "[^"]*"(?= does not exist)')
OWN_OIDS = 16384  # from here on


TRACES = ["SELECT name, setting FROM pg_settings WHERE source = 'session' AND setting <> '' AND name NOT LIKE 'transaction%'",
          "SELECT name FROM pg_prepared_statements WHERE from_sql", "SELECT name FROM pg_cursors WHERE is_holdable",
          "SELECT relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()", "SELECT current_user || session_user WHERE current_user || session_user <> 'appapp'",
          "SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()", "SELECT pg_listening_channels()"]


class Stuck(Exception):
    """No answer."""


class NoServer(Exception):
    """More sessions keep a server than there are: not what conversations are about."""


def set_up(cluster, sessions):
    wait_until(lambda: cluster.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND state <> 'idle'") == 0, 10, "idle servers")
    for (gid,) in cluster.sql("SELECT gid FROM pg_prepared_xacts"):
        cluster.sql(f"ROLLBACK PREPARED '{gid}'")
    for (n,) in cluster.sql("SELECT oid FROM pg_largeobject_metadata"):
        cluster.sql(f"SELECT lo_unlink({n})")
    cluster.sql("SET client_min_messages = warning; SET lock_timeout = '5s'; " + SET_UP + "".join(SET_UP_EACH.replace("{me}", str(i)) for i in range(sessions)) + "; RESET ROLE")


def meaning(m):
    if m.kind in "EN":
        text = {k: v for k, v in m.fields().items() if k in SAME_FIELDS}
        return {k: re.sub(r"pg_temp_\d+", "pg_temp_N", UNKNOWN.sub("a prepared statement", v)) for k, v in text.items()}
    if m.kind == "T":
        return [(name, min(oid, OWN_OIDS), form) for name, oid, form in m.columns()]
    return m.body


class Company:
    """The sessions of one telling. connect() makes a connection on which nothing was said yet."""

    def __init__(self, connect, sessions, seconds=10):
        self.connect, self.seconds = connect, seconds
        self.wires, self.heard = [None] * sessions, [[] for _ in range(sessions)]

    def say(self, step):
        """What was heard after STEP: (what came, status, ParameterStatus)."""
        index, messages = step
        if messages is None:
            return self._leave(index)
        if isinstance(messages, dict):
            return self._join(index, messages)
        w = self.wires[index]
        if w is None:
            return ["nobody"], None, None
        return self._converse(index, w, messages)

    def _join(self, index, params):
        w = self.wires[index] = self.connect()
        try:
            w.login(**params)
        except (wire.ServerError, wire.Closed) as e:
            self.wires[index] = None
            return [str(e)], None, None
        return [], "I", dict(w.parameters)

    def _leave(self, index):
        w = self.wires[index]
        if w is not None:
            self._note(index)
            w.send(wire.terminate())
            w.close()
            self.wires[index] = None
        return [], None, None

    def _converse(self, index, w, messages):
        out, status = [], "I"
        left = sum(m[:1] in (b"Q", b"S", b"F") for m in b_split(messages))
        try:
            w.send(*messages)
            while left:
                m = w.receive(self.seconds)
                if m.kind == "Z":
                    left, status = left - 1, m.body.decode()
                if m.kind not in "SAK":
                    out.append((m.kind, meaning(m)))
        except TimeoutError as e:
            raise Stuck(step_text((index, messages)) + f" after {out}") from e
        except (wire.Closed, OSError):
            self._note(index)
            self.wires[index] = None
            return [*out, "closed"], None, None
        if any(kind == "E" and "no server connection became free" in what["M"] for kind, what in out):
            raise NoServer(step_text((index, messages)))
        return out, status, dict(w.parameters)

    def _note(self, index):
        self.heard[index] += self.wires[index].notifications

    def listen(self, seconds):
        """Read what comes unasked, for so long."""
        end = time.monotonic() + seconds
        while True:
            waiting = {w.socket: w for w in self.wires if w is not None}
            ready, _, _ = select.select(list(waiting), [], [], max(0, end - time.monotonic())) if waiting else ([], [], [])
            if not ready:
                return
            for s in ready:
                try:
                    waiting[s].receive(5)
                except wire.Closed:
                    self.wires[self.wires.index(waiting[s])] = None

    def notifications(self):
        return [h + (w.notifications if w else []) for h, w in zip(self.heard, self.wires)]

    def leave(self):
        for i in range(len(self.wires)):
            self._leave(i)


def step_text(step):
    """A step for people."""
    index, messages = step
    if not isinstance(messages, tuple):
        return f"{index}: {'leaves' if messages is None else f'joins {messages}'}"
    return f"{index}: " + " ".join(f"{m[:1].decode()}{m[5:].rstrip(bytes(1))!r}"[:300] for m in b_split(messages))


def b_split(messages):
    """One by one, as extended() joins some."""
    for joined in messages:
        while joined:
            end = 1 + int.from_bytes(joined[1:5], "big")
            yield joined[:end]
            joined = joined[end:]


class Comparison:
    """Between CLUSTER and CONNECT, which goes through pgweir to it."""

    def __init__(self, cluster, connect, sessions=4, servers=2, avoid=()):
        self.cluster, self.connect, self.sessions, self.servers, self.avoid = cluster, connect, sessions, servers, avoid
        self.seconds, self.settled = 10, {}

    def direct(self):
        return Company(lambda: wire.Wire(self.cluster.folder, self.cluster.port), self.sessions, self.seconds)

    def _busy(self):
        """How many servers hold something that another could stumble on."""
        return self.cluster.value("SELECT count(*) FROM pg_stat_activity a WHERE usename = 'app' AND (state <> 'idle' OR "
                                  "EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND locktype = 'advisory'))")

    def compare(self, seed, steps):
        """None; or what differs, made small, for people."""
        script, answers = self.make(seed, steps)
        try:
            found = self.through(script, answers)
        except Stuck as e:
            found = len(script) - 1, "no answer", "", str(e)
        if found is None:
            return None
        self.seconds = 2
        script = shrink(script[:found[0] + 1], lambda s: self.differs(s) is not None, 30)
        return "\n".join([f"seed {seed}:", *map(step_text, script), f"first {found}", f"now {self.differs(script)}"])

    def make(self, seed, steps):
        """(script, answers) of SEED, by talking to PostgreSQL."""
        script, answers = [], []
        company, self.settled = self.direct(), {}
        set_up(self.cluster, self.sessions)

        def say(step):
            script.append(step)
            answers.append(self._tell_directly(company, len(answers), step))
            _, status, params = answers[-1]
            return status and (status, params["client_encoding"])
        Conversation(seed, say, self.sessions, self.servers, self.avoid).hold(steps)
        answers.append(self._end(company))
        return script, answers

    def _tell_directly(self, company, number, step):
        if step[1] is None and company.wires[step[0]]:
            pid = company.wires[step[0]].pid
            answer = company.say(step)
            wait_until(lambda: not self.cluster.value("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", (pid,)), step=0.001)
            self.settled[number] = self._busy()
            return answer
        answer = company.say(step)
        if re.search(rb"(?i)notify|commit|end|savepoint|release", b"".join(step[1]) if isinstance(step[1], tuple) else b""):
            company.listen(0.02)
        return answer

    def _end(self, company):
        company.listen(0.01)
        heard = company.notifications()
        company.leave()
        return heard

    def replay(self, script):
        set_up(self.cluster, self.sessions)
        company, self.settled = self.direct(), {}
        try:
            return [*[self._tell_directly(company, i, step) for i, step in enumerate(script)], self._end(company)]
        finally:
            company.leave()

    def through(self, script, answers):
        """The first (number, step, PostgreSQL's answer, pgweir's) that differs; None."""
        set_up(self.cluster, self.sessions)
        company = Company(self.connect, self.sessions, self.seconds)
        try:
            return self._compare(company, script, answers)
        finally:
            company.leave()

    def _compare(self, company, script, answers):
        for i, step in enumerate(script):
            ours = company.say(step)
            if ours[:2] == answers[i][:2] and isinstance(step[1], tuple) and b"DISCARD ALL" in b"".join(step[1]):
                continue  # start-up values are reported with the next answer
            if ours != answers[i]:
                return i, step, answers[i], ours
            if step[1] is None and i in self.settled:
                wait_until(lambda: self._busy() <= self.settled[i], 5, "the end of what a session held that left")
        wanted, end = answers[-1], time.monotonic() + 1
        while any(len(a) < len(b) for a, b in zip(company.notifications(), wanted)) and time.monotonic() < end:
            company.listen(0.01)
        company.listen(0)
        if company.notifications() != wanted:
            return len(script), "notifications", wanted, company.notifications()
        company.leave()
        left = self._left()
        return (len(script), "left", [], left) if left else None

    def _left(self):
        """What newcomers, one for each server, find of those who left."""
        newcomers, left = [self.connect().login() for _ in range(self.servers)], []
        with wire.Wire(self.cluster.folder, self.cluster.port) as direct:
            wanted = direct.login().parameters
        for w in newcomers:
            w.query("BEGIN")
            left += [row for sql in TRACES for row in w.query(sql)]
            left += [(name, value) for name, value in w.parameters.items() if wanted[name] != value]
        for w in newcomers:
            w.send(wire.terminate())
            w.close()
        return left

    def differs(self, script):
        """As through(), after telling SCRIPT directly; None when it cannot be told."""
        try:
            answers = self.replay(script)
        except (Stuck, AssertionError):
            return None
        try:
            return self.through(script, answers)
        except Stuck as e:
            return -1, "no answer", "", str(e)
        except (NoServer, AssertionError):
            return None


def shrink(script, differs, seconds=120):
    """A short script that differs still."""
    end = time.monotonic() + seconds
    script = list(script)
    for pieces in (_steps, _messages, _statements):
        script = _remove(script, differs, pieces, end)
    return _remove(script, differs, _steps, end)


def _remove(script, differs, pieces, end):
    size = max(1, len(pieces(script)) // 2)
    while size and time.monotonic() < end:
        at = len(pieces(script))
        while at > 0 and time.monotonic() < end:
            at -= size
            shorter = _without(script, pieces(script)[max(at, 0):at + size])
            if differs(shorter):
                script = shorter
        size //= 2
    return script


def _steps(script):
    return [(i,) for i in range(len(script))]


def _messages(script):
    return [(i, j) for i, step in enumerate(script) if isinstance(step[1], tuple) for j, m in enumerate(step[1]) if m[:1] != b"S"]


def _statements(script):
    return [(i, j, k) for i, j in _messages(script) if script[i][1][j][:1] == b"Q" for k in range(script[i][1][j].count(b";") + 1)]


def _without(script, gone):
    gone, out = set(gone), []
    for i, (index, messages) in enumerate(script):
        if (i,) in gone:
            continue
        if isinstance(messages, tuple):
            messages = tuple(_less(m, i, j, gone) for j, m in enumerate(messages) if (i, j) not in gone)
        out.append((index, messages))
    return out


def _less(m, i, j, gone):
    if not any(len(g) == 3 and g[:2] == (i, j) for g in gone):
        return m
    return wire.query(b";".join(part for k, part in enumerate(m[5:-1].split(b";")) if (i, j, k) not in gone))

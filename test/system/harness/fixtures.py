# SPDX-License-Identifier: ISC
"""Fixtures and hooks that test/system/conftest.py and test/peer/conftest.py import."""
import faulthandler
import itertools
import os
import shutil
import signal

import pytest

from . import place
from .certs import Certs
from .cluster import Cluster
from .pgweir import Pgweir
from .replicas import Trio, settings_of, wait_nodes_up, wait_reads_spread

__all__ = ["certs", "cluster", "make_weir", "make_lone_weir", "weir", "module_weir", "module_weir_of", "pair", "deadline", "unique", "replica",
           "new_cluster", "trio", "new_trio", "trio_weir", "module_trio_weir",
           "pytest_configure", "pytest_collection_modifyitems", "pytest_sessionfinish"]

_count = itertools.count()


class _Session:
    """What one test process shares. Made on first use, gone at the end."""

    folder = certs = template = cluster = replica = trio = None

    def get_folder(self):
        if self.folder is None:
            place.raise_file_limit()
            self.folder = place.new_folder("test")
        return self.folder

    def get_certs(self):
        if self.certs is None:
            self.certs = Certs(os.path.join(self.get_folder(), "certs"))
        return self.certs

    def get_template(self):
        if self.template is None:
            self.template = Cluster.make(os.path.join(self.get_folder(), "template"), self.get_certs())
        return self.template

    def new_cluster(self, copied=True):
        return Cluster.make(os.path.join(self.get_folder(), f"c{next(_count)}"), self.get_certs(),
                            self.get_template() if copied else None)

    def get_cluster(self):
        if self.cluster is None:
            self.cluster = self.new_cluster()
        self.cluster.ensure_running()
        return self.cluster

    def new_trio(self, **settings):
        return Trio(os.path.join(self.get_folder(), f"t{next(_count)}"), self.get_certs(), self.get_template(), **settings)

    def get_trio(self):
        """The last one when it can be made as new."""
        if self.trio is not None and not self.trio.mend():
            self.trio.remove()
            self.trio = None
        if self.trio is None:
            self.trio = self.new_trio()
        return self.trio

    def end(self):
        if self.trio is not None:
            self.trio.remove()
        for c in [self.replica, self.cluster]:
            if c is not None:
                c.stop(signal.SIGQUIT)
        if self.folder and not os.environ.get("PGWEIR_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder = self.certs = self.template = self.cluster = self.replica = self.trio = None


_session = _Session()


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes long; run with -m slow")
    config.addinivalue_line("markers", "deadline(seconds): the whole test must end by then (60)")


def pytest_collection_modifyitems(config, items):
    if not config.option.markexpr:
        skip = pytest.mark.skip(reason="slow: run with -m slow")
        for item in items:
            if item.get_closest_marker("slow") and not item.get_closest_marker("skip"):
                item.add_marker(skip)


def pytest_sessionfinish(session):
    _session.end()


@pytest.fixture(autouse=True)
def deadline(request):
    """No test hangs: after its deadline it fails with the stack where it stood."""
    mark = request.node.get_closest_marker("deadline")
    seconds = mark.args[0] if mark else 60

    def late(*_):
        faulthandler.dump_traceback()
        raise TimeoutError(f"the test did not end within {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def certs():
    return _session.get_certs()


@pytest.fixture
def cluster():
    """The cluster of this test process, running. A test may restart it, kill it or change its hba."""
    yield _session.get_cluster()


@pytest.fixture
def new_cluster():
    """Call it for a stopped cluster of the test's own; with copied=False it has a system identifier of its own."""
    made = []

    def make(**kwargs):
        made.append(_session.new_cluster(**kwargs))
        return made[-1]
    yield make
    for c in made:
        c.remove()


@pytest.fixture
def replica(cluster):
    """A streaming replica of cluster."""
    if _session.replica is None:
        _session.replica = cluster.make_replica(os.path.join(_session.get_folder(), f"r{next(_count)}"))
    _session.replica.ensure_running()
    return _session.replica


@pytest.fixture
def trio():
    """The primary with two streaming replicas of this test process. A test may kill, freeze or hold back any of them; one
    that promotes takes new_trio."""
    yield _session.get_trio()


@pytest.fixture
def new_trio():
    """new_trio(setting=value): a primary with two streaming replicas of the test's own."""
    made = []

    def make(**settings):
        made.append(_session.new_trio(**settings))
        return made[-1]
    yield make
    for t in made:
        t.remove()


def _factory(made):
    def make(cluster=None, start=True, **kwargs):
        folder = os.path.join(_session.get_folder(), f"w{next(_count)}")
        os.mkdir(folder)
        os.chmod(folder, 0o755)
        place.give(folder)
        made.append(Pgweir(folder, cluster, **kwargs))
        return made[-1].start() if start else made[-1]
    return make


def _finish_all(made):
    errors = []
    for w in made:
        try:
            w.finish()
        except BaseException as e:
            errors.append(e)
        finally:
            if w.process is not None and w.process.poll() is None:
                w.process.kill()
                w.process.wait()
        shutil.rmtree(w.folder, ignore_errors=True) if not os.environ.get("PGWEIR_KEEP") else None
    if errors:
        raise errors[0]


@pytest.fixture
def make_weir(cluster):
    """make_weir(option=value, databases=..., users=..., userlist=...): a started pgweir in front of cluster."""
    made = []
    build = _factory(made)
    cluster.sweep()
    yield lambda **kwargs: build(kwargs.pop("cluster", cluster), **kwargs)
    _finish_all(made)
    cluster.ensure_running()


@pytest.fixture
def make_lone_weir():
    """The same without a cluster behind it: entries of databases must say where."""
    made = []
    yield lambda **kwargs: _factory(made)(**kwargs)
    _finish_all(made)


@pytest.fixture
def pair(make_weir):
    """Two clients that share one server."""
    weir = make_weir(default_pool_size=1)
    return weir.wire(), weir.wire()


@pytest.fixture
def trio_weir(make_lone_weir):
    """trio_weir(trio, nodes={"pg2": {...}}, cluster={...}, databases={...}, option=value): a started pgweir that has found
    all nodes up, and, unless warm=False, sends reads to replicas."""
    def make(trio, nodes=None, cluster=None, databases=None, warm=True, wait=True, **general):
        weir = make_lone_weir(**settings_of(trio, nodes, cluster, databases), **general)
        if wait:
            wait_nodes_up(weir)
        if wait and warm:
            wait_reads_spread(weir, trio)
        return weir
    return make


@pytest.fixture(scope="module")
def module_trio_weir():
    """One such pgweir (round robin) in front of trio, for tests that only talk through it."""
    made = []
    trio = _session.get_trio()
    weir = _factory(made)(**settings_of(trio, cluster={"balance": "round_robin"}))
    wait_nodes_up(weir)
    wait_reads_spread(weir, trio)
    yield weir
    _finish_all(made)


@pytest.fixture
def weir(make_weir):
    """A pgweir of the test's own, transaction mode, two workers."""
    return make_weir()


@pytest.fixture(scope="module")
def module_weir():
    """One pgweir for tests that only talk through it."""
    made = []
    yield _factory(made)(_session.get_cluster())
    _finish_all(made)


@pytest.fixture(scope="module")
def module_weir_of():
    """The same with options: module_weir_of(section="pgbouncer")."""
    made = []
    yield lambda **general: _factory(made)(_session.get_cluster(), **general)
    _finish_all(made)


@pytest.fixture
def unique():
    """A name no other test uses."""
    return f"t{os.getpid()}_{next(_count)}"

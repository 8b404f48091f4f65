# SPDX-License-Identifier: ISC
"""A server that misbehaves while pgweir logs in to it."""
import struct
import time

import pytest

from harness import scram, wire
from harness.wait import wait_until
from script import AUTHENTICATED, PARAMETER_BLOCK, authentication, error, key, message, notice, parameter, ready


def good(p):
    p.accept()
    p.serve()


def first_then_good(bad):
    """A script whose first connection goes wrong and whose others are fine."""
    def script(p):
        if p.number == 0:
            bad(p)
        else:
            good(p)
    return script


def say(*parts):
    """After the start-up packet say PARTS and close."""
    def script(p):
        p.hello()
        p.send(*parts)
    return script


LOGIN = AUTHENTICATED + PARAMETER_BLOCK + key() + ready()
STEPS = {
    "before a word": lambda p: p.close(),
    "after half a start-up packet": lambda p: p.take(3),
    "after the start-up packet": lambda p: p.hello(),
    "half a message": say(AUTHENTICATED[:4]),
    "after authentication": say(AUTHENTICATED),
    "between parameters": say(AUTHENTICATED, PARAMETER_BLOCK[:100]),
    "before the key": say(AUTHENTICATED, PARAMETER_BLOCK),
    "half the key": say(AUTHENTICATED, PARAMETER_BLOCK, key()[:7]),
    "before ready": say(AUTHENTICATED, PARAMETER_BLOCK, key()),
    "half of ready": say(LOGIN[:-1]),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_server_that_leaves_during_login_is_tried_again(play, step):
    weir, server = play(first_then_good(STEPS[step]))
    assert weir.wire().value("SELECT 'served'") == "SELECT 'served'"
    assert len(server.peers) >= 2


def test_a_server_that_always_leaves_is_57P03_in_time_and_is_not_hammered(play):
    weir, server = play(lambda p: p.hello(), query_wait_timeout=2)
    start = time.monotonic()
    w = weir.raw(10)
    w.send(wire.startup(user="app", database="app"))
    errors = [m.fields() for m in w.expect_closed(10) if m.kind == "E"]
    assert [(f["V"], f["C"], f["M"]) for f in errors] == [("FATAL", "57P03", 'no server is available for database "app"')]
    assert time.monotonic() - start < 8
    assert len(server.peers) < 40, "attempts are spaced out"


def test_a_server_that_never_answers_is_given_up(play):
    def silent(p):
        p.hello()
        p.take(1, 30)
    weir, _ = play(first_then_good(silent), server_connect_timeout=1, default_pool_size=1)
    start = time.monotonic()
    assert weir.wire().value("SELECT 1")
    assert 0.8 < time.monotonic() - start < 5


def test_a_server_that_drips_its_login_is_given_up_too(play):
    def dripping(p):
        p.hello()
        for byte in LOGIN:
            p.send(bytes([byte]))
            try:
                p.take(1, 0.1)
            except TimeoutError:
                pass
    weir, _ = play(first_then_good(dripping), server_connect_timeout=1, default_pool_size=1)
    assert weir.wire().value("SELECT 1")


def test_a_login_cut_at_every_byte_works(play):
    def cutting(p):
        p.hello()
        for byte in LOGIN:
            p.send(bytes([byte]))
        p.serve()
    weir, server = play(cutting)
    assert weir.wire().value("SELECT 1")
    assert len(server.peers) == 1


BAD_LOGINS = {
    "garbage": b"\xff" * 64,
    "http": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "length 3": b"R" + struct.pack("!i", 3),
    "length 0": b"R" + struct.pack("!i", 0),
    "negative length": b"R" + struct.pack("!i", -1) + b"\0\0\0\0",
    "huge authentication": b"R" + struct.pack("!i", 0x7fffffff),
    "authentication without a code": message("R", b"\0\0"),
    "unknown authentication": authentication(99),
    "kerberos": authentication(2),
    "gss": authentication(7),
    "md5 without salt": authentication(5),
    "md5 with half a salt": authentication(5, b"\1\2"),
    "sasl without a list": authentication(10),
    "sasl unterminated": authentication(10, b"SCRAM-SHA-256"),
    "sasl unknown": authentication(10, b"SCRAM-SHA-1\0\0"),
    "sasl plus only": authentication(10, b"SCRAM-SHA-256-PLUS\0\0"),
    "sasl continue first": authentication(11, b"r=x,s=eA==,i=4096"),
    "sasl final first": authentication(12, b"v=eA=="),
    "ready without authentication": ready(),
    "parameters without authentication": PARAMETER_BLOCK + key() + ready(),
    "rows at login": AUTHENTICATED + message("D", b"\0\0"),
    "key too short": AUTHENTICATED + message("K", b"\0\0"),
    "key too long": AUTHENTICATED + message("K", b"\0" * 4 + b"k" * 5000),
    "ready with body too long": AUTHENTICATED + PARAMETER_BLOCK + key() + message("Z", b"II"),
    "ready with an odd status": AUTHENTICATED + PARAMETER_BLOCK + key() + ready("?"),
    "ready in a transaction": AUTHENTICATED + PARAMETER_BLOCK + key() + ready("T"),
    "a parameter without end": AUTHENTICATED + message("S", b"TimeZone"),
    "a parameter without value": AUTHENTICATED + message("S", b"TimeZone\0"),
    "a parameter of 2 GB": AUTHENTICATED + b"S" + struct.pack("!i", 0x7fffffff) + b"x" * 1000,
    "a parameter of 64 MB": AUTHENTICATED + b"S" + struct.pack("!i", 64 << 20) + b"name\0" + b"v" * (1 << 20),
    "an error of 2 GB": b"E" + struct.pack("!i", 0x7fffffff) + b"SFATAL\0",
    "an error without fields": message("E", b""),
    "an error unterminated": message("E", b"SFATAL"),
}


@pytest.mark.parametrize("name", BAD_LOGINS)
def test_a_bad_login_is_dropped_and_another_tried(play, name):
    weir, server = play(first_then_good(say(BAD_LOGINS[name])))
    w = weir.raw(10)
    w.send(wire.startup(user="app", database="app"))
    try:
        w.authenticate("app", None)
        assert w.value("SELECT 1") == "SELECT 1"
    except wire.ServerError as e:
        # a refusal of ours or of the server is reported; then the next client is served
        assert e.level == "FATAL"
        assert wait_until(lambda: retry(weir), 8) == "SELECT 1"
    assert len(server.peers) >= 2, "the bad connection was not used"
    assert not server.peers[0].statements


def retry(weir):
    try:
        return weir.wire().value("SELECT 1")
    except wire.ServerError:
        return None


def test_a_server_without_a_cancel_key_serves(play):
    def script(p):
        p.hello()
        p.send(AUTHENTICATED, PARAMETER_BLOCK, ready())
        p.serve()
    weir, _ = play(script)
    w = weir.wire()
    assert w.value("SELECT 1")
    wire.send_cancel("127.0.0.1", weir.port, w.pid, w.secret)
    assert w.value("SELECT 2") == "SELECT 2"


def test_notices_during_login_do_no_harm(play):
    def script(p):
        p.hello()
        p.send(notice("before"), AUTHENTICATED, notice("between"), PARAMETER_BLOCK, key(), notice("after"), ready())
        p.serve()
    weir, _ = play(script)
    w = weir.wire()
    assert w.value("SELECT 1") == "SELECT 1"


def test_many_parameters_are_bounded(play):
    def script(p):
        if p.number:
            return good(p)
        p.hello()
        p.send(AUTHENTICATED, *[parameter(f"p{i}", "v" * 1000) for i in range(20000)], PARAMETER_BLOCK, key(), ready())
        p.serve()
    weir, _ = play(script)
    with open(f"/proc/{weir.process.pid}/status") as f:
        before = int(next(x for x in f if x.startswith("VmRSS")).split()[1])
    assert wait_until(lambda: retry(weir), 10)
    with open(f"/proc/{weir.process.pid}/status") as f:
        assert int(next(x for x in f if x.startswith("VmRSS")).split()[1]) - before < 40_000


def test_a_protocol_negotiation_is_understood(play):
    def script(p):
        p.hello()
        p.send(message("v", struct.pack("!Ii", 0x30000, 0)) if p.version > 0x30000 else b"")
        p.welcome()
        p.serve()
    weir, _ = play(script)
    assert weir.wire().value("SELECT 1") == "SELECT 1"


@pytest.mark.parametrize("sqlstate", ["57P03", "53300"])
def test_a_server_that_is_not_ready_is_waited_for(play, sqlstate):
    def script(p):
        p.hello()
        if p.number < 3:
            p.send(error("FATAL", sqlstate, "not now"))
        else:
            p.welcome()
            p.serve()
    weir, server = play(script)
    assert weir.wire().value("SELECT 1") == "SELECT 1"
    assert len(server.peers) >= 4


@pytest.mark.parametrize("sqlstate, text", [("28000", 'role "app" is not permitted to log in'), ("3D000", 'database "app" does not exist'),
                                            ("42501", "permission denied for database")])
def test_a_refusal_of_the_server_reaches_the_client_in_its_own_words(play, sqlstate, text):
    weir, _ = play(say(error("FATAL", sqlstate, text)))
    with pytest.raises(wire.ServerError) as e:
        weir.wire()
    assert (e.value.level, e.value.sqlstate, e.value.message) == ("FATAL", sqlstate, text)


# --- SCRAM

def scram_dialogue(change_first=lambda s, m: m, change_final=lambda s, m: m):
    """A server that does SCRAM for password app-pw, with its two messages spoilt."""
    def script(p):
        p.hello()
        p.send(authentication(10, b"SCRAM-SHA-256\0\0"))
        first = p.receive().body
        machine = scram.Server("app-pw")
        client_first = first[first.index(b"\0") + 5:]
        p.send(authentication(11, change_first(machine, machine.first(client_first))))
        answer = p.receive()
        p.server.answers = getattr(p.server, "answers", 0) + 1
        final = machine.final(answer.body)
        if final is None:
            p.send(error("FATAL", "28P01", "password authentication failed"))
            return
        p.send(change_final(p, authentication(12, final)))
        p.welcome()
        p.serve()
    return script


def test_a_true_scram_dialogue_works(play):
    weir, server = play(scram_dialogue())
    assert weir.wire().value("SELECT 1") == "SELECT 1"


SPOILT_FIRST = {
    "2^31-1 iterations": lambda s, m: m.replace(b"i=4096", b"i=2147483647"),
    "2^63 iterations": lambda s, m: m.replace(b"i=4096", b"i=9223372036854775808"),
    "ten thousand million iterations": lambda s, m: m.replace(b"i=4096", b"i=10000000000"),
    "no iterations": lambda s, m: m.replace(b"i=4096", b"i=0"),
    "negative iterations": lambda s, m: m.replace(b"i=4096", b"i=-1"),
    "words for iterations": lambda s, m: m.replace(b"i=4096", b"i=many"),
    "iterations missing": lambda s, m: m.replace(b",i=4096", b""),
    "own nonce": lambda s, m: b"r=somebodyelse" + m[m.index(b",s="):],
    "salt missing": lambda s, m: m[:m.index(b",s=")] + b",i=4096",
    "salt not base64": lambda s, m: m.replace(b"s=", b"s=!!!!"),
    "salt of 60 kB": lambda s, m: m.replace(b"s=", b"s=" + b"QUFB" * 15000),
    "empty": lambda s, m: b"",
    "zeros": lambda s, m: b"\0" * 100,
    "commas": lambda s, m: b"," * 1000,
    "extension": lambda s, m: b"m=mandatory," + m,
}


@pytest.mark.parametrize("name", SPOILT_FIRST)
def test_an_absurd_scram_challenge_is_refused_at_once(play, name):
    spoilt = scram_dialogue(change_first=SPOILT_FIRST[name])
    weir, server = play(lambda p: spoilt(p) if p.number == 0 else good(p))
    start = time.monotonic()
    assert wait_until(lambda: retry(weir), 8) == "SELECT 1"
    assert time.monotonic() - start < 6, "nobody computes for it"
    assert not hasattr(server, "answers"), "no proof was given away"


SPOILT_FINAL = {
    "wrong signature": lambda p, m: authentication(12, b"v=" + b"A" * 43 + b"="),
    "no signature": lambda p, m: authentication(12, b""),
    "short signature": lambda p, m: authentication(12, b"v=AAAA"),
    "error": lambda p, m: authentication(12, b"e=other-error"),
    "skipped": lambda p, m: b"",
}


@pytest.mark.parametrize("name", SPOILT_FINAL)
def test_a_server_that_cannot_prove_itself_is_not_used(play, name):
    spoilt = scram_dialogue(change_final=SPOILT_FINAL[name])
    weir, server = play(lambda p: spoilt(p) if p.number == 0 else good(p))
    assert wait_until(lambda: retry(weir), 8) == "SELECT 1"
    assert server.peers[0].statements == []


# --- TLS

@pytest.mark.parametrize("answer", [b"S" + AUTHENTICATED, b"S" + b"\0", b"E", b"X", b"\0", error("FATAL", "XX000", "no")])
def test_an_answer_to_the_tls_request_with_more_than_one_byte_is_dropped(play, answer):
    def script(p):
        p.hello(tls=answer)
        p.welcome()
        p.serve()
    weir, server = play(script, server_tls_sslmode="require", query_wait_timeout=2)
    with pytest.raises(wire.ServerError) as e:
        weir.wire()
    assert e.value.level == "FATAL"
    assert server.statements() == [] and all(not p.startup for p in server.peers), "nothing was said in plain text"


def test_require_does_not_fall_back_and_prefer_does(play):
    weir, server = play(good, server_tls_sslmode="require", query_wait_timeout=2)
    with pytest.raises(wire.ServerError):
        weir.wire()
    assert all(not p.startup for p in server.peers)
    weir, server = play(good, server_tls_sslmode="prefer")
    assert weir.wire().value("SELECT 1") == "SELECT 1"


# --- what we say

def test_the_start_up_packet_names_the_user_and_database(play):
    weir, server = play(good, entry={"dbname": "elsewhere", "user": "someone", "password": "x"})
    weir.wire().query("SELECT 1")
    assert (server.peers[0].startup["user"], server.peers[0].startup["database"]) == ("someone", "elsewhere")
    assert not any(k.startswith("_pq_") for k in server.peers[0].startup)


def test_a_server_is_left_with_terminate(play):
    weir, server = play(good, server_idle_timeout=1)
    weir.wire().query("SELECT 1")
    wait_until(lambda: server.farewells == 1)

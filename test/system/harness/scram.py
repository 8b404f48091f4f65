# SPDX-License-Identifier: ISC
"""SCRAM-SHA-256 both ways and MD5, for scripted clients and servers; every number can be made absurd."""
import base64
import hashlib
import hmac
import os


def _h(data):
    return hashlib.sha256(data).digest()


def _mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def _xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def _b64(data):
    return base64.b64encode(data)


def md5_answer(user, password, salt):
    inner = hashlib.md5((password + user).encode()).hexdigest()
    return "md5" + hashlib.md5(inner.encode() + salt).hexdigest()


def md5_secret(user, password):
    return "md5" + hashlib.md5((password + user).encode()).hexdigest()


def scram_secret(password, salt=b"0123456789abcdef", iterations=4096):
    """A verifier as PostgreSQL stores it."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored, server = _h(_mac(salted, b"Client Key")), _mac(salted, b"Server Key")
    return f"SCRAM-SHA-256${iterations}:{_b64(salt).decode()}${_b64(stored).decode()}:{_b64(server).decode()}"


class Client:
    def __init__(self, password, nonce=None, gs2=b"n,,"):
        self.password, self.gs2 = (password or "").encode(), gs2
        self.bare = b"n=,r=" + (nonce or _b64(os.urandom(18)))

    def first(self):
        return self.gs2 + self.bare

    def final(self, server_first):
        fields = dict(f.split(b"=", 1) for f in server_first.split(b","))
        salted = hashlib.pbkdf2_hmac("sha256", self.password, base64.b64decode(fields[b"s"]), int(fields[b"i"]))
        client_key = _mac(salted, b"Client Key")
        without_proof = b"c=" + _b64(self.gs2) + b",r=" + fields[b"r"]
        self.signed = b",".join([self.bare, server_first, without_proof])
        self.server_key = _mac(salted, b"Server Key")
        proof = _xor(client_key, _mac(_h(client_key), self.signed))
        return without_proof + b",p=" + _b64(proof)

    def verify(self, server_final):
        assert server_final == b"v=" + _b64(_mac(self.server_key, self.signed)), "the server does not know the password"


class Server:
    """The other side. check() is the proof; override fields of first() to lie."""

    def __init__(self, password, iterations=4096, salt=b"0123456789abcdef"):
        self.password, self.iterations, self.salt = password.encode(), iterations, salt

    def first(self, client_first):
        self.bare = client_first.split(b",", 2)[2]
        self.nonce = dict(f.split(b"=", 1) for f in self.bare.split(b","))[b"r"] + b"+server"
        self.sent = b"r=" + self.nonce + b",s=" + _b64(self.salt) + b",i=" + str(self.iterations).encode()
        return self.sent

    def final(self, client_final):
        """server-final, or None when the proof is wrong."""
        without_proof, proof = client_final.rsplit(b",p=", 1)
        salted = hashlib.pbkdf2_hmac("sha256", self.password, self.salt, self.iterations)
        signed = b",".join([self.bare, self.sent, without_proof])
        client_key = _xor(base64.b64decode(proof), _mac(_h(_mac(salted, b"Client Key")), signed))
        if client_key != _mac(salted, b"Client Key"):
            return None
        return b"v=" + _b64(_mac(_mac(salted, b"Server Key"), signed))
